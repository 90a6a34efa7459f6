//! The chain of ticks: TCP seen → request seen → understood → committed → published → acknowledged → somebody
//! listens. The same for the Setup page, the event stream and `alarmbus doctor`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{ListenerInfo, Problem, Reach, Web};
use crate::findings::Finding;
use crate::model::Record;
use crate::model::status::SinkStatus;
use crate::outbox::history::{AlarmFilter, RequestSummary};

/// A link of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "step")]
pub enum Step {
    /// A connection came to the port for cameras.
    TcpSeen,
    /// A request came.
    RequestSeen,
    /// One on the right path that holds alarms.
    Understood,
    /// They are on disk.
    Committed,
    /// A sink was given the latest one.
    Published,
    /// And said that it has it.
    Acknowledged,
    /// Somebody subscribes to it.
    SomebodyListens,
}

/// How far a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "tick_state")]
pub enum TickState {
    /// It was seen.
    Done,
    /// Nothing of the kind was seen yet.
    Waiting,
    /// Something is in the way; `detail` and `remedy` say what.
    Failed,
    /// Nobody can tell: the far side does not say.
    Unknown,
}

/// One link of the chain as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "tick")]
pub struct Tick {
    /// Which.
    pub step: Step,
    /// Its name for people.
    pub title: &'static str,
    /// How far it is.
    pub state: TickState,
    /// When it was seen last.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub at: Option<Timestamp>,
    /// What was seen, or is missing.
    pub detail: String,
    /// What to do, while it is not done.
    pub remedy: Option<String>,
}

/// What the chain is made from.
struct Seen {
    listeners: Vec<ListenerInfo>,
    reach: Reach,
    findings: Vec<Finding>,
    sinks: Vec<SinkStatus>,
    latest: Option<RequestSummary>,
    understood: Option<RequestSummary>,
    committed: Option<(Timestamp, String)>,
    durable: bool,
    acknowledged: Option<Timestamp>,
}

/// The chain as it stands.
///
/// # Errors
/// When the disk cannot be read.
pub async fn chain(web: &Web) -> Result<Vec<Tick>, Problem> {
    let read = web.read(|reader| Ok((reader.latest_requests()?, reader.alarms(&AlarmFilter::default(), 1)?)));
    let ((latest, understood), alarms) = read.await?;
    let alarm = alarms.into_iter().next();
    let committed = alarm.as_ref().and_then(|entry| match &entry.record {
        Record::Alarm(alarm) => {
            Some((alarm.received_at, format!("{} of {}", alarm.event, alarm.device.name)))
        }
        Record::Activity(_) => None,
    });
    let deliveries = alarm.map(|entry| web.bridge.deliveries(&entry)).unwrap_or_default();
    let received = committed.as_ref().map(|(at, _)| *at);
    let acknowledged = deliveries.iter().find(|delivery| delivery.state == "acknowledged");
    let seen = Seen {
        listeners: web.bridge.listeners(),
        reach: web.bridge.reach(),
        findings: web.findings.list(),
        sinks: web.bridge.sinks(),
        latest,
        understood,
        committed,
        durable: web.outbox.durable(),
        acknowledged: acknowledged.and_then(|delivery| delivery.at.or(received)),
    };
    Ok(seen.ticks())
}

impl Seen {
    fn ticks(&self) -> Vec<Tick> {
        vec![
            self.tcp(),
            self.request(),
            self.understood(),
            self.committed(),
            self.published(),
            self.acknowledged(),
            self.listens(),
        ]
    }

    fn tcp(&self) -> Tick {
        let (step, title) = (Step::TcpSeen, "A connection came");
        let cameras = self.listeners.iter().filter(|listener| matches!(&*listener.name, "http" | "https"));
        let last =
            cameras.filter_map(|listener| listener.arrivals.last.zip(listener.arrivals.peer.clone())).max();
        let request = self.latest.as_ref().map(|request| (request.at, request.peer.clone()));
        match last.max(request) {
            Some((at, peer)) => done(step, title, at, format!("from {peer}")),
            None => self
                .failed(step, title, &["wrong_port"])
                .unwrap_or_else(|| waiting(step, title, "nothing has arrived yet", &self.where_to())),
        }
    }

    /// What to check while nothing arrives: a wrong host leaves no trace here.
    fn where_to(&self) -> String {
        let Reach { addresses, http_port, https_port, .. } = &self.reach;
        let host =
            if addresses.is_empty() { "an address of this machine".into() } else { addresses.join(" or ") };
        let secure = https_port.map(|port| format!(" (HTTPS: {port})")).unwrap_or_default();
        format!(
            "Check host and port in the camera: {host}, port {http_port}{secure}; then press its Test button. If still \
             nothing comes: are camera and bridge in networks that reach each other, does a firewall block the port?"
        )
    }

    fn request(&self) -> Tick {
        let (step, title) = (Step::RequestSeen, "A request came");
        if let Some(request) = self.latest.as_ref().or(self.understood.as_ref()) {
            return done(step, title, request.at, format!("from {}: {}", request.peer, request.verdict));
        }
        if let Some((at, _)) = &self.committed {
            return done(step, title, *at, "it is no longer kept".into());
        }
        let codes = [
            "tls_on_plain_port",
            "plain_on_tls_port",
            "tls_handshake",
            "bad_request_head",
            "test_no_alarm",
            "no_request",
        ];
        self.failed(step, title, &codes).unwrap_or_else(|| {
            let remedy =
                "Tick \"Send to Alarm Server\" on each event of the camera, and walk through the picture.";
            waiting(step, title, "no request came yet", remedy)
        })
    }

    fn understood(&self) -> Tick {
        let (step, title) = (Step::Understood, "It was understood");
        if let Some(request) = &self.understood {
            return done(step, title, request.at, request.verdict.clone());
        }
        if let Some((at, what)) = &self.committed {
            return done(step, title, *at, what.clone());
        }
        let codes = [
            "wrong_path",
            "peer_not_allowed",
            "wrong_method",
            "body_too_large",
            "body_truncated",
            "not_understood",
            "limited",
        ];
        self.failed(step, title, &codes).unwrap_or_else(|| {
            let remedy =
                "An alarm on the right path is needed: walk through the picture, or run `alarmbus simulate`.";
            waiting(step, title, "no alarm came yet", remedy)
        })
    }

    fn committed(&self) -> Tick {
        let (step, title) = (Step::Committed, "It is on disk");
        match &self.committed {
            Some((at, what)) if self.durable => done(step, title, *at, what.clone()),
            Some((at, what)) => {
                let tick = self.failed(step, title, &["disk"]);
                tick.unwrap_or_else(|| done(step, title, *at, format!("{what}, in memory only")))
            }
            None => waiting(step, title, "there is no alarm yet", "This follows by itself."),
        }
    }

    fn published(&self) -> Tick {
        let (step, title) = (Step::Published, "It was published");
        if self.sinks.is_empty() {
            return failed(
                step,
                title,
                "no sink is on".into(),
                "Set mqtt.server, nats.servers or stdout.enabled.".into(),
            );
        }
        if self.acknowledged.is_some() || self.sinks.iter().any(|sink| 0 < sink.sent && sink.connected) {
            let names: Vec<&str> = self.sinks.iter().map(|sink| sink.name.as_str()).collect();
            let at = self.acknowledged.or_else(|| self.committed.as_ref().map(|(at, _)| *at));
            return Tick {
                at,
                ..done(step, title, Timestamp::UNIX_EPOCH, format!("to {}", names.join(", ")))
            };
        }
        self.sink_trouble(step, title).unwrap_or_else(|| {
            waiting(step, title, "there was nothing to publish yet", "This follows by itself.")
        })
    }

    fn acknowledged(&self) -> Tick {
        let (step, title) = (Step::Acknowledged, "The broker has it");
        if let Some(at) = self.acknowledged {
            let names: Vec<&str> =
                self.sinks.iter().filter(|s| s.delivered > 0).map(|s| s.name.as_str()).collect();
            return done(step, title, at, names.join(", "));
        }
        self.sink_trouble(step, title).unwrap_or_else(|| {
            waiting(step, title, "nothing was acknowledged yet", "This follows by itself.")
        })
    }

    fn listens(&self) -> Tick {
        let (step, title) = (Step::SomebodyListens, "Somebody listens");
        let heard = |wanted| self.sinks.iter().find(|sink| sink.heard == Some(wanted));
        if let Some(sink) = heard(true) {
            let at = sink.last_delivery.unwrap_or(Timestamp::UNIX_EPOCH);
            return done(step, title, at, format!("the latest alarm on {} had a subscriber", sink.name));
        }
        if heard(false).is_some() {
            let tick = self.failed(step, title, &["nobody_listens"]);
            return tick.unwrap_or_else(|| {
                failed(
                    step,
                    title,
                    "nobody subscribed".into(),
                    "Subscribe to the topic of the Setup page.".into(),
                )
            });
        }
        if self.acknowledged.is_none() {
            return waiting(
                step,
                title,
                "nothing was acknowledged yet",
                "Subscribe to the topic of the Setup page.",
            );
        }
        let remedy = "Look at your subscriber: does it get the alarms?";
        Tick {
            state: TickState::Unknown,
            ..waiting(step, title, "this broker does not say who subscribes", remedy)
        }
    }

    /// What keeps sinks from working.
    fn sink_trouble(&self, step: Step, title: &'static str) -> Option<Tick> {
        let codes = [
            "broker_refused",
            "broker_tls",
            "broker_taken_over",
            "sink_blocked",
            "stream_missing",
            "broker_unreachable",
            "parked",
        ];
        self.failed(step, title, &codes)
    }

    /// A tick that the latest of these findings keeps from being done.
    fn failed(&self, step: Step, title: &'static str, codes: &[&str]) -> Option<Tick> {
        let found = self.findings.iter().filter(|finding| codes.contains(&finding.kind.code));
        let finding = found.max_by_key(|finding| (finding.kind.severity, finding.last))?;
        let detail = format!("{}: {}", finding.kind.title, finding.detail);
        Some(Tick { at: Some(finding.last), ..failed(step, title, detail, finding.kind.remedy.into()) })
    }
}

fn done(step: Step, title: &'static str, at: Timestamp, detail: String) -> Tick {
    Tick { step, title, state: TickState::Done, at: Some(at), detail, remedy: None }
}

fn failed(step: Step, title: &'static str, detail: String, remedy: String) -> Tick {
    Tick { step, title, state: TickState::Failed, at: None, detail, remedy: Some(remedy) }
}

fn waiting(step: Step, title: &'static str, detail: &str, remedy: &str) -> Tick {
    let (detail, remedy) = (detail.to_owned(), Some(remedy.to_owned()));
    Tick { step, title, state: TickState::Waiting, at: None, detail, remedy }
}
