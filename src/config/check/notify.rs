//! Checks of the `notify` sink.

use std::collections::BTreeSet;

use url::Url;

use super::Check;
use crate::config::notify::{NotifyFormat, NotifyPicture, VARIABLES, engine};
use crate::config::{KeyPath, Notify, Secret};
use crate::model::device::slug::slug;

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
        for event in &self.events {
            if slug(event).as_deref() != Some(event.as_str()) {
                check.wrong(
                    "notify.events",
                    format!("{event:?} is no kind of event: write one such as \"person\""),
                );
            }
        }
        if self.format == NotifyFormat::Ntfy && self.picture == NotifyPicture::Base64 {
            check.wrong("notify.picture", "ntfy takes a picture as a file: write \"attach\" or \"none\"");
        }
        if self.format == NotifyFormat::Ntfy && self.body.is_some() {
            check.wrong("notify.body", "ntfy has title and message: set those, or format = \"json\"");
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
            } else if name.eq_ignore_ascii_case("authorization") && self.token.is_some() {
                check.mistake(&key, "notify.token is given too: choose one of the two");
            }
        }
    }

    /// Checks that templates can be read and name only fields that an alarm has.
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
                let text = format!("{name:?} is no field of an alarm: use {}", VARIABLES.join(", "));
                check.wrong(&format!("notify.{key}"), text);
            }
        }
    }
}
