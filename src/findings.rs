//! Findings: what was seen on the way of an alarm, the cause in plain words, and the remedy.
//!
//! Used by log, page, doctor and metrics alike. Each kind of finding is one row of [`CATALOGUE`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

pub use crate::model::status::Severity;

/// The most findings kept at once; past it the tenth seen longest ago goes.
const KEPT: usize = 500;

/// One kind of finding.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "finding_kind")]
pub struct Kind {
    /// The stable code.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it means, in one line.
    pub title: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// One finding as it stands.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "finding")]
pub struct Finding {
    /// Its kind.
    #[serde(flatten)]
    pub kind: Kind,
    /// Who it is about: a peer, a source, a sink.
    pub subject: String,
    /// What was seen last.
    pub detail: String,
    /// How often.
    pub count: u64,
    /// When first.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub first: Timestamp,
    /// When last.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last: Timestamp,
}

/// All findings of a running bridge; a cheap handle.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    kept: Arc<Mutex<BTreeMap<(&'static str, String), Finding>>>,
}

impl Findings {
    /// Records that something was seen, and logs it the first time and then each time its count doubles.
    pub fn raise(&self, code: &'static str, subject: &str, detail: &str) {
        let now = Timestamp::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let finding = kept.entry((code, subject.to_owned())).or_insert_with(|| Finding {
            kind: kind(code),
            subject: subject.to_owned(),
            detail: String::new(),
            count: 0,
            first: now,
            last: now,
        });
        finding.count += 1;
        finding.last = now;
        detail.clone_into(&mut finding.detail);
        if finding.count.is_power_of_two() {
            log(finding);
        }
        if kept.len() > KEPT {
            let mut seen: Vec<Timestamp> = kept.values().map(|finding| finding.last).collect();
            seen.sort_unstable();
            let bound = seen.get(KEPT / 10).copied().unwrap_or(now);
            kept.retain(|_, finding| bound < finding.last);
        }
    }

    /// Takes a finding back: what it was about is well again.
    pub fn settle(&self, code: &'static str, subject: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // This is asked with every alarm, and mostly there is nothing of the kind.
        let first = kept.range((code, String::new())..).next();
        if first.is_some_and(|((found, _), _)| *found == code) {
            kept.remove(&(code, subject.to_owned()));
        }
    }

    /// All findings, worst first, then latest first.
    #[must_use]
    pub fn list(&self) -> Vec<Finding> {
        let mut list: Vec<Finding> =
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        list.sort_by_key(|finding| {
            (std::cmp::Reverse(finding.kind.severity), std::cmp::Reverse(finding.last))
        });
        list
    }
}

/// One line for the log.
fn log(finding: &Finding) {
    let (code, subject, detail, count, remedy) =
        (finding.kind.code, &finding.subject, &finding.detail, finding.count, finding.kind.remedy);
    match finding.kind.severity {
        Severity::Info => {
            tracing::debug!(finding.code = code, finding.subject = %subject, finding.count = count, "{detail}")
        }
        Severity::Warning | Severity::Error => {
            tracing::warn!(finding.code = code, finding.subject = %subject, finding.count = count, "{detail}. {remedy}");
        }
    }
}

/// The row of a code.
fn kind(code: &'static str) -> Kind {
    CATALOGUE.iter().find(|kind| kind.code == code).copied().unwrap_or(Kind {
        code,
        severity: Severity::Warning,
        title: code,
        cause: "",
        remedy: "",
    })
}

/// Declares the catalogue, a row a kind of finding.
macro_rules! catalogue {
    ($($code:literal $severity:ident $title:literal, $cause:literal, $remedy:literal;)*) => {
        /// Every kind of finding.
        pub static CATALOGUE: &[Kind] = &[$(Kind {
            code: $code, severity: Severity::$severity, title: $title, cause: $cause, remedy: $remedy,
        }),*];
    };
}

catalogue! {
    "no_request" Info "A connection without a request",
        "The Test button of the camera opens a connection and closes it without sending anything; so do port scanners.",
        "If this was the Test button: the address and port are right. Now tick \"Send to Alarm Server\" on each event of the camera and walk through the picture.";
    "wrong_path" Warning "Right port, wrong path",
        "The URL typed into the camera differs from the webhook's path.",
        "Type the path exactly as the start of alarmbus (or its Setup page) prints it, upper and lower case included.";
    "wrong_port" Warning "Right path, wrong port",
        "The port typed into the camera is the one of these pages, not the one for cameras.",
        "Type the port that the start of alarmbus (or its Setup page) prints, with the protocol that goes with it.";
    "tls_on_plain_port" Warning "TLS bytes on the plain port",
        "The camera is set to HTTPS but the port is the one for HTTP.",
        "Set the protocol to HTTP in the camera, or configure [https] and use its port.";
    "wrong_method" Warning "Right path, wrong method",
        "The request is neither POST or PUT (an alarm) nor GET or HEAD (a person looking).",
        "Set the sender to POST.";
    "plain_on_tls_port" Warning "Plain HTTP on the TLS port",
        "The camera is set to HTTP but the port is the one for HTTPS.",
        "Set the protocol to HTTPS in the camera, or use the port of [http].";
    "tls_handshake" Warning "A TLS handshake failed",
        "The peer speaks no TLS 1.2 or newer, shares no cipher with us, or refuses our certificate.",
        "Give [https] a certificate the camera accepts, or use plain HTTP on a network of its own.";
    "certificate" Error "A certificate cannot be used",
        "The files of a listener's certificate are missing, damaged, or do not belong together; the last good one serves on.",
        "Write certificate chain and key as PEM, both at once; they are taken up within seconds, or at once on SIGHUP.";
    "bad_request_head" Warning "A request head that is no HTTP",
        "The first lines of the request break the HTTP grammar, are too long, or never ended.",
        "Check that the sender speaks HTTP/1.1, and that nothing on the way cuts or rewrites its requests.";
    "accept_failed" Error "Connections cannot be accepted",
        "The process has no file descriptor left, or the system no memory for sockets.",
        "Raise the limit on open files (ulimit -n, LimitNOFILE=) above limits.connections.";
    "handler_failed" Error "A report could not be processed",
        "A mistake in alarmbus itself; the log has the details.",
        "Keep the request from the Requests page and report it.";
    "not_understood" Warning "A body that is no alarm",
        "The bytes are neither JSON nor multipart with JSON or a JPEG in it.",
        "Check that the sender is a supported camera; keep the request from the Requests page for a report.";
    "multipart_repaired" Info "A multipart body with mistakes",
        "Boundary, line ends or part headers are not as they should be; the parts were found all the same.",
        "Nothing to do; worth a report if pictures are missing.";
    "body_truncated" Warning "A body that ended early",
        "The camera closed the connection, or the network dropped it, before the body was complete.",
        "Check the network between camera and bridge; the alarm was kept, its picture may be missing.";
    "not_a_jpeg" Warning "A picture part that is no JPEG",
        "The camera sent an empty or damaged picture.",
        "The alarm was published without it. Switch \"Attach image\" off and on again in the camera.";
    "content_type_wrong" Info "A body that is not what its header says",
        "The Content-Type names another kind of body than the one that came.",
        "Nothing to do: the content decides.";
    "boundary_mismatch" Info "A multipart boundary that is not the announced one",
        "The Content-Type names another boundary than the body uses, or none.",
        "Nothing to do: the body's own boundary is used.";
    "charset_repaired" Info "Text that is not UTF-8",
        "The device writes names in another encoding, or damaged ones.",
        "If a name looks wrong, give the camera a name in plain letters, or set one under [devices].";
    "json_repaired" Info "JSON with mistakes",
        "Junk around the JSON, values no parser takes, or more of them than are kept.",
        "Nothing to do; worth a report if an alarm lacks something.";
    "json_ignored" Info "JSON beside the report",
        "The body holds another document that is no report, next to one that is.",
        "Nothing to do; worth a report if it holds something useful.";
    "vendor_mismatch" Warning "A report of another vendor than the webhook's",
        "The webhook names a vendor, but the report has the shape of another and was decoded as that.",
        "Set the webhook's `vendor` to \"auto\".";
    "report_cut" Warning "More alarms in one report than the bound",
        "The rest was counted in one alarm `unknown`.",
        "If this is a real device, raise limits.alarms_per_report.";
    "body_too_large" Warning "A body larger than the bound",
        "The picture is larger than limits.body_bytes.",
        "The alarm was kept without it. Raise limits.body_bytes, or lower the camera's picture quality.";
    "picture_unmatched" Info "A picture that belongs to no alarm",
        "The report holds more pictures than its alarms refer to.",
        "Nothing to do; worth a report, for no device is known to do so.";
    "peer_not_allowed" Warning "A peer outside the allow-list",
        "The webhook's `allow` does not contain the peer's address.",
        "Add the address or its network to `allow` of the webhook.";
    "limited" Warning "A limit was reached",
        "A peer sent more than the limits allow.",
        "If this is a camera, raise the limit that is named in [limits].";
    "shared_address" Info "Several devices behind one address",
        "Three or more devices push from one address: a recorder, a proxy or NAT.",
        "Nothing to do for a recorder. Behind a proxy, list it under http.proxies.";
    "nobody_listens" Info "Published, but nobody subscribes",
        "The broker accepted the event and has no subscriber for its topic.",
        "Subscribe to alarmbus/+/event/+, or check the topic in your client.";
    "device_clock" Warning "A device's clock or time zone is off",
        "The device's time fits no time zone at receipt, or not the configured one.",
        "Set the camera's clock (NTP) and the `timezone` of the device.";
    "sources_full" Warning "Too many sources",
        "More devices, or new devices in an hour, than the bounds allow; their alarms go to source `unlisted`.",
        "Raise limits.sources or limits.new_sources_per_hour, or find who invents devices.";
    "unknown_device" Warning "A device that nobody named",
        "limits.known_devices_only is on, and this device is neither under [devices] nor known; its alarms go to source `unlisted`.",
        "If it is yours, add it under [devices], or turn limits.known_devices_only off; else find who sends.";
    "kinds_full" Warning "Too many kinds from one source",
        "A source sent more names than limits.kinds_per_source; further ones become `other`.",
        "Raise the limit, or find out why the device invents names.";
    "disk" Error "The disk refuses writes",
        "The storage folder is full, read-only, gone or failing; alarms are held in memory.",
        "Free space or mend the folder; the bridge goes back to normal by itself.";
    "disk_low" Warning "The disk is nearly full",
        "Less is free than twice storage.min_free_bytes; below it history is deleted, and alarms may have to be held in memory.",
        "Free space, or lower storage.history_max_bytes.";
    "memory_dropped" Error "Memory ran out while the disk refuses writes",
        "Alarms are held in memory while the disk takes none, and there were more than fit.",
        "Mend the disk of the storage folder; what was dropped is lost.";
    "device_silent" Warning "A device is silent longer than usual",
        "It was heard at shorter intervals before, or `expected_every_seconds` says that it should be.",
        "Check its power, its network, and that the alarm server is still set in it; walk through its picture.";
    "picture_missing" Info "An alarm without a picture, after one with",
        "The device did not attach a picture: it was busy, or \"Attach image\" was switched off.",
        "If it stays so, tick \"Attach image\" in the alarm server settings of the camera.";
    "test_no_alarm" Warning "A test, and no alarm since",
        "A peer connected without a request, as the Test button does, and no alarm came for minutes: \"Send to Alarm Server\" is probably not ticked, or the event has no region or schedule.",
        "Tick \"Send to Alarm Server\" on each event of the camera, check region and schedule, and walk through the picture.";
    "backlog_growing" Warning "More and more alarms wait for a sink",
        "The sink is down, or slower than alarms come.",
        "Look after the sink; nothing is lost before the bounds storage.backlog_max_days and storage.backlog_max_bytes.";
    "not_committing" Error "Nothing can be committed",
        "The outbox does not come back from the disk, or has ended by a mistake.",
        "Check the disk of the storage folder (a hanging network share, a failing drive); restart alarmbus.";
    "sink_stalled" Error "A sink takes nothing",
        "Alarms have waited for minutes and the sink acknowledged none.",
        "Check that the broker runs, is reachable, and lets the user publish. Alarms are kept meanwhile.";
    "database_set_aside" Error "The database was damaged",
        "SQLite found the file corrupt; it was set aside and a new one begun.",
        "Run `alarmbus outbox recover FILE` on the file named, and check the disk.";
    "secret_not_kept" Error "The generated URL is not kept",
        "The storage folder cannot be written, so the secret path changes at each start.",
        "Make the folder writable, or set [[webhooks]] path in the configuration.";
    "broker_unreachable" Error "The broker cannot be reached",
        "Nothing listens at its address, or the network is down.",
        "Check address and port of the sink, and that the broker runs. Alarms are kept meanwhile.";
    "broker_refused" Error "The broker refuses the connection",
        "User, password, client id or protocol version is not accepted.",
        "Check user and password of the sink. Alarms are kept meanwhile.";
    "broker_tls" Error "TLS to the broker fails",
        "The certificate is expired, for another name, or from an unknown authority.",
        "Set `ca` or `server_name` of the sink, or renew the broker's certificate.";
    "broker_taken_over" Error "Another client uses our client id",
        "The broker closes our link each time the other client connects.",
        "Give each instance its own mqtt.client_id.";
    "broker_busy" Warning "A sink does not take messages now",
        "The broker or its stream is full, without a leader, or over a quota; what it did not take is sent again.",
        "See the detail: free room in the stream, raise the quota, or mend the cluster.";
    "message_too_large" Warning "A message is over the broker's limit",
        "The broker closed the link over it; it was set aside for the rest to flow on.",
        "Raise the broker's limit (mosquitto: message_size_limit), or the camera's compression.";
    "sink_blocked" Error "A sink refuses everything",
        "The broker accepts the connection but refuses every message, so its position stands still.",
        "Give the user permission to publish the topics.";
    "parked" Warning "A message was parked",
        "The broker will never accept it, so it was set aside for the rest to flow on.",
        "See `alarmbus outbox ls`; retry it when the cause is mended.";
    "parked_dropped" Error "Parked messages were dropped",
        "More messages than are kept were set aside for one sink, so the oldest are gone from there.",
        "Mend what makes the broker refuse them; their alarms are still in history and can be replayed.";
    "value_refused" Warning "A current value was refused",
        "The broker does not accept this topic or its size.",
        "Give the user permission for the topic, or raise the broker's limit.";
    "picture_too_large" Warning "A picture is larger than the broker takes",
        "The broker's maximum packet or message size is smaller than the picture.",
        "Raise the broker's limit (mosquitto: max_packet_size), or the camera's compression.";
    "retained_unreadable" Info "Retained topics cannot be read back",
        "The user may not subscribe, so a broker that lost its retained messages goes unnoticed.",
        "Permit subscribing to alarmbus/bridge/token.";
    "subscription_refused" Info "The broker refuses a subscription",
        "The user may not subscribe to Home Assistant's birth or discovery topics.",
        "Permit reading the topic named, or Home Assistant's restarts and deletions go unnoticed.";
    "stream_missing" Error "JetStream or its stream is missing",
        "JetStream is off at the server, or the stream was deleted or may not be created.",
        "Start nats-server with JetStream (-js), or set nats.jetstream = false for best effort.";
    "backlog_dropped" Error "Undelivered alarms were dropped",
        "The backlog passed its bound in age or bytes.",
        "Mend the sink; raise storage.backlog_max_days or storage.backlog_max_bytes.";
}

#[cfg(test)]
mod tests {
    use super::{CATALOGUE, Findings};
    use crate::model::testing::held_part;

    #[test]
    fn every_code_is_declared_once_with_cause_and_remedy() {
        let mut seen = std::collections::HashSet::new();
        for kind in CATALOGUE {
            assert!(seen.insert(kind.code), "{} stands twice", kind.code);
            assert!(!kind.cause.is_empty() && !kind.remedy.is_empty(), "{}", kind.code);
        }
    }

    #[test]
    fn the_page_on_troubleshooting_has_a_row_for_every_code() {
        let mut kinds: Vec<_> = CATALOGUE.iter().collect();
        kinds.sort_by_key(|kind| kind.code);
        let mut table =
            String::from("| code | severity | what is seen | cause | remedy |\n|---|---|---|---|---|\n");
        for kind in kinds {
            let severity = format!("{:?}", kind.severity).to_lowercase();
            let row =
                [&format!("`{}`", kind.code), &severity, kind.title, kind.cause, kind.remedy].join(" | ");
            assert_eq!(row.matches('|').count(), 4, "a bar would end a cell: {row}");
            table += &format!("| {row} |\n");
        }
        held_part("docs/troubleshooting.md", "findings", &table);
    }

    #[test]
    fn however_many_there_are_the_latest_are_kept() {
        let findings = Findings::default();
        for number in 0..1_700 {
            findings.raise("device_clock", &number.to_string(), "off");
        }
        let list = findings.list();
        assert!(
            list.len() <= super::KEPT && list.iter().any(|finding| finding.subject == "1699"),
            "{}",
            list.len()
        );
    }

    #[test]
    fn a_repeated_finding_is_one_with_a_count() {
        let findings = Findings::default();
        findings.raise("disk", "storage", "no space");
        findings.raise("disk", "storage", "still none");
        let list = findings.list();
        assert_eq!((list.len(), list[0].count, list[0].detail.as_str()), (1, 2, "still none"));
        findings.settle("disk", "storage");
        assert!(findings.list().is_empty());
    }
}
