//! What the start prints for people: the values to type into the camera, and how to watch.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::listeners::{Ready, lan_address};

/// What to type where, as text.
#[must_use]
pub(super) fn banner(
    ready: &Ready,
    http: SocketAddr,
    secure: Option<(SocketAddr, &str)>,
    path: &str,
    base_topic: &str,
) -> String {
    let host = if http.ip().is_unspecified() {
        lan_address().map_or_else(|| "<address of this machine>".into(), |ip| ip.to_string())
    } else {
        http.ip().to_string()
    };
    let mut text = format!(
        "alarmbus {version} is ready.\n\n\
         Type this into the camera (Settings > Event > Alarm Server > Add):\n\n\
         \x20   Host       {host}\n\
         \x20   URL        {path}\n\
         \x20   Protocol   HTTP\n\
         \x20   Port       {port}\n\
         \x20   Attach image: on\n\n\
         Then tick \"Send to Alarm Server\" on each event of the camera.\n\n",
        version = env!("CARGO_PKG_VERSION"),
        port = http.port(),
    );
    if let Some((https, fingerprint)) = secure {
        // Writing to a String cannot fail.
        writeln!(
            text,
            "Or protocol HTTPS and port {}. The certificate's SHA-256 fingerprint:\n",
            https.port()
        )
        .ok();
        writeln!(text, "    {fingerprint}\n").ok();
    }
    if let Some((host, port)) =
        ready.mqtt.as_deref().and_then(|url| url.trim_start_matches("mqtt://").rsplit_once(':'))
    {
        // Writing to a String cannot fail.
        writeln!(text, "Watch what comes:\n").ok();
        writeln!(text, "    mosquitto_sub -h {host} -p {port} -v -t '{base_topic}/+/event/+' -t '{base_topic}/+/state/+'\n").ok();
    }
    writeln!(text, "Try it without a camera:\n\n    alarmbus simulate\n").ok();
    writeln!(text, "Page: {}", ready.admin).ok();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_everything_to_type_and_to_watch() {
        let ready = Ready {
            ingest: vec!["http://127.0.0.1:8089".into()],
            webhooks: Vec::new(),
            admin: "http://127.0.0.1:8090".into(),
            mqtt: Some("mqtt://127.0.0.1:1884".into()),
        };
        let secure = Some(("192.168.0.5:8443".parse().unwrap(), "AB:CD"));
        let text = banner(&ready, "192.168.0.5:8089".parse().unwrap(), secure, "/alarm/abc", "alarmbus");
        for expected in [
            "HTTPS and port 8443",
            "AB:CD",
            "192.168.0.5",
            "/alarm/abc",
            "8089",
            "mosquitto_sub -h 127.0.0.1 -p 1884 -v -t 'alarmbus/+/event/+' -t 'alarmbus/+/state/+'",
        ] {
            assert!(text.contains(expected), "{expected} is missing in {text}");
        }
    }
}
