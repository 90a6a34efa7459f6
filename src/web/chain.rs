//! The steps of the delivery check: camera connected → request received → alarm recognized → stored → published →
//! broker confirmed → subscriber present. Shown by the Setup page, the event stream and `alarmbus doctor`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::texts::{fill, fill_two, key, tr};
use super::words::verdict;
use super::{DeliveryState, ListenerInfo, Problem, Reach, Web};
use crate::findings::{Finding, FindingCode, Severity};
use crate::model::Record;
use crate::model::status::SinkStatus;
use crate::outbox::history::{AlarmFilter, RequestSummary};

/// A step of the delivery check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "step")]
pub enum CheckStep {
    /// A connection to a port for cameras was opened.
    TcpSeen,
    /// A request was received.
    RequestSeen,
    /// A request on the right path contained an alarm.
    Understood,
    /// The alarm was stored.
    Committed,
    /// The alarm was sent to a sink.
    Published,
    /// The broker acknowledged it.
    Acknowledged,
    /// A subscriber received it.
    SomebodyListens,
}

/// State of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "tick_state")]
pub enum TickState {
    /// Completed.
    Done,
    /// Not seen yet.
    Waiting,
    /// Blocked by a problem; `detail` and `remedy` describe it, `severity` its degree.
    Failed,
    /// Unknown: the broker does not report it.
    Unknown,
}

/// State of one step of the delivery check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "tick")]
pub struct Tick {
    /// The step.
    pub step: CheckStep,
    /// Title for people.
    pub title: &'static str,
    /// State of the step.
    pub state: TickState,
    /// Time at which it last happened.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub at: Option<Timestamp>,
    /// Description of what was seen or is missing.
    pub detail: String,
    /// Remedy, while there is one.
    pub remedy: Option<String>,
    /// Severity of the problem that blocks it, while it is blocked.
    pub severity: Option<Severity>,
}

/// Data the check is computed from.
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

/// Runs all steps of the check.
///
/// # Errors
/// When the disk cannot be read.
pub async fn chain(web: &Web) -> Result<Vec<Tick>, Problem> {
    let read = web.read(|reader| Ok((reader.latest_requests()?, reader.alarms(&AlarmFilter::default(), 1)?)));
    let ((latest, understood), alarms) = read.await?;
    let alarm = alarms.into_iter().next();
    let committed = alarm.as_ref().and_then(|entry| match &entry.record {
        Record::Alarm(alarm) => {
            Some((alarm.received_at, fill_two("{} of {}", alarm.event.title(), &alarm.device.name)))
        }
        Record::Activity(_) => None,
    });
    let deliveries = alarm.map(|entry| web.bridge.deliveries(&entry)).unwrap_or_default();
    let received = committed.as_ref().map(|(at, _)| *at);
    let acknowledged = deliveries.iter().find(|delivery| delivery.state == DeliveryState::Acknowledged);
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
            self.subscriber(),
        ]
    }

    fn tcp(&self) -> Tick {
        let (step, title) = (CheckStep::TcpSeen, key("Camera connected"));
        let cameras = self.listeners.iter().filter(|listener| matches!(&*listener.name, "http" | "https"));
        let last =
            cameras.filter_map(|listener| listener.arrivals.last.zip(listener.arrivals.peer.clone())).max();
        let request = self.latest.as_ref().map(|request| (request.at, request.peer.clone()));
        match last.max(request) {
            Some((at, peer)) => done(step, title, at, fill("from {}", peer)),
            None => self
                .failed(step, title, &[FindingCode::WrongPort])
                .unwrap_or_else(|| waiting(step, title, tr("nothing has arrived yet"), &self.where_to())),
        }
    }

    /// Remedy while nothing arrives: a wrong host in the camera leaves no trace here.
    fn where_to(&self) -> String {
        let Reach { addresses, http_port, https_port, .. } = &self.reach;
        let host = match addresses.as_slice() {
            [] => tr("an address of this machine").to_owned(),
            some => some.join(tr(" or ")),
        };
        let secure = https_port.map(|port| format!(" (HTTPS: {port})")).unwrap_or_default();
        let check = fill_two(
            "Check host and port in the camera: {}, port {}; then press its Test button.",
            host,
            format!("{http_port}{secure}"),
        );
        let networks = tr(
            "If still nothing comes: are camera and bridge in networks that reach each other, does a firewall block the port?",
        );
        format!("{check} {networks}")
    }

    fn request(&self) -> Tick {
        let (step, title) = (CheckStep::RequestSeen, key("Request received"));
        if let Some(request) = self.latest.as_ref().or(self.understood.as_ref()) {
            return done(
                step,
                title,
                request.at,
                fill_two("from {}: {}", &request.peer, verdict(&request.verdict)),
            );
        }
        if let Some((at, _)) = &self.committed {
            return done(step, title, *at, tr("it is no longer stored").into());
        }
        let codes = [
            FindingCode::TlsOnPlainPort,
            FindingCode::PlainOnTlsPort,
            FindingCode::TlsHandshake,
            FindingCode::BadRequestHead,
            FindingCode::TestNoAlarm,
            FindingCode::NoRequest,
        ];
        self.failed(step, title, &codes).unwrap_or_else(|| {
            let remedy =
                tr("Tick “Send to Alarm Server” on each event of the camera, and walk past the camera.");
            waiting(step, title, tr("no request came yet"), remedy)
        })
    }

    fn understood(&self) -> Tick {
        let (step, title) = (CheckStep::Understood, key("Alarm recognized"));
        if let Some(request) = &self.understood {
            return done(step, title, request.at, verdict(&request.verdict));
        }
        if let Some((at, what)) = &self.committed {
            return done(step, title, *at, what.clone());
        }
        let codes = [
            FindingCode::WrongPath,
            FindingCode::PeerNotAllowed,
            FindingCode::WrongMethod,
            FindingCode::BodyTooLarge,
            FindingCode::BodyTruncated,
            FindingCode::NotUnderstood,
            FindingCode::Limited,
        ];
        self.failed(step, title, &codes).unwrap_or_else(|| {
            let remedy = fill(
                "An alarm on the right path is needed: walk past the camera, or run `{}`.",
                &self.reach.simulate,
            );
            waiting(step, title, tr("no alarm came yet"), &remedy)
        })
    }

    fn committed(&self) -> Tick {
        let (step, title) = (CheckStep::Committed, key("Alarm stored"));
        match &self.committed {
            Some((at, what)) if self.durable => done(step, title, *at, what.clone()),
            Some((at, what)) => {
                let tick = self.failed(step, title, &[FindingCode::Disk]);
                tick.unwrap_or_else(|| done(step, title, *at, fill("{}, in memory only", what)))
            }
            None => waiting(step, title, tr("there is no alarm yet"), ""),
        }
    }

    fn published(&self) -> Tick {
        let (step, title) = (CheckStep::Published, key("Alarm published"));
        if self.sinks.is_empty() {
            return failed(
                step,
                title,
                Severity::Error,
                tr("no sink is on").into(),
                tr("Set mqtt.server, nats.servers, notify.url or stdout.enabled.").into(),
            );
        }
        if self.acknowledged.is_some() || self.sinks.iter().any(|sink| 0 < sink.sent && sink.connected) {
            let names: Vec<&str> = self.sinks.iter().map(|sink| sink.name.as_str()).collect();
            let at = self.acknowledged.or_else(|| self.committed.as_ref().map(|(at, _)| *at));
            return Tick { at, ..done(step, title, Timestamp::UNIX_EPOCH, fill("to {}", names.join(", "))) };
        }
        self.sink_trouble(step, title)
            .unwrap_or_else(|| waiting(step, title, tr("there was nothing to publish yet"), ""))
    }

    fn acknowledged(&self) -> Tick {
        let (step, title) = (CheckStep::Acknowledged, key("Broker confirmed"));
        if let Some(at) = self.acknowledged {
            let names: Vec<&str> =
                self.sinks.iter().filter(|s| s.delivered > 0).map(|s| s.name.as_str()).collect();
            return done(step, title, at, names.join(", "));
        }
        self.sink_trouble(step, title)
            .unwrap_or_else(|| waiting(step, title, tr("nothing was acknowledged yet"), ""))
    }

    fn subscriber(&self) -> Tick {
        let (step, title) = (CheckStep::SomebodyListens, key("Subscriber present"));
        let heard = |wanted| self.sinks.iter().find(|sink| sink.heard == Some(wanted));
        if let Some(sink) = heard(true) {
            let at = sink.last_delivery.unwrap_or(Timestamp::UNIX_EPOCH);
            return done(step, title, at, fill("the latest alarm on {} had a subscriber", &sink.name));
        }
        if heard(false).is_some() {
            let tick = self.failed(step, title, &[FindingCode::NobodyListens]);
            return tick.unwrap_or_else(|| {
                failed(
                    step,
                    title,
                    Severity::Warning,
                    tr("nobody subscribed").into(),
                    tr("Subscribe to the topic of the Setup page.").into(),
                )
            });
        }
        if self.acknowledged.is_none() {
            return waiting(
                step,
                title,
                tr("nothing was acknowledged yet"),
                tr("Subscribe to the topic of the Setup page."),
            );
        }
        let remedy = tr("Look at your subscriber: does it get the alarms?");
        Tick {
            state: TickState::Unknown,
            ..waiting(step, title, tr("this broker does not say who subscribes"), remedy)
        }
    }

    /// Failed step, if a problem of a sink blocks it.
    fn sink_trouble(&self, step: CheckStep, title: &'static str) -> Option<Tick> {
        let codes = [
            FindingCode::BrokerRefused,
            FindingCode::BrokerTls,
            FindingCode::BrokerTakenOver,
            FindingCode::SinkBlocked,
            FindingCode::StreamMissing,
            FindingCode::BrokerUnreachable,
            FindingCode::Parked,
        ];
        self.failed(step, title, &codes)
    }

    /// Failed step, if one of these findings is present: the worst one blocks it. A finding of severity `info` does
    /// not block it.
    fn failed(&self, step: CheckStep, title: &'static str, codes: &[FindingCode]) -> Option<Tick> {
        let found = self.findings.iter().filter(|finding| codes.contains(&finding.kind.code));
        let finding = found.max_by_key(|finding| (finding.kind.severity, finding.last))?;
        let kind = finding.kind;
        let detail = format!("{}: {}", tr(kind.title), finding.detail);
        let tick = match kind.severity {
            Severity::Info => waiting(step, title, &detail, kind.remedy),
            severity @ (Severity::Warning | Severity::Error) => {
                failed(step, title, severity, detail, kind.remedy.into())
            }
        };
        Some(Tick { at: Some(finding.last), ..tick })
    }
}

fn done(step: CheckStep, title: &'static str, at: Timestamp, detail: String) -> Tick {
    Tick { step, title, state: TickState::Done, at: Some(at), detail, remedy: None, severity: None }
}

fn failed(step: CheckStep, title: &'static str, severity: Severity, detail: String, remedy: String) -> Tick {
    let (remedy, severity) = (Some(remedy), Some(severity));
    Tick { step, title, state: TickState::Failed, at: None, detail, remedy, severity }
}

/// A step that waits for earlier ones; an empty remedy means none.
fn waiting(step: CheckStep, title: &'static str, detail: &str, remedy: &str) -> Tick {
    let remedy = (!remedy.is_empty()).then(|| remedy.to_owned());
    let detail = detail.to_owned();
    Tick { step, title, state: TickState::Waiting, at: None, detail, remedy, severity: None }
}
