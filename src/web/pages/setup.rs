//! The Setup page: settings for the camera, and the steps of the delivery check.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;

use super::finding::FindingView;
use super::frame::moment::Moment;
use super::frame::{Chip, Frame, Tab};
use super::html;
use crate::findings::Severity;
use crate::model::mask;
use crate::web::chain::{CheckStep, Tick, TickState};
use crate::web::filters;
use crate::web::texts::{fill, tr};
use crate::web::words::{Prose, sentence};
use crate::web::{LOOPBACK, Problem, Reach, SecretDisplay, Web, WebhookInfo};
use code::UrlCode;

mod code;

/// The page.
#[derive(Debug, Template)]
#[template(path = "setup.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    ways: Vec<Way>,
    masked: bool,
    /// Reason why no camera can reach this host, if none can.
    unreachable: &'static str,
    subscribe: Option<String>,
    simulate: String,
    watch: String,
    steps: Vec<StepView>,
    mood: Chip,
    all_done: bool,
    findings: Vec<FindingView>,
}

/// Settings to type for one webhook.
#[derive(Debug)]
struct Way {
    title: String,
    values: Vec<Value>,
    /// The URL as a QR code, where its path is shown and other machines can reach it.
    code: Option<UrlCode>,
    hint: Option<String>,
}

/// One field of the camera's form.
#[derive(Debug)]
struct Value {
    key: &'static str,
    name: &'static str,
    text: String,
    /// Set if the value is hidden until the user asks for it.
    masked: bool,
    /// Set if the value has a button that copies it.
    copied: bool,
}

/// One step of the delivery check.
#[derive(Debug)]
struct StepView {
    code: String,
    number: usize,
    class: &'static str,
    sign: &'static str,
    title: &'static str,
    state: &'static str,
    at: Option<Moment>,
    detail: Prose,
    remedy: Prose,
}

/// Placeholder of a secret.
const MASKED_PATH: &str = "\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}";

/// Answers with the page.
pub(super) async fn page(
    State(web): State<Web>,
    frame: Frame,
    secrets: SecretDisplay,
) -> Result<Response, Problem> {
    show(&web, frame, secrets)
}

/// Answers with the page and secret paths, on request of the page's own form, which no other site can send.
pub(super) async fn reveal(State(web): State<Web>, frame: Frame) -> Result<Response, Problem> {
    show(&web, frame, SecretDisplay::Shown)
}

fn show(web: &Web, frame: Frame, secrets: SecretDisplay) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let reach = web.bridge.reach();
    let mut findings = web.findings.list();
    findings.retain(|finding| finding.kind.severity != Severity::Info && !finding.dismissed);
    let page = Page {
        ways: ways(&web.bridge.webhooks(), &reach, secrets),
        masked: secrets == SecretDisplay::Masked,
        unreachable: if reach.loopback { tr(LOOPBACK) } else { "" },
        subscribe: reach.mqtt.as_deref().map(|url| subscribe(url, &reach.events_topic)),
        watch: reach.simulate.replacen("simulate", "watch", 1),
        simulate: reach.simulate,
        mood: frame.mood.clone(),
        all_done: !frame.chain.is_empty() && frame.chain.iter().all(|tick| tick.state == TickState::Done),
        steps: frame.chain.iter().enumerate().map(|(at, tick)| StepView::new(at, tick, now)).collect(),
        findings: findings.into_iter().map(|finding| FindingView::new(finding, now)).collect(),
        frame: frame.of(Tab::Setup),
    };
    html(&page)
}

/// Settings to type, per webhook, without retired paths.
fn ways(webhooks: &[WebhookInfo], reach: &Reach, secrets: SecretDisplay) -> Vec<Way> {
    webhooks
        .iter()
        .filter(|webhook| webhook.until.is_none())
        .map(|webhook| Way::new(webhook, reach, secrets))
        .collect()
}

impl Way {
    fn new(webhook: &WebhookInfo, reach: &Reach, secrets: SecretDisplay) -> Self {
        let (protocol, port) = match (reach.http_port, reach.https_port) {
            (0, Some(port)) => ("HTTPS", port),
            (port, _) => ("HTTP", port),
        };
        let mut addresses = reach.addresses.iter();
        let host = addresses.next().cloned().unwrap_or_else(|| tr("the address of this machine").into());
        let others: Vec<&str> = addresses.map(String::as_str).collect();
        let mut hints = Vec::new();
        if !others.is_empty() {
            hints.push(fill(
                "This machine has other addresses too: {}. Take the one in the camera's network.",
                others.join(", "),
            ));
        }
        if let Some(port) = reach.https_port.filter(|_| protocol == "HTTP") {
            hints.push(fill("For HTTPS the port is {}.", port));
        }
        let value = |key, name, text: String| Value { key, name, text, masked: false, copied: true };
        if webhook.vendor != "auto" {
            hints.push(fill("It is for devices of the maker {}.", &webhook.vendor));
        }
        if let Some(device) = &webhook.device {
            hints.push(fill("Everything sent here belongs to the device {}.", device));
        }
        if !webhook.mapping.is_empty() {
            hints.push(fill("Reports are read with {}.", webhook.mapping.join(", ")));
        }
        let path = match secrets {
            SecretDisplay::Shown => value("path", tr("URL or path"), webhook.path.clone()),
            SecretDisplay::Masked => Value {
                masked: true,
                ..value("path", tr("URL or path"), mask::last_part(&webhook.path, MASKED_PATH))
            },
        };
        let url = format!("{}://{host}:{port}{}", protocol.to_lowercase(), webhook.path);
        let code = Some(url).filter(|_| secrets == SecretDisplay::Shown && !reach.loopback);
        Self {
            code: code.and_then(|url| UrlCode::new(&url)),
            title: fill("Webhook {}", &webhook.id),
            values: vec![
                value("host", tr("Host or IP"), host),
                path,
                value("protocol", tr("Protocol"), protocol.into()),
                value("port", tr("Port"), port.to_string()),
                Value { copied: false, ..value("picture", tr("Attach image"), tr("On").into()) },
            ],
            hint: (!hints.is_empty()).then(|| hints.join(" ")),
        }
    }
}

impl StepView {
    fn new(at: usize, tick: &Tick, now: Timestamp) -> Self {
        let (class, sign, state) = match (tick.state, tick.severity) {
            (TickState::Done, _) => ("done", "\u{2713}", tr("Done")),
            (TickState::Waiting, _) => ("", "\u{00b7}", tr("Waiting")),
            (TickState::Failed, Some(Severity::Warning)) => ("doubtful", "!", tr("Failed")),
            (TickState::Failed, _) => ("wrong", "!", tr("Failed")),
            (TickState::Unknown, _) => ("", "?", tr("Not known")),
        };
        Self {
            code: code(tick.step),
            number: at + 1,
            class,
            sign,
            title: tr(tick.title),
            state,
            at: tick.at.map(|at| Moment::new(at, now)),
            detail: sentence(&tick.detail).into(),
            remedy: tick.remedy.clone().unwrap_or_default().into(),
        }
    }
}

/// Stable name of a step.
fn code(step: CheckStep) -> String {
    serde_json::to_value(step).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Command that subscribes to a topic.
fn subscribe(url: &str, topic: &str) -> String {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "1883"));
    format!("mosquitto_sub -h {} -p {port} -v -t '{topic}'", host.trim_matches(['[', ']']))
}
