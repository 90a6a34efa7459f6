//! Reloading in a running bridge. Changes that look like an accident with the file are refused.

use std::path::PathBuf;

use super::load::{Loaded, load};
use super::mistake::{Mistake, Mistakes, Origin};
use super::sources::input::Sources;

/// Properties of the running configuration that a reload must not lose by accident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// File it was read from.
    pub file: Option<PathBuf>,
    /// Set if the file sets no key.
    pub file_is_empty: bool,
    /// Set if it has `[[webhooks]]`.
    pub has_webhooks: bool,
}

impl From<&Loaded> for Running {
    fn from(loaded: &Loaded) -> Self {
        Self {
            file: loaded.file.clone(),
            file_is_empty: loaded.file_is_empty,
            has_webhooks: !loaded.config.webhooks.is_empty(),
        }
    }
}

/// Loads the configuration again.
///
/// At the first start an absent or empty file is correct: everything has a default. While a bridge runs, it is caused
/// by an editor, a full disk or a volume being replaced, and paths that cameras use would be lost.
///
/// # Errors
/// All mistakes, as with [`load`]; otherwise the accident.
pub fn reload(sources: &Sources, running: &Running) -> Result<Loaded, Mistakes> {
    let loaded = load(sources)?;
    match accident(&loaded, running) {
        None => Ok(loaded),
        Some(text) => {
            let path = loaded.file.or_else(|| running.file.clone());
            let origin = path.map_or(Origin::Default, |path| Origin::File { path, line: 1 });
            Err(Mistakes(vec![Mistake { origin, key: String::new(), text }]))
        }
    }
}

/// Settings a configuration has lost that nobody removes while the bridge runs.
fn accident(loaded: &Loaded, running: &Running) -> Option<String> {
    if let Some(file) = &running.file
        && loaded.file.as_ref() != Some(file)
    {
        let found =
            loaded.file.as_ref().map(|other| format!(", only {}", other.display())).unwrap_or_default();
        return Some(format!(
            "the configuration file {} is no longer there{found}: put it back, or restart alarmbus to run without it",
            file.display()
        ));
    }
    if loaded.file_is_empty && !running.file_is_empty {
        return Some(
            "the file sets no key any more: write it again, or restart alarmbus to run with defaults".into(),
        );
    }
    if loaded.config.webhooks.is_empty() && running.has_webhooks {
        return Some(
            "no [[webhooks]] is left, and cameras may use the paths they had: write at least one, or restart alarmbus \
             to remove them all"
                .into(),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Running, reload};
    use crate::config::{Sources, load};

    const FULL: &str = "[limits]\nconnections = 5\n[[webhooks]]\npath = \"/alarm/0123456789abcdef\"\n";

    /// Message of a reload of the second text in a bridge started with the first; `None` if it is accepted.
    fn message_of(folder: &Path, before: &str, after: Option<&str>) -> Option<String> {
        let file = folder.join("alarmbus.toml");
        let sources = Sources { search: vec![file.clone(), folder.join("other.toml")], ..Sources::default() };
        std::fs::write(&file, before).unwrap();
        let running = Running::from(&load(&sources).unwrap());
        match after {
            Some(after) => std::fs::write(&file, after).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        reload(&sources, &running).err().map(|mistakes| mistakes.to_string())
    }

    #[test]
    fn what_looks_like_an_accident_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        for (after, expected) in [
            (None, "is no longer there: put it back"),
            (Some(""), "sets no key any more"),
            (Some("# nothing\n"), "sets no key any more"),
            (Some("[limits]\nconnections = 5\n"), "no [[webhooks]] is left"),
            (Some("webhooks = []\n"), "no [[webhooks]] is left"),
            (Some("[[webhooks]]\npath = \"/alarm/01234"), "this is not valid TOML"),
        ] {
            let text = message_of(folder.path(), FULL, after).unwrap_or_default();
            assert!(text.contains(expected), "{after:?}: {text}");
        }
        std::fs::write(folder.path().join("other.toml"), FULL).unwrap();
        let text = message_of(folder.path(), FULL, None).unwrap();
        assert!(text.contains("no longer there, only") && text.contains("other.toml"), "{text}");
    }

    #[test]
    fn what_was_never_there_is_not_missed() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(message_of(folder.path(), "", Some("")), None);
        assert_eq!(
            message_of(folder.path(), "[limits]\nconnections = 5\n", Some("[log]\nlevel = \"debug\"\n")),
            None
        );
        assert_eq!(message_of(folder.path(), FULL, Some(&FULL.replace("0123", "4567"))), None);
    }
}
