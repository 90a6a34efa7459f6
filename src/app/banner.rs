//! Text that the start prints on a terminal: the values to enter in the camera, and the command to watch events.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::listeners::{Ready, lan_address};
use crate::web::LOOPBACK;

/// Warnings to read before entering the values: a URL that changes at each start, an address that no camera can reach.
#[must_use]
pub(super) fn warnings(http: IpAddr, changes: Option<&str>) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(why) = changes {
        warnings.push(format!("{why}."));
    }
    if http.is_loopback() {
        warnings.push(LOOPBACK.into());
    }
    warnings
}

/// Content of the text.
#[derive(Debug)]
pub(super) struct Banner<'a> {
    /// Addresses of all listeners.
    pub(super) ready: &'a Ready,
    /// Address of the plain HTTP listener.
    pub(super) http: SocketAddr,
    /// Address of the HTTPS listener, and the fingerprint of its certificate.
    pub(super) secure: Option<(SocketAddr, &'a str)>,
    /// Path of the first webhook.
    pub(super) path: &'a str,
    /// First level of every topic.
    pub(super) base_topic: &'a str,
    /// Command that acts as a camera.
    pub(super) simulate: &'a str,
    /// Note on the settings.
    pub(super) note: Option<&'a str>,
    /// Warnings to read before entering the values.
    pub(super) warnings: &'a [String],
}

/// Builds the text.
#[must_use]
pub(super) fn banner(banner: &Banner<'_>) -> String {
    let Banner { ready, http, secure, path, base_topic, simulate, note, warnings } = banner;
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
         {warned}\
         Then tick \"Send to Alarm Server\" on each event of the camera.\n\n",
        version = env!("CARGO_PKG_VERSION"),
        port = http.port(),
        warned = warnings.iter().map(|warning| format!("WARNING: {warning}\n\n")).collect::<String>(),
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
        writeln!(text, "Watch the alarms:\n").ok();
        writeln!(text, "    mosquitto_sub -h {host} -p {port} -v -t '{base_topic}/+/event/+' -t '{base_topic}/+/state/+'\n").ok();
    }
    writeln!(text, "Try it without a camera:\n\n    {simulate}\n").ok();
    writeln!(text, "Page: {}", ready.admin).ok();
    if let Some(note) = note {
        writeln!(text, "\nNote: {note}.").ok();
    }
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
        let warned = warnings("127.0.0.1".parse().unwrap(), Some("the URL changes"));
        let text = banner(&Banner {
            ready: &ready,
            http: "192.168.0.5:8089".parse().unwrap(),
            secure: Some(("192.168.0.5:8443".parse().unwrap(), "AB:CD")),
            path: "/alarm/abc",
            base_topic: "alarmbus",
            simulate: "alarmbus simulate --storage /x",
            note: Some("take care"),
            warnings: &warned,
        });
        for expected in [
            "HTTPS and port 8443",
            "AB:CD",
            "alarmbus simulate --storage /x\n",
            "Note: take care.",
            "192.168.0.5",
            "/alarm/abc",
            "WARNING: the URL changes.",
            "WARNING: alarmbus listens on this machine only",
            "8089",
            "mosquitto_sub -h 127.0.0.1 -p 1884 -v -t 'alarmbus/+/event/+' -t 'alarmbus/+/state/+'",
        ] {
            assert!(text.contains(expected), "{expected} is missing in {text}");
        }
    }
}
