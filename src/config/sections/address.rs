//! Addresses of brokers.

use url::Url;

/// Address of a broker, from `scheme://host:port` or `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Scheme: `mqtt`, `mqtts`, `ws`, `wss`; `nats`, `tls`, `ws`, `wss`.
    pub scheme: String,
    /// Name or IP address; of IPv6 without brackets.
    pub host: String,
    /// The port given, or the scheme's own.
    pub port: u16,
    /// The path, for WebSocket; else empty.
    pub path: String,
    /// Set for a scheme over TLS.
    pub tls: bool,
}

/// One scheme of a kind of broker.
struct Scheme {
    /// Name in an address.
    name: &'static str,
    /// Name in [`Address::scheme`].
    kept: &'static str,
    /// Default port.
    port: u16,
    /// Set if it is over TLS.
    tls: bool,
    /// Default path of a WebSocket; `None` for other schemes.
    web: Option<&'static str>,
}

/// The schemes of MQTT; the first is that of an address without one.
const MQTT: [Scheme; 7] = [
    Scheme { name: "mqtt", kept: "mqtt", port: 1883, tls: false, web: None },
    Scheme { name: "mqtts", kept: "mqtts", port: 8883, tls: true, web: None },
    Scheme { name: "ws", kept: "ws", port: 80, tls: false, web: Some("/mqtt") },
    Scheme { name: "wss", kept: "wss", port: 443, tls: true, web: Some("/mqtt") },
    Scheme { name: "tcp", kept: "mqtt", port: 1883, tls: false, web: None },
    Scheme { name: "ssl", kept: "mqtts", port: 8883, tls: true, web: None },
    Scheme { name: "tls", kept: "mqtts", port: 8883, tls: true, web: None },
];

/// The schemes of NATS; the first is that of an address without one.
const NATS: [Scheme; 4] = [
    Scheme { name: "nats", kept: "nats", port: 4222, tls: false, web: None },
    Scheme { name: "tls", kept: "tls", port: 4222, tls: true, web: None },
    Scheme { name: "ws", kept: "ws", port: 80, tls: false, web: Some("/") },
    Scheme { name: "wss", kept: "wss", port: 443, tls: true, web: Some("/") },
];

impl Address {
    /// Parses the address of an MQTT broker.
    ///
    /// # Errors
    /// With error and remedy; the text never contains a password.
    pub fn mqtt(text: &str) -> Result<Self, String> {
        parse(text, &MQTT).map_err(|problem| {
            format!("{problem}; write mqtt://host:1883, mqtts://host:8883, ws:// or wss://")
        })
    }

    /// Parses the address of a NATS server.
    ///
    /// # Errors
    /// With error and remedy; the text never contains a password.
    pub fn nats(text: &str) -> Result<Self, String> {
        parse(text, &NATS)
            .map_err(|problem| format!("{problem}; write nats://host:4222, tls://host:4222, ws:// or wss://"))
    }
}

/// Parses an address with one of the given schemes.
fn parse(text: &str, schemes: &[Scheme]) -> Result<Address, String> {
    if text.contains('@') {
        return Err(
            "an address with a user or password would appear in logs: set `user` and `password`".into()
        );
    }
    let (name, rest) =
        text.split_once("://").unwrap_or((schemes.first().map_or("", |scheme| scheme.name), text));
    let scheme = schemes.iter().find(|scheme| scheme.name == name.to_ascii_lowercase()).ok_or_else(|| {
        format!("{text:?} is not an address of this broker: its scheme {name:?} is unknown")
    })?;
    // Parsed as a URL, whose rules for hosts are strict; a bare IPv6 address needs its brackets.
    let refuse = |why: &str| format!("{text:?} is not an address: {why}");
    let url = Url::parse(&format!("http://{rest}")).map_err(|error| refuse(&error.to_string()))?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refuse("the host is missing"))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it ends after the port or the path"));
    }
    let path = url.path().trim_end_matches('/');
    if scheme.web.is_none() && !path.is_empty() {
        return Err(refuse("only a WebSocket has a path"));
    }
    let port = port(rest).unwrap_or(scheme.port);
    if port == 0 {
        return Err(refuse("the port is 0"));
    }
    Ok(Address {
        scheme: scheme.kept.into(),
        host: host.trim_matches(['[', ']']).into(),
        port,
        path: match scheme.web {
            Some(usual) if !rest.contains('/') => usual.into(),
            Some(_) => url.path().into(),
            None => String::new(),
        },
        tls: scheme.tls,
    })
}

/// Port as written. (A URL drops `:80`.)
fn port(rest: &str) -> Option<u16> {
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    let (_, port) = authority.rsplit_once(':').filter(|(_, port)| !port.contains(']'))?;
    port.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[track_caller]
    fn check(text: &str, scheme: &str, host: &str, port: u16, path: &str) {
        let address = Address::mqtt(text).unwrap();
        assert_eq!((address.scheme.as_str(), address.host.as_str()), (scheme, host), "{text}");
        assert_eq!((address.port, address.path.as_str()), (port, path), "{text}");
    }

    #[test]
    fn every_form_of_an_address_is_read() {
        check("mqtt://broker", "mqtt", "broker", 1883, "");
        check("broker", "mqtt", "broker", 1883, "");
        check("broker:80", "mqtt", "broker", 80, "");
        check("MQTTS://core-mosquitto.local/", "mqtts", "core-mosquitto.local", 8883, "");
        check("wss://example.org/a/b", "wss", "example.org", 443, "/a/b");
        check("ws://example.org:9001", "ws", "example.org", 9001, "/mqtt");
        check("ws://example.org:9001/", "ws", "example.org", 9001, "/");
        check("mqtt://[::1]:1884", "mqtt", "::1", 1884, "");
        check("[fe80::1]", "mqtt", "fe80::1", 1883, "");
        assert_eq!(Address::nats("tls://n1:4223").map(|a| (a.port, a.tls)), Ok((4223, true)));
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_a_password() {
        for text in
            ["", "http://broker", "mqtt://", "mqtt://a:99999", "mqtt://a b", "mqtt://a/x", "a:0", "::1"]
        {
            assert!(Address::mqtt(text).is_err(), "{text}");
        }
        let problem = Address::mqtt("mqtt://user:hunter2@broker").unwrap_err();
        assert!(!problem.contains("hunter2"), "{problem}");
        assert!(Address::nats("mqtt://broker").is_err());
    }
}
