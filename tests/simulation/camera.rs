//! The cameras of a run: reports as the decoder makes them.

use alarmbus::host;
use alarmbus::model::{Alarm, DeviceKind, EventName, Mac, Picture, Reported, Source, request_id};
use alarmbus::outbox::Submission;
use bytes::Bytes;
use tokio::time::Instant;
use uuid::{Builder, Uuid};

use crate::plan::KINDS;

/// The smallest picture that counts as one: its header says 16 by 16.
const JPEG: &[u8] = &[
    0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0, 0xff, 0xc0, 0, 11, 8, 0, 16, 0, 16, 1, 1, 0x11, 0, 0xff, 0xda, 0, 8,
    1, 1, 0, 0, 63, 0, 0x12, 0xff, 0xd9,
];

/// One camera.
#[derive(Debug)]
pub(crate) struct Camera {
    number: u8,
    mac: Mac,
    /// Reports it has sent.
    sent: u64,
}

impl Camera {
    pub(crate) fn new(number: u8) -> Self {
        let mac = format!("98:ba:5f:00:00:{number:02x}").parse().expect("an address");
        Self { number, mac, sent: 0 }
    }

    /// Source of the camera, as in its topics.
    pub(crate) fn source(&self) -> String {
        self.mac.hex()
    }

    /// Source of the camera.
    pub(crate) fn known(&self) -> Source {
        Source::from_known(&self.source()).expect("an address is a source")
    }

    /// A report of some kinds; with it each alarm's identifier and topic.
    pub(crate) fn report(&mut self, kinds: u8, picture: bool) -> (Submission, Vec<(Uuid, String)>) {
        self.sent += 1;
        let received_at = host::now();
        let milliseconds = received_at.as_millisecond().unsigned_abs();
        let id =
            Builder::from_unix_timestamp_millis(milliseconds, &number(self.number, self.sent)).into_uuid();
        let id = request_id::request(id);
        let alarms: Vec<Alarm> = KINDS
            .iter()
            .enumerate()
            .filter(|(bit, _)| kinds & (1 << bit) != 0)
            .map(|(_, (event, raw))| self.alarm(event, raw, picture))
            .collect();
        // The store puts motion first; the list of kinds begins with it.
        let named = alarms.iter().enumerate().map(|(place, alarm)| {
            (
                request_id::alarm(id, place),
                format!("alarmbus/{}/event/{}", self.source(), alarm.event.as_str()),
            )
        });
        let named = named.collect();
        let pictures = if picture { vec![Picture::checked(Bytes::from_static(JPEG))] } else { Vec::new() };
        let submission = Submission {
            id,
            received_at,
            received: Instant::now(),
            peer: [127, 0, 0, 1].into(),
            webhook: "default".into(),
            zone: None,
            alarms,
            heard: Vec::new(),
            pictures,
            request: None,
        };
        (submission, named)
    }

    fn alarm(&self, event: &str, raw: &str, picture: bool) -> Alarm {
        Alarm {
            event: EventName::new(event),
            event_raw: raw.into(),
            device: Reported {
                mac: Some(self.mac),
                device_id: None,
                name: Some(format!("Simulated camera {}", self.number)),
                ip: None,
                vendor: "vigi".into(),
                kind: DeviceKind::Camera,
                channel: None,
                channel_name: None,
                model: None,
            },
            time_raw: None,
            count: (event == "person").then_some(1),
            regions: Vec::new(),
            boxes: Vec::new(),
            picture: picture.then_some(0),
            details: serde_json::Map::new(),
            state: None,
            same: None,
            extra: serde_json::Map::new(),
            truncated: false,
        }
    }
}

/// Random part of an identifier: different for each report of a run.
fn number(camera: u8, report: u64) -> [u8; 10] {
    let [a, b, c, d, ..] = report.to_le_bytes();
    [0, camera, d, c, b, a, 0, 0, 0, 0]
}
