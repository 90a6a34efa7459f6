//! Inputs of a configuration: a file, environment variables and flags.

use std::fmt;
use std::path::PathBuf;

/// Sources of a configuration. A running bridge keeps them to load again on SIGHUP.
#[derive(Clone)]
pub struct Sources {
    /// File named on the command line.
    pub file: Option<PathBuf>,
    /// Environment variables; those without `ALARMBUS_` at the beginning are ignored.
    pub env: Vec<(String, String)>,
    /// Keys set on the command line.
    pub flags: Vec<Flag>,
    /// Paths tried if no file is named; the first that exists is used.
    pub search: Vec<PathBuf>,
}

impl Default for Sources {
    fn default() -> Self {
        let search = vec!["alarmbus.toml".into(), "/etc/alarmbus/alarmbus.toml".into()];
        Self { file: None, env: Vec::new(), flags: Vec::new(), search }
    }
}

impl fmt::Debug for Sources {
    /// Omits the values of variables, which may be passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("env", &names)
            .field("flags", &self.flags)
            .field("search", &self.search)
            .finish()
    }
}

/// A key set on the command line.
#[derive(Clone)]
pub struct Flag {
    /// Name of the flag in messages: `--bind`.
    pub name: String,
    /// Key it sets: `http.bind`.
    pub key: String,
    /// Text of the value.
    pub value: String,
}

impl fmt::Debug for Flag {
    /// Omits the value, which may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.key)
    }
}
