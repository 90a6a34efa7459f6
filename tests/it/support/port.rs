//! Ports for servers that must keep theirs over a restart.

use std::net::{Ipv4Addr, TcpListener};

/// A port that is free now, below the range of outgoing ports: while the server is down, no connection of another
/// test can use it.
pub(crate) fn free() -> u16 {
    loop {
        let mut random = [0_u8; 2];
        getrandom::fill(&mut random).expect("the system has random bytes");
        let port = 10_000 + u16::from_le_bytes(random) % 22_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
