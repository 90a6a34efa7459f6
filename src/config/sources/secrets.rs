//! Secrets in files: read once, and put in place of the value.

use std::path::PathBuf;

use crate::config::check::Check;
use crate::config::{Config, KeyPath, Secret};

/// A secret: its key, its value, the file that may hold it.
type Entry<'a> = (KeyPath, &'a mut Option<Secret>, Option<&'a PathBuf>);

/// Every secret of a configuration.
pub(crate) fn all(config: &mut Config) -> Vec<Entry<'_>> {
    let Config { admin, mqtt, nats, cluster, notify, broker, webhooks, .. } = config;
    let mut all: Vec<Entry<'_>> = [
        ("admin.password", &mut admin.password, &admin.password_file),
        ("admin.token", &mut admin.token, &admin.token_file),
        ("mqtt.password", &mut mqtt.password, &mqtt.password_file),
        ("nats.password", &mut nats.password, &nats.password_file),
        ("nats.token", &mut nats.token, &nats.token_file),
        ("nats.nkey", &mut nats.nkey, &nats.nkey_file),
        ("cluster.password", &mut cluster.password, &cluster.password_file),
        ("cluster.token", &mut cluster.token, &cluster.token_file),
        ("cluster.nkey", &mut cluster.nkey, &cluster.nkey_file),
        ("notify.url", &mut notify.url, &notify.url_file),
        ("notify.token", &mut notify.token, &notify.token_file),
        ("broker.password", &mut broker.password, &broker.password_file),
    ]
    .into_iter()
    .map(|(key, secret, file)| (KeyPath::parse(key), secret, file.as_ref()))
    .collect();
    for (at, webhook) in webhooks.iter_mut().enumerate() {
        let key = KeyPath::parse(&format!("webhooks.{at}.path"));
        all.push((key, &mut webhook.path, webhook.path_file.as_ref()));
    }
    all
}

/// Reads every `…_file` into its secret.
pub(crate) fn resolve(config: &mut Config, check: &mut Check<'_>) {
    for (key, secret, file) in all(config) {
        place(&key, secret, file, check);
    }
}

/// Sets one secret. Of a value and a file in different layers, the higher layer is used.
fn place(key: &KeyPath, secret: &mut Option<Secret>, file: Option<&PathBuf>, check: &mut Check<'_>) {
    let Some(file) = file else { return };
    let file_key = KeyPath::parse(&format!("{key}_file"));
    if secret.is_some() {
        match check.rank(key).cmp(&check.rank(&file_key)) {
            std::cmp::Ordering::Greater => return,
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => {
                check.mistake(&file_key, format!("{key} is given too: remove one of the two"));
                return;
            }
        }
    }
    match read(file) {
        Ok(text) => *secret = Some(Secret::new(text)),
        Err(text) => check.mistake(&file_key, text),
    }
}

/// The contents of a secret's file, less one newline at the end.
fn read(file: &PathBuf) -> Result<String, String> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => {
            format!("{shown} is not UTF-8 text: write the secret in plain characters")
        }
        _ => format!("cannot read {shown}: {error}; check the path and its permissions"),
    })?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if text.trim().is_empty() {
        return Err(format!("{shown} is empty: write the secret into it"));
    }
    Ok(text.to_owned())
}
