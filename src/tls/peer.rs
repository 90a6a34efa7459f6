//! Peers of TLS connections, with the words that error messages use for each.

/// Peer of a connection, with the words that error messages use.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Name: `the broker`.
    pub name: &'static str,
    /// Remedy when its certificate is from an unknown CA.
    pub trust: &'static str,
    /// Remedy when its certificate is for another host.
    pub rename: &'static str,
    /// Remedy when it requires a client certificate.
    pub client: &'static str,
    /// Remedy when it does not use TLS.
    pub plain: &'static str,
}

/// An MQTT broker.
pub const MQTT: Peer = Peer {
    name: "the broker",
    trust: "set mqtt.ca to that CA's certificate (PEM), or to the broker's own certificate if it is self-signed",
    rename: "set mqtt.server_name to a name it holds, or make a certificate for this host",
    client: "set mqtt.cert and mqtt.key to a certificate that the broker trusts",
    plain: "use the broker's TLS port (usually 8883), or write mqtt:// in place of mqtts://",
};

/// A NATS server.
pub const NATS: Peer = Peer {
    name: "the NATS server",
    trust: "set nats.ca to that CA's certificate (PEM), or to the server's own certificate if it is self-signed",
    rename: "use a name it holds in nats.servers, or make a certificate for this host",
    client: "set nats.cert and nats.key to a certificate that the server trusts",
    plain: "switch TLS on at the server, or write nats:// in nats.servers and remove nats.ca",
};

/// Listener of a bridge whose certificate is not checked.
pub const BRIDGE: Peer = Peer {
    name: "the bridge",
    trust: "give the bridge a certificate of a known CA",
    rename: "give the bridge a certificate for this host",
    client: "ask the bridge without a proxy in between",
    plain: "write http:// in place of https://, or use the port for HTTPS",
};

/// Splits a camel case name of the library into words.
pub(super) fn words(name: &str) -> String {
    let name = name.split(['(', '{', ' ']).next().unwrap_or_default();
    let mut text = String::with_capacity(name.len() + 8);
    for sign in name.chars() {
        if sign.is_ascii_uppercase()
            && !text.is_empty()
            && !text.ends_with(|last: char| last.is_ascii_digit())
        {
            text.push(' ');
        }
        text.push(sign.to_ascii_lowercase());
    }
    text
}

/// A server that takes notifications.
pub const NOTIFY: Peer = Peer {
    name: "the notification server",
    trust: "set notify.ca to that CA's certificate (PEM), or to the server's own certificate if it is self-signed",
    rename: "use a name it holds in notify.url, or make a certificate for this host",
    client: "use a server that asks for a token in place of a client certificate",
    plain: "use the server's TLS port (usually 443), or write http:// in place of https://",
};
