//! The integration tests: the real binary, real brokers, real sockets. `support` holds what they share.

#[cfg(test)]
mod config;
