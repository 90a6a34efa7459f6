//! Origins of values, and mistakes in them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::keypath::KeyPath;

/// Origin of the value of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    /// Default value.
    #[default]
    Default,
    /// Line of the configuration file.
    File {
        /// Path as it was named.
        path: PathBuf,
        /// Number of the line, counted from 1.
        line: usize,
    },
    /// Name of an environment variable.
    Variable(String),
    /// Name of a flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// Origin of each value; keys with default values are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(pub(crate) BTreeMap<KeyPath, Origin>);

impl Origins {
    /// Origin of the value of a key.
    #[must_use]
    pub fn of(&self, path: &KeyPath) -> &Origin {
        self.0.get(path).unwrap_or(&Origin::Default)
    }

    /// Origins after a section was renamed.
    pub(crate) fn moved(self, from: &KeyPath, to: &KeyPath) -> Self {
        let depth = from.steps().len();
        let rename = |(path, origin): (KeyPath, Origin)| {
            let below = path.steps().get(depth..).filter(|_| path.starts_with(from));
            let moved = below.map(|below| below.iter().fold(to.clone(), |path, step| path.join(step)));
            (moved.unwrap_or(path), origin)
        };
        Self(self.0.into_iter().map(rename).collect())
    }
}

/// A mistake in the configuration: place, key, error and remedy. Never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line, variable or flag.
    pub origin: Origin,
    /// Dotted key; empty when the place is sufficient.
    pub key: String,
    /// Error and remedy.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if self.key.is_empty() {
            return f.write_str(&self.text);
        }
        write!(f, "{}: {}", self.key, self.text)
    }
}

/// All mistakes of a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.0.iter().enumerate() {
            if at != 0 {
                f.write_str("\n")?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}
