//! Mapping files of webhooks, read with the configuration.

use std::path::Path;

use super::read::read_files;
use crate::config::check::Check;
use crate::config::mistake::Origin;
use crate::config::{Config, KeyPath};

/// Reads the mapping files of every webhook; a relative path begins at the folder of the configuration file.
pub(in crate::config) fn resolve(config: &mut Config, base: &Path, check: &mut Check<'_>) {
    for (at, webhook) in config.webhooks.iter_mut().enumerate() {
        let key = KeyPath::of(["webhooks".to_owned(), at.to_string(), "mapping".to_owned()]);
        match read_files(&webhook.mapping, base) {
            Ok((mappings, warnings)) => {
                webhook.mappings = mappings;
                check.warnings.extend(warnings);
            }
            Err(mistakes) => {
                for mistake in mistakes.0 {
                    match mistake.origin {
                        // A missing file is a mistake of the line that names it.
                        Origin::Default => check.mistake(&key, mistake.text),
                        _ => check.mistakes.push(mistake),
                    }
                }
            }
        }
    }
}
