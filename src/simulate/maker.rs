//! Devices of other makers: their sample requests, sent with the current time.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::target::Target;

/// Pause between two requests of a maker.
pub const PAUSE: Duration = Duration::from_millis(500);

/// Maker, description, and the request with placeholders for path, host, length and time.
static SAMPLES: &[(&str, &str, &[u8])] = &[
    ("hikvision", "access-face", include_bytes!("makers/hikvision/access-face.http")),
    ("hikvision", "doorbell-call", include_bytes!("makers/hikvision/doorbell-call.http")),
    ("hikvision", "heartbeat", include_bytes!("makers/hikvision/heartbeat.http")),
    ("hikvision", "intrusion-multipart", include_bytes!("makers/hikvision/intrusion-multipart.http")),
    ("hikvision", "motion-human", include_bytes!("makers/hikvision/motion-human.http")),
    ("hikvision", "plate", include_bytes!("makers/hikvision/plate.http")),
    ("dahua", "itsapi-plate", include_bytes!("makers/dahua/itsapi-plate.http")),
    ("dahua", "line-crossing-json", include_bytes!("makers/dahua/line-crossing-json.http")),
    ("dahua", "plate-lines", include_bytes!("makers/dahua/plate-lines.http")),
    ("reolink", "person-channel-0", include_bytes!("makers/reolink/person-channel-0.http")),
    ("reolink", "test-button", include_bytes!("makers/reolink/test-button.http")),
    ("reolink", "visitor", include_bytes!("makers/reolink/visitor.http")),
    ("unifi", "plate-and-person", include_bytes!("makers/unifi/plate-and-person.http")),
    ("uniview", "motion", include_bytes!("makers/uniview/motion.http")),
    ("uniview", "structure-line", include_bytes!("makers/uniview/structure-line.http")),
    ("tvt", "camera-intrusion", include_bytes!("makers/tvt/camera-intrusion.http")),
    ("tvt", "recorder-keepalive", include_bytes!("makers/tvt/recorder-keepalive.http")),
    ("tvt", "recorder-plate", include_bytes!("makers/tvt/recorder-plate.http")),
    ("onvif", "motion", include_bytes!("makers/onvif/motion.http")),
    ("onvif", "person", include_bytes!("makers/onvif/person.http")),
    ("meraki", "motion", include_bytes!("makers/meraki/motion.http")),
    ("milesight", "plate", include_bytes!("makers/milesight/plate.http")),
    ("template", "get-motion", include_bytes!("makers/template/get-motion.http")),
    ("template", "post-form", include_bytes!("makers/template/post-form.http")),
];

/// A request of a maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// The maker.
    pub maker: &'static str,
    /// Description of the request.
    pub what: &'static str,
    /// The bytes.
    pub request: Vec<u8>,
}

/// Makers that can be played, each once.
#[must_use]
pub fn makers() -> Vec<&'static str> {
    let mut names: Vec<&str> = SAMPLES.iter().map(|(maker, ..)| *maker).collect();
    names.dedup();
    names
}

/// Requests of a maker, or of `all`, with the time `at`.
#[must_use]
pub fn requests(maker: &str, target: &Target, at: Timestamp, zone: &TimeZone) -> Vec<Played> {
    let wanted = SAMPLES.iter().filter(|(name, ..)| maker == "all" || *name == maker);
    wanted
        .map(|(maker, what, sample)| Played { maker, what, request: filled(sample, target, at, zone) })
        .collect()
}

/// A sample with its placeholders replaced.
fn filled(sample: &[u8], target: &Target, at: Timestamp, zone: &TimeZone) -> Vec<u8> {
    let (utc, local) = (at.to_zoned(TimeZone::UTC), at.to_zoned(zone.clone()));
    let places = [
        ("@PATH@", target.path.clone()),
        ("@HOST@", target.authority.clone()),
        ("@DATE@", utc.strftime("%Y-%m-%d").to_string()),
        ("@TIME@", utc.strftime("%H:%M:%S").to_string()),
        ("@LOCALDATE@", local.strftime("%Y-%m-%d").to_string()),
        ("@LOCALTIME@", local.strftime("%H:%M:%S").to_string()),
        ("@SECONDS@", at.as_second().to_string()),
    ];
    let filled = places.iter().fold(sample.to_vec(), |bytes, (place, text)| replaced(&bytes, place, text));
    let body = memchr::memmem::find(&filled, b"\r\n\r\n").map_or(0, |at| filled.len() - at - 4);
    let with_length = replaced(&filled, "@LENGTH@", &body.to_string());
    // A path that has a query already is extended.
    if target.path.contains('?') {
        replaced(&with_length, &format!("{}?", target.path), &format!("{}&", target.path))
    } else {
        with_length
    }
}

/// Bytes with every occurrence of a text replaced.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let (mut out, mut left) = (Vec::with_capacity(bytes.len()), bytes);
    while let Some(at) = memchr::memmem::find(left, from.as_bytes()) {
        let (before, rest) = left.split_at(at);
        out.extend_from_slice(before);
        out.extend_from_slice(to.as_bytes());
        left = rest.get(from.len()..).unwrap_or_default();
    }
    out.extend_from_slice(left);
    out
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::{makers, requests};
    use crate::config::mapping::BUILT_IN;
    use crate::simulate::target::Target;

    #[test]
    fn every_built_in_maker_is_played_and_no_place_is_left_open() {
        let target = Target::parse("http://192.0.2.5:8089/alarm/s3cr3t?x=1").unwrap();
        for mapping in BUILT_IN.iter() {
            assert!(makers().contains(&mapping.name.as_str()), "{} has no sample", mapping.name);
        }
        for played in requests("all", &target, Timestamp::now(), &TimeZone::UTC) {
            let text = String::from_utf8_lossy(&played.request);
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(
                !text.contains("@PATH@") && !text.contains("TIME@") && !text.contains("@SECONDS@"),
                "{text}"
            );
            assert!(head.contains("/alarm/s3cr3t?x=1") && head.matches('?').count() == 1, "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            assert_eq!(
                length.map_or(0, |length| length.parse().unwrap()),
                played.request.len() - head.len() - 4,
                "{body}"
            );
        }
    }
}
