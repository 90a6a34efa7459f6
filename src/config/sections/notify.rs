//! The `notify` sink: where notifications go over HTTP, and which alarms become one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use minijinja::{Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::config::Secret;
use crate::model::picture::variant::PictureForm;

/// Variables of a template: the fields of an alarm's published JSON.
pub const VARIABLES: [&str; 26] = [
    "schema",
    "id",
    "seq",
    "event",
    "event_type",
    "event_raw",
    "title",
    "phase",
    "repeat",
    "activity_id",
    "replayed",
    "muted",
    "source",
    "device",
    "time",
    "time_raw",
    "time_source",
    "received_at",
    "clock_offset_ms",
    "count",
    "regions",
    "boxes",
    "details",
    "snapshot",
    "extra",
    "truncated",
];

/// Length from which on a part of the address is masked.
const SHORTEST_SECRET: usize = 3;
/// Length from which on a part of the path that is not the last one is masked by itself.
const LONG_PART: usize = 9;
/// Steps a template may take; a loop that does not end stops there.
const FUEL: u64 = 50_000;

/// Notifications over HTTP: an ntfy server, or any service with an incoming webhook.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// Address that notifications are sent to; absent: no notifications. It may hold a secret, so it is never shown.
    pub url: Option<Secret>,
    /// File with the address.
    pub url_file: Option<PathBuf>,
    /// Form of a notification.
    pub format: NotifyFormat,
    /// Method of the request.
    pub method: NotifyMethod,
    /// Token for `Authorization: Bearer`.
    pub token: Option<Secret>,
    /// File with the token.
    pub token_file: Option<PathBuf>,
    /// More headers of each request, by name.
    pub headers: BTreeMap<String, Secret>,
    /// Template of the title (ntfy).
    pub title: String,
    /// Template of the text (ntfy).
    pub message: String,
    /// Template of the priority, 1 to 5 (ntfy).
    pub priority: String,
    /// Template of the tags, separated by commas (ntfy).
    pub tags: String,
    /// Template of the address that a tap opens (ntfy).
    pub click: String,
    /// Template of the body in place of the alarm's JSON (json).
    pub body: Option<String>,
    /// Way that the picture goes along.
    pub picture: NotifyPicture,
    /// Variant of the picture that goes along; absent: the picture itself.
    pub picture_form: Option<PictureForm>,
    /// Kinds that are notified; empty: all.
    pub events: Vec<String>,
    /// Devices that are notified, by source, MAC, IP address or name; empty: all.
    pub devices: Vec<String>,
    /// Notify muted alarms too.
    pub muted: bool,
    /// Notify repeats within an activity too.
    pub repeats: bool,
    /// CA certificates (PEM) in place of the system's.
    pub ca: Option<PathBuf>,
    /// Do not check the server's certificate.
    pub insecure: bool,
    /// Longest time for one request, in seconds.
    pub timeout_seconds: u64,
}

/// Form of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyFormat {
    /// The headers of ntfy; the picture is the body.
    Ntfy,
    /// A JSON document.
    Json,
}

/// Method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotifyMethod {
    /// `POST`
    #[serde(rename = "POST")]
    Post,
    /// `PUT`
    #[serde(rename = "PUT")]
    Put,
}

/// Way that a picture goes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyPicture {
    /// As a file: the body of ntfy, a part of multipart/form-data beside JSON.
    Attach,
    /// As base64 in the JSON, key `picture`.
    Base64,
    /// Not at all.
    None,
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            format: NotifyFormat::Ntfy,
            method: NotifyMethod::Post,
            token: None,
            token_file: None,
            headers: BTreeMap::new(),
            title: "{{ title }}: {{ device.name }}".into(),
            message:
                "{{ time[:10] }} {{ time[11:16] }}{% if details.plate %}, {{ details.plate }}{% endif %}"
                    .into(),
            priority: String::new(),
            tags: String::new(),
            click: String::new(),
            body: None,
            picture: NotifyPicture::Attach,
            picture_form: None,
            events: Vec::new(),
            devices: Vec::new(),
            muted: false,
            repeats: false,
            ca: None,
            insecure: false,
            timeout_seconds: 8,
        }
    }
}

impl Notify {
    /// Everything of address, token and headers that is a secret, or may be one: none of it is ever shown.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let address = self.url.as_ref().map(Secret::expose).unwrap_or_default();
        let mut all = vec![address.to_owned()];
        if let Ok(url) = Url::parse(address) {
            all.extend([url.path(), url.query().unwrap_or_default()].map(str::to_owned));
            let mut parts = url.path_segments().into_iter().flatten().filter(|part| !part.is_empty());
            all.extend(parts.next_back().map(str::to_owned));
            all.extend(parts.filter(|part| LONG_PART <= part.len()).map(str::to_owned));
            all.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
            all.extend([url.username(), url.password().unwrap_or_default()].map(str::to_owned));
        }
        for secret in self.token.iter().chain(self.headers.values()) {
            // The scheme of `Authorization` is no secret.
            all.extend(secret.expose().split_whitespace().last().map(str::to_owned));
            all.push(secret.expose().to_owned());
        }
        all.retain(|secret| SHORTEST_SECRET <= secret.len());
        all
    }

    /// The templates with their keys.
    #[must_use]
    pub fn templates(&self) -> [(&'static str, &str); 6] {
        [
            ("title", &self.title),
            ("message", &self.message),
            ("priority", &self.priority),
            ("tags", &self.tags),
            ("click", &self.click),
            ("body", self.body.as_deref().unwrap_or_default()),
        ]
    }
}

/// A template engine with one template for each key, and the keys of the templates that cannot be read, with the reason.
#[must_use]
pub fn engine(notify: &Notify) -> (Environment<'static>, Vec<(&'static str, String)>) {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Chainable);
    engine.set_fuel(Some(FUEL));
    let mut wrong = Vec::new();
    for (key, template) in notify.templates() {
        if let Err(error) = engine.add_template_owned(key, template.to_owned()) {
            let detail = error.detail().unwrap_or("it cannot be read").to_owned();
            let line = error.line().unwrap_or(1);
            let remedy = "docs/notifications.md has examples";
            wrong.push((key, format!("line {line} of the template: {detail}; {remedy}")));
        }
    }
    (engine, wrong)
}
