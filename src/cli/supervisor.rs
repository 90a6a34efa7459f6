//! Home Assistant app: values of its settings dialog, and the broker known to the Supervisor.
//!
//! The Supervisor gives an app a token (`SUPERVISOR_TOKEN`), writes the dialog's values to `options.json` in the
//! app's data folder, which is the storage folder, and answers at `http://supervisor`. Without the token this module
//! does nothing; with it, only the Supervisor is contacted, and only for the address of the broker.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::Global;
use super::diagnosis::healthcheck;
use crate::app::sinks::wants_embedded;
use crate::config::{self, Flag, Sources};
use crate::terminal::{Code, Failure};

/// File with the dialog's values, in the storage folder.
const OPTIONS: &str = "options.json";
/// Options that are keys of the configuration, in the order of the dialog.
const KEYS: [(&str, &str); 6] = [
    ("mqtt_server", "mqtt.server"),
    ("mqtt_user", "mqtt.user"),
    ("mqtt_password", "mqtt.password"),
    ("public_url", "admin.public_url"),
    ("timezone", "time.timezone"),
    ("log_level", "log.level"),
];
/// Option for all other keys: lines of KEY=VALUE.
const SETTINGS: &str = "settings";
/// Maximum time for an answer of the Supervisor.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The Supervisor's answer about the broker.
#[derive(Deserialize)]
struct Broker {
    host: String,
    port: Value,
    ssl: Option<bool>,
    username: Option<String>,
    password: Option<String>,
}

/// Adds the options of the app. Returns the token, if this is an app.
///
/// # Errors
/// When options cannot be read, or an option names no key.
pub(super) fn add_options(sources: &mut Sources) -> Result<Option<String>, Failure> {
    let Some(token) = std::env::var("SUPERVISOR_TOKEN").ok().filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    let folder = config::load(sources)?.config.storage.path;
    // Flags on the command line override the dialog.
    sources.flags.splice(0..0, options(&folder.join(OPTIONS))?);
    Ok(Some(token))
}

/// The sources with the Supervisor's broker added, unless they name one; and a notice about it.
///
/// # Errors
/// When the configuration is wrong, or the Supervisor does not answer.
pub(super) fn with_broker(global: &Global, more: Vec<Flag>) -> Result<(Sources, Option<String>), Failure> {
    let (mut sources, token) = global.sources_and_token(more)?;
    let Some(token) = token else { return Ok((sources, None)) };
    if !wants_embedded(&config::load(&sources)?.config) {
        return Ok((sources, None));
    }
    let host = std::env::var("SUPERVISOR").unwrap_or_else(|_| "supervisor".into());
    match broker(&host, &token)? {
        Ok(flags) => {
            sources.flags.extend(flags);
            Ok((sources, None))
        }
        Err(reason) => Ok((
            sources,
            Some(format!(
                "the Supervisor knows no MQTT broker ({reason}): install the Mosquitto broker and start this again"
            )),
        )),
    }
}

/// The options as flags.
fn options(file: &Path) -> Result<Vec<Flag>, Failure> {
    let refuse = |why: String| Failure::new(Code::Config, format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file)
        .map_err(|error| refuse(format!("cannot be read: {error}; is this folder the app's own (/data)?")))?;
    let options: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|error| refuse(format!("is not a JSON object: {error}; save the app's settings again")))?;
    let mut flags = Vec::new();
    for (name, value) in &options {
        let lines = match (name.as_str(), value) {
            (_, Value::Null) => continue,
            (SETTINGS, Value::Array(lines)) => lines.as_slice(),
            _ => {
                let key = KEYS.iter().find(|(option, _)| option == name).map(|(_, key)| *key);
                let key = key.ok_or_else(|| refuse(format!("there is no option {name}")))?;
                let value = text_of(value)
                    .ok_or_else(|| refuse(format!("option {name} must be a text, not {value}")))?;
                if !value.is_empty() {
                    flags.push(flag(name, key, value));
                }
                continue;
            }
        };
        for line in lines {
            let (key, value) = line
                .as_str()
                .and_then(|line| line.split_once('='))
                .ok_or_else(|| refuse(format!("option {SETTINGS}: write KEY=VALUE, not {line}")))?;
            flags.push(flag(SETTINGS, key.trim(), value.trim().to_owned()));
        }
    }
    Ok(flags)
}

/// Flag for an option.
fn flag(option: &str, key: &str, value: String) -> Flag {
    Flag { name: format!("option {option}"), key: key.to_owned(), value }
}

/// Text of a scalar value.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Flags for the Supervisor's broker; or its reason for naming none.
fn broker(host: &str, token: &str) -> Result<Result<Vec<Flag>, String>, Failure> {
    let unavailable = |why: String| {
        let text =
            format!("the Supervisor does not report the address of the MQTT broker: {why}; set mqtt_server");
        Failure::new(Code::Unavailable, text)
    };
    let url = format!("http://{host}/services/mqtt");
    let url = Url::parse(&url).map_err(|error| unavailable(format!("{url}: {error}")))?;
    let headers = format!("Authorization: Bearer {token}\r\n");
    let (status, body) =
        healthcheck::ask(&url, &headers, TIMEOUT).map_err(|error| unavailable(error.to_string()))?;
    let mut answer: Value = serde_json::from_str(&body)
        .map_err(|error| unavailable(format!("{url} answers {status}, which is not JSON: {error}")))?;
    if status != 200 {
        let message = answer.get("message").and_then(Value::as_str).unwrap_or("no reason given");
        // 400: there is no such service. Other statuses are errors of the Supervisor.
        let reason = format!("{message} ({status})");
        return if status == 400 { Ok(Err(reason)) } else { Err(unavailable(reason)) };
    }
    let data = answer.get_mut("data").map(Value::take).unwrap_or_default();
    let broker: Broker = serde_json::from_value(data)
        .map_err(|error| unavailable(format!("its answer is incomplete: {error}")))?;
    Ok(Ok(broker.flags()))
}

impl Broker {
    /// Converts the broker into flags.
    fn flags(self) -> Vec<Flag> {
        let scheme = if self.ssl == Some(true) { "mqtts" } else { "mqtt" };
        let port = text_of(&self.port).unwrap_or_default();
        let mut values = vec![("mqtt.server", format!("{scheme}://{}:{port}", self.host))];
        let login = [("mqtt.user", self.username), ("mqtt.password", self.password)];
        values.extend(login.into_iter().filter_map(|(key, value)| {
            let value = value.filter(|value| !value.is_empty())?;
            Some((key, value))
        }));
        let flag =
            |(key, value): (&str, String)| Flag { name: "the Supervisor".into(), key: key.to_owned(), value };
        values.into_iter().map(flag).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::options;

    #[test]
    fn options_become_keys_and_empty_ones_do_not_count() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            options(file.path())
        };
        let flags =
            read(r#"{"mqtt_server": "", "log_level": "debug", "settings": ["broker.bind = 127.0.0.1:0"]}"#);
        let flags: Vec<_> = flags.unwrap().into_iter().map(|flag| (flag.key, flag.value)).collect();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(flags, [pair("log.level", "debug"), pair("broker.bind", "127.0.0.1:0")]);
        for (text, expected) in [
            ("[]", "not a JSON object"),
            (r#"{"banana": "x"}"#, "there is no option banana"),
            (r#"{"log_level": ["x"]}"#, "option log_level must be a text"),
            (r#"{"settings": ["x"]}"#, "write KEY=VALUE"),
        ] {
            let message = read(text).unwrap_err().message;
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
