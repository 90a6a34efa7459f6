//! From defaults, file, variables and flags to one checked configuration, or to the list of all mistakes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use figment::value::Value;

use super::check::Check;
use super::complete;
use super::keypath::KeyPath;
use super::layer::Layer;
use super::mistake::{Mistake, Mistakes, Origin};
use super::{Config, extract, file, overrides, secrets};

/// The variable that names the file.
const FILE_VARIABLE: &str = "ALARMBUS_CONFIG";

/// What a configuration is made from. Kept by a running bridge, which loads again on SIGHUP.
#[derive(Clone)]
pub struct Sources {
    /// The file named on the command line.
    pub file: Option<PathBuf>,
    /// The environment; variables that do not begin with `ALARMBUS_` are passed over.
    pub env: Vec<(String, String)>,
    /// Keys set on the command line.
    pub flags: Vec<Flag>,
    /// Where a file is looked for when none is named; the first that is there.
    pub search: Vec<PathBuf>,
}

impl Default for Sources {
    fn default() -> Self {
        let search = vec!["alarmbus.toml".into(), "/etc/alarmbus/alarmbus.toml".into()];
        Self { file: None, env: Vec::new(), flags: Vec::new(), search }
    }
}

impl fmt::Debug for Sources {
    /// Leaves the values of variables out: they may be passwords.
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
    /// The flag, as messages name it: `--bind`.
    pub name: String,
    /// The key it sets: `http.bind`.
    pub key: String,
    /// The text given.
    pub value: String,
}

impl fmt::Debug for Flag {
    /// Leaves the value out: it may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.key)
    }
}

/// Where each key's value comes from; keys that nobody set are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(pub(super) BTreeMap<KeyPath, Origin>);

impl Origins {
    /// Where the value of a key comes from.
    #[must_use]
    pub fn of(&self, path: &KeyPath) -> &Origin {
        self.0.get(path).unwrap_or(&Origin::Default)
    }

    /// The origins after a section was renamed.
    pub(super) fn moved(self, from: &KeyPath, to: &KeyPath) -> Self {
        let depth = from.steps().len();
        let rename = |(path, origin): (KeyPath, Origin)| {
            let below = path.steps().get(depth..).filter(|_| path.starts_with(from));
            let moved = below.map(|below| below.iter().fold(to.clone(), |path, step| path.join(step)));
            (moved.unwrap_or(path), origin)
        };
        Self(self.0.into_iter().map(rename).collect())
    }
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What was configured, secrets from files included.
    pub config: Config,
    /// Where each value comes from.
    pub origins: Origins,
    /// The file that was read; none is fine.
    pub file: Option<PathBuf>,
    /// What works but is not wise; to be logged at start.
    pub warnings: Vec<Mistake>,
}

/// Loads the configuration: defaults, then the file, then variables, then flags.
///
/// Reads the file and the files of secrets; looks at nothing else outside `sources`.
///
/// # Errors
/// All mistakes at once, in the order of files, lines and names. Only a file that is no TOML hides others.
pub fn load(sources: &Sources) -> Result<Loaded, Mistakes> {
    let (path, file) = read_file(sources).map_err(|mistake| Mistakes(vec![*mistake]))?;
    let (variables, mut mistakes) = overrides::variables(&sources.env);
    let (flags, of_flags) = overrides::flags(&sources.flags);
    mistakes.extend(of_flags);

    let mut layers = [file, variables, flags];
    let extracted = extract::extract(&mut layers);
    mistakes.extend(extracted.mistakes);
    let mut config = extracted.config;
    let origins = origins(&config, &layers);
    let mut check = Check::new(&layers, extracted.wrong);
    secrets::resolve(&mut config, &mut check);
    config.check(&mut check);
    let origins = config.normalize(origins, &mut check);

    mistakes.extend(check.mistakes);
    if mistakes.is_empty() {
        return Ok(Loaded { config, origins, file: path, warnings: check.warnings });
    }
    mistakes.sort_by_key(|mistake| order(&mistake.origin));
    Err(Mistakes(mistakes))
}

/// File before variables before flags; within the file by line.
fn order(origin: &Origin) -> (u8, usize, String) {
    match origin {
        Origin::File { line, .. } => (0, *line, String::new()),
        Origin::Default => (1, 0, String::new()),
        Origin::Variable(name) => (2, 0, name.clone()),
        Origin::Flag(name) => (3, 0, name.clone()),
    }
}

/// The file's path and values.
fn read_file(sources: &Sources) -> Result<(Option<PathBuf>, Layer), Box<Mistake>> {
    let variable = sources.env.iter().find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
    let named = match (&sources.file, variable) {
        (Some(path), _) => Some((path.clone(), Origin::Flag("--config".into()))),
        (None, Some((_, value))) => Some((value.into(), Origin::Variable(FILE_VARIABLE.into()))),
        (None, None) => None,
    };
    if let Some((path, origin)) = named {
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, origin, &error))?;
        return file::parse(&path, &text).map(|layer| (Some(path), layer));
    }
    for path in &sources.search {
        match std::fs::read_to_string(path) {
            Ok(text) => return file::parse(path, &text).map(|layer| (Some(path.clone()), layer)),
            Err(error) if is_absent(&error) => {}
            Err(error) => {
                let origin = Origin::File { path: path.clone(), line: 1 };
                return Err(unreadable(path, origin, &error));
            }
        }
    }
    Ok((None, Layer::default()))
}

/// Whether the file is simply not there.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// A file that is named, or there, and cannot be read.
fn unreadable(path: &Path, origin: Origin, error: &std::io::Error) -> Box<Mistake> {
    let remedy = if is_absent(error) { "check the name" } else { "make it a readable text file" };
    let text = format!("cannot read the configuration file {}: {error}; {remedy}", path.display());
    Box::new(Mistake { origin, key: String::new(), text })
}

/// The origin of every leaf that some layer gives.
fn origins(config: &Config, layers: &[Layer]) -> Origins {
    let tree = Value::serialize(config).unwrap_or_else(|_| Value::from(figment::value::Dict::new()));
    let mut found = BTreeMap::new();
    for (path, _) in complete::leaves(&tree) {
        for layer in layers.iter().rev() {
            if layer.find(&path).is_some() {
                layer.place(&path).map(|place| found.insert(path.clone(), place.clone()));
                break;
            }
            if layer.hides(&path) {
                break;
            }
        }
    }
    Origins(found)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Sources, load};
    use crate::config::complete;

    /// One value of each type, none of which is right everywhere.
    const VALUES: [&str; 6] = ["true", "-1", "\"x\"", "[{}]", "{}", "1.5"];

    #[test]
    fn a_wrong_value_of_any_key_is_found_at_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alarmbus.toml");
        for path in complete::paths() {
            let key = path.to_string().replace("webhooks.0.", "").replace("\"*\"", "person");
            let section = if path.steps()[0] == "webhooks" { "[[webhooks]]\n" } else { "\n" };
            let is_other = section.starts_with('[') && !key.starts_with("path");
            let rest = if is_other { "path = \"/alarm/0123456789abcdef\"\n" } else { "" };
            let mut refused = 0;
            for value in VALUES {
                std::fs::write(&file, format!("{section}{key} = {value}\n{rest}")).unwrap();
                let result = load(&Sources { file: Some(file.clone()), ..Sources::default() });
                let Err(mistakes) = result else { continue };
                refused += 1;
                for mistake in &mistakes.0 {
                    let place = mistake.origin.to_string();
                    assert!(place.starts_with(file.to_str().unwrap()), "{key} = {value}: {mistake}");
                    assert!(!mistake.text.is_empty() && !mistake.text.contains("struct "), "{mistake}");
                }
                let its = |line: &str| line.starts_with(&format!("{}:2: ", Path::new(&file).display()));
                assert!(mistakes.0.iter().any(|m| its(&m.to_string())), "{key} = {value}: {mistakes}");
            }
            assert!(3 < refused, "{key} takes nearly anything");
        }
    }

    #[test]
    fn what_is_logged_of_the_sources_holds_no_values() {
        let flag = super::Flag { name: "--set".into(), key: "mqtt.password".into(), value: "hunter2".into() };
        let env = vec![("ALARMBUS_NATS__TOKEN".to_owned(), "hunter2".to_owned())];
        let shown = format!("{:?}", Sources { env, flags: vec![flag], ..Sources::default() });
        assert!(shown.contains("mqtt.password") && !shown.contains("hunter2"), "{shown}");
    }
}
