//! The Setup page: what to type into the camera, and the chain of ticks that turns green as alarms arrive.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;

use super::finding::FindingView;
use super::frame::{Chip, Frame, Tab};
use super::html;
use super::moment::{Moment, sentence};
use crate::findings::Severity;
use crate::web::chain::{self, Step, Tick, TickState};
use crate::web::secrets::masked;
use crate::web::{Problem, Reach, Secrets, Web, WebhookInfo};

/// The page.
#[derive(Debug, Template)]
#[template(path = "setup.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    ways: Vec<Way>,
    masked: bool,
    subscribe: Option<String>,
    steps: Vec<StepView>,
    mood: Chip,
    all_done: bool,
    findings: Vec<FindingView>,
}

/// What to type for one webhook.
#[derive(Debug)]
struct Way {
    title: String,
    values: Vec<Value>,
    hint: Option<String>,
}

/// One field of the camera's form.
#[derive(Debug)]
struct Value {
    key: &'static str,
    name: &'static str,
    text: String,
    /// Shown only when asked for.
    masked: bool,
    /// Worth a button that copies it.
    copied: bool,
}

/// One link of the chain.
#[derive(Debug)]
struct StepView {
    code: String,
    class: &'static str,
    sign: &'static str,
    title: &'static str,
    state: &'static str,
    at: Option<Moment>,
    detail: String,
    remedy: String,
}

/// In place of a secret.
const DOTS: &str = "\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}";

/// Answers with the page.
pub(super) async fn page(State(web): State<Web>, secrets: Secrets) -> Result<Response, Problem> {
    show(&web, secrets).await
}

/// The same with secret paths: asked for by the page's own form, which no other site can send.
pub(super) async fn reveal(State(web): State<Web>) -> Result<Response, Problem> {
    show(&web, Secrets::Shown).await
}

async fn show(web: &Web, secrets: Secrets) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let chain = chain::chain(web).await?;
    let reach = web.bridge.reach();
    let mut findings = web.findings.list();
    findings.retain(|finding| finding.kind.severity != Severity::Info);
    let page = Page {
        frame: Frame::new(Tab::Setup, None, &web.findings, now),
        ways: ways(&web.bridge.webhooks(), &reach, secrets),
        masked: secrets == Secrets::Masked,
        subscribe: reach.mqtt.as_deref().map(|url| subscribe(url, &reach.events_topic)),
        mood: mood(&chain),
        all_done: chain.iter().all(|tick| tick.state == TickState::Done),
        steps: chain.into_iter().map(|tick| StepView::new(tick, now)).collect(),
        findings: findings.into_iter().map(|finding| FindingView::new(finding, now)).collect(),
    };
    html(&page)
}

/// What to type, a webhook each; paths that are on their way out are not for new cameras.
fn ways(webhooks: &[WebhookInfo], reach: &Reach, secrets: Secrets) -> Vec<Way> {
    webhooks
        .iter()
        .filter(|webhook| webhook.until.is_none())
        .map(|webhook| Way::new(webhook, reach, secrets))
        .collect()
}

impl Way {
    fn new(webhook: &WebhookInfo, reach: &Reach, secrets: Secrets) -> Self {
        let (protocol, port) = match (reach.http_port, reach.https_port) {
            (0, Some(port)) => ("HTTPS", port),
            (port, _) => ("HTTP", port),
        };
        let mut addresses = reach.addresses.iter();
        let host = addresses.next().cloned().unwrap_or_else(|| "the address of this machine".into());
        let others: Vec<&str> = addresses.map(String::as_str).collect();
        let mut hints = Vec::new();
        if !others.is_empty() {
            hints.push(format!(
                "This machine has other addresses too: {}. Take the one in the camera's network.",
                others.join(", ")
            ));
        }
        if let Some(port) = reach.https_port.filter(|_| protocol == "HTTP") {
            hints.push(format!("For HTTPS the port is {port}."));
        }
        let value = |key, name, text: String| Value { key, name, text, masked: false, copied: true };
        let path = match secrets {
            Secrets::Shown => value("path", "URL or path", webhook.path.clone()),
            Secrets::Masked => {
                Value { masked: true, ..value("path", "URL or path", masked(&webhook.path, DOTS)) }
            }
        };
        Self {
            title: format!("Webhook {}", webhook.id),
            values: vec![
                value("host", "Host or IP", host),
                path,
                value("protocol", "Protocol", protocol.into()),
                value("port", "Port", port.to_string()),
                Value { copied: false, ..value("picture", "Attach image", "On".into()) },
            ],
            hint: (!hints.is_empty()).then(|| hints.join(" ")),
        }
    }
}

impl StepView {
    fn new(tick: Tick, now: Timestamp) -> Self {
        let (class, sign, state) = match tick.state {
            TickState::Done => ("done", "\u{2713}", "Done"),
            TickState::Waiting => ("", "\u{00b7}", "Waiting"),
            TickState::Failed => ("wrong", "!", "In the way"),
            TickState::Unknown => ("", "?", "Cannot be told"),
        };
        Self {
            code: code(tick.step),
            class,
            sign,
            title: tick.title,
            state,
            at: tick.at.map(|at| Moment::new(at, now)),
            detail: sentence(&tick.detail),
            remedy: tick.remedy.unwrap_or_default(),
        }
    }
}

/// The step's stable name.
fn code(step: Step) -> String {
    serde_json::to_value(step).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The chain in a few words.
fn mood(chain: &[Tick]) -> Chip {
    let count = |state| chain.iter().filter(|tick| tick.state == state).count();
    match (count(TickState::Failed), count(TickState::Waiting)) {
        (0, 0) => Chip::new("ok", "All the way"),
        (0, _) => Chip::new("", format!("{} of {} steps", count(TickState::Done), chain.len())),
        _ => Chip::new("bad", "Something is in the way"),
    }
}

/// The command that shows what comes.
fn subscribe(url: &str, topic: &str) -> String {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "1883"));
    format!("mosquitto_sub -h {} -p {port} -v -t '{topic}'", host.trim_matches(['[', ']']))
}
