//! Checks of the `notify` sink.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use url::{ParseError, Url};

use super::Check;
use crate::config::nearest::nearest;
use crate::config::notify::{NotifyFormat, NotifyPicture, VARIABLES, engine};
use crate::config::{KeyPath, Notify, Secret};
use crate::model::EventName;
use crate::model::device::slug::slug;
use crate::model::event::KINDS;

/// Headers that no configuration can set, since they belong to the connection.
const OWN_HEADERS: [&str; 5] = ["host", "content-length", "transfer-encoding", "connection", "te"];

/// Names that a template may use besides the fields of an alarm; `picture` is there with `picture = "base64"`.
const OTHERS: [&str; 4] = ["range", "dict", "namespace", "picture"];

impl Notify {
    /// Checks address, headers, templates, and what belongs together.
    pub(in crate::config) fn check(&self, check: &mut Check<'_>) {
        check.within("notify.timeout_seconds", self.timeout_seconds, 1, 120);
        check.filled("notify.token", self.token.as_ref().map(Secret::expose));
        self.check_address(check);
        self.check_headers(check);
        self.check_templates(check);
        self.check_events(check);
        if self.format == NotifyFormat::Ntfy && self.picture == NotifyPicture::Base64 {
            check.wrong("notify.picture", "ntfy takes a picture as a file: write \"attach\" or \"none\"");
        }
        if self.format == NotifyFormat::Ntfy && self.body.is_some() {
            check.wrong("notify.body", "ntfy has title and message: set those, or format = \"json\"");
        }
    }

    /// Checks the kinds. One that the catalogue does not have may be from a mapping or a new camera, so it is only warned of.
    fn check_events(&self, check: &mut Check<'_>) {
        for event in &self.events {
            if slug(event).as_deref() != Some(event.as_str()) {
                let text = format!("{event:?} is no kind of event: write one such as \"person\"");
                check.wrong("notify.events", text);
            } else if EventName::new(event).kind().is_none() {
                let near = nearest(event, KINDS.iter().map(|kind| kind.slug));
                let near = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
                let text = format!("{event:?} is no usual kind of event: only a mapping can make it{near}");
                check.warn(&"notify.events".into(), text);
            }
        }
    }

    /// Checks the address; a message never shows its path.
    fn check_address(&self, check: &mut Check<'_>) {
        let Some(url) = self.url.as_ref().map(Secret::expose) else {
            let given = self.token.is_some() || !self.headers.is_empty();
            if given && check.is_sound("notify.url") {
                let text = "it is missing, so nothing is notified: write \"https://host/path\"";
                check.warn(&"notify.url".into(), text);
            }
            return;
        };
        let problem = match Url::parse(url) {
            Err(ParseError::RelativeUrlWithoutBase) => Some("it has no scheme, such as https://".into()),
            Err(error) => Some(format!("it is no address: {error}")),
            Ok(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
                Some("it is no http:// or https:// address".into())
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                Some("user and password do not belong into it: set notify.token or notify.headers".into())
            }
            Ok(url) if url.scheme() == "http" && (self.ca.is_some() || self.insecure) => {
                Some("settings of TLS are given, but it is no https:// address".into())
            }
            Ok(_) => None,
        };
        if let Some(problem) = problem {
            check.wrong(
                "notify.url",
                format!("{problem}; write one such as \"https://ntfy.example/cameras\""),
            );
        }
    }

    fn check_headers(&self, check: &mut Check<'_>) {
        for (name, value) in &self.headers {
            let key = KeyPath::of(["notify", "headers", name.as_str()]);
            if hyper::header::HeaderName::from_bytes(name.as_bytes()).is_err() {
                check.mistake(&key, "this is no name of a header: use letters, digits and \"-\"");
            } else if hyper::header::HeaderValue::from_str(value.expose()).is_err() {
                check.mistake(&key, "the value holds a line end or another control character: remove it");
            } else if OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                check.mistake(&key, "each request has its own: remove it");
            } else if name.eq_ignore_ascii_case("content-type")
                && self.format == NotifyFormat::Json
                && self.picture == NotifyPicture::Attach
            {
                let text =
                    "a request with a picture has its own: remove it, or write notify.picture = \"none\"";
                check.mistake(&key, text);
            } else if name.eq_ignore_ascii_case("authorization") && self.token.is_some() {
                check.mistake(&key, "notify.token is given too: choose one of the two");
            }
        }
    }

    /// Checks that templates can be read, name only fields that an alarm has, and can be filled.
    fn check_templates(&self, check: &mut Check<'_>) {
        let (engine, wrong) = engine(self);
        for (key, text) in wrong {
            check.wrong(&format!("notify.{key}"), text);
        }
        for (key, _) in self.templates() {
            let Ok(template) = engine.get_template(key) else { continue };
            let known = |name: &String| VARIABLES.contains(&name.as_str()) || OTHERS.contains(&name.as_str());
            let unknown: BTreeSet<String> =
                template.undeclared_variables(false).into_iter().filter(|name| !known(name)).collect();
            for name in unknown {
                let near = nearest(&name, VARIABLES);
                let near = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
                let text = format!("{name:?} is no field of an alarm: use {}{near}", VARIABLES.join(", "));
                check.wrong(&format!("notify.{key}"), text);
            }
            self.check_filled(check, key, &template);
        }
    }
    /// Checks that a template can be filled for an alarm with every field, and for one with none that may be absent.
    fn check_filled(&self, check: &mut Check<'_>, key: &'static str, template: &minijinja::Template<'_, '_>) {
        let name = format!("notify.{key}");
        let fill = |alarm: Value| match template.render(minijinja::value::Serde(alarm)) {
            Ok(text) => Ok(text),
            Err(error) => {
                let line = error.line().unwrap_or(1);
                let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
                Err(format!("line {line} of the template: {detail}"))
            }
        };
        let mut full = sample();
        if self.picture == NotifyPicture::Base64
            && let Some(fields) = full.as_object_mut()
        {
            fields.insert("picture".into(), "/9j/".into());
        }
        let text = match fill(full) {
            Err(why) => {
                let text = format!("it cannot be filled: {why}; docs/notifications.md has examples");
                return check.wrong(&name, text);
            }
            Ok(text) => text,
        };
        if key == "body"
            && self.format == NotifyFormat::Json
            && text.trim_start().starts_with(['{', '['])
            && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&text)
        {
            let text = format!("it makes no JSON ({error}): quote values with the filter tojson");
            check.warn(&name.as_str().into(), text);
        }
        if let Err(why) = fill(sparse()) {
            let text = format!(
                "it cannot be filled where the alarm has no such value: {why}; write {{% if … %}} around it"
            );
            check.warn(&name.as_str().into(), text);
        }
    }
}

/// An alarm with every field.
fn sample() -> Value {
    json!({
        "schema": 1, "id": "019ab6c2-5f0e-7c11-9d0a-3b6d6c1f6d10", "seq": 18231, "event": "person",
        "event_type": "person", "event_raw": "PEOPLE", "title": "Person", "phase": "start", "repeat": 0,
        "activity_id": "019ab6c2-5f0e-7c11-9d0a-3b6d6c1f6d10", "replayed": false, "muted": false,
        "source": "98ba5f8b1003",
        "device": {"mac": "98:ba:5f:8b:10:03", "name": "Say \"hello\"", "reported_name": "InSight",
            "ip": "192.0.2.10", "vendor": "vigi", "kind": "camera", "channel": 1, "parent": "98ba5f8b1000"},
        "time": "2026-10-05T16:25:31+08:00", "time_raw": "2026-10-05 16:25:31", "time_source": "device",
        "received_at": "2026-10-05T08:25:32.104Z", "clock_offset_ms": -1104, "count": 2, "regions": [1],
        "boxes": [{"x": 0.2, "y": 0.4, "width": 0.1, "height": 0.5}], "details": {"plate": "B AB 123"},
        "snapshot": {"topic": null, "url": "http://192.0.2.1/a.jpg", "bytes": 184_211, "sha256": "0",
            "width": 2688, "height": 1520, "object": null, "problem": null},
        "extra": {}, "truncated": false,
    })
}

/// An alarm without the values that may be absent.
fn sparse() -> Value {
    let mut alarm = sample();
    if let Some(fields) = alarm.as_object_mut() {
        for absent in ["activity_id", "count", "clock_offset_ms", "time_raw", "snapshot"] {
            fields.insert(absent.into(), Value::Null);
        }
        for (empty, value) in [("regions", json!([])), ("boxes", json!([])), ("details", json!({}))] {
            fields.insert(empty.into(), value);
        }
        if let Some(device) = fields.get_mut("device").and_then(Value::as_object_mut) {
            for absent in ["mac", "reported_name", "ip", "channel", "parent"] {
                device.insert(absent.into(), Value::Null);
            }
        }
    }
    alarm
}
