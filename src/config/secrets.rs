//! Secrets that stand in files: read once, put in place of the value.

use std::path::PathBuf;

use super::check::Check;
use super::keypath::KeyPath;
use super::{Config, Secret};

/// Reads every `…_file` into its secret.
pub(super) fn resolve(config: &mut Config, check: &mut Check<'_>) {
    let Config { admin, mqtt, nats, broker, webhooks, .. } = config;
    let pairs = [
        ("admin.password", &mut admin.password, &admin.password_file),
        ("admin.token", &mut admin.token, &admin.token_file),
        ("mqtt.password", &mut mqtt.password, &mqtt.password_file),
        ("nats.password", &mut nats.password, &nats.password_file),
        ("nats.token", &mut nats.token, &nats.token_file),
        ("nats.nkey", &mut nats.nkey, &nats.nkey_file),
        ("broker.password", &mut broker.password, &broker.password_file),
    ];
    for (key, secret, file) in pairs {
        place(&KeyPath::parse(key), secret, file.as_ref(), check);
    }
    for (at, webhook) in webhooks.iter_mut().enumerate() {
        let key = KeyPath::of(["webhooks".to_owned(), at.to_string(), "path".to_owned()]);
        place(&key, &mut webhook.path, webhook.path_file.as_ref(), check);
    }
}

/// Puts one secret in place. Of a value and a file in different layers the higher one counts.
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
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read {shown}: {error}; check the path and who may read it"))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err(format!("{shown} is empty: write the secret into it"));
    }
    Ok(text.to_owned())
}
