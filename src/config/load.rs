//! Loading: defaults, file, variables and flags become one checked configuration, or a list of all mistakes.

use std::path::{Path, PathBuf};

use figment::value::Value;

use super::check::Check;
use super::keypath::KeyPath;
use super::mistake::{Mistake, Mistakes, Origin, Origins};
use super::sections::devices;
use super::sources::input::Sources;
use super::sources::tree::Tree;
use super::sources::{complete, extract, file, overrides, secrets};
use super::{Config, mapping};

/// Variable with the path of the file.
const FILE_VARIABLE: &str = "ALARMBUS_CONFIG";

impl Loaded {
    /// A command of alarmbus as it must be typed to reach a bridge with this configuration: with `--storage` or
    /// `--config`, unless the bridge uses the defaults.
    #[must_use]
    pub fn command(&self, command: &str, sources: &Sources) -> String {
        let searched = self.file.as_ref().is_some_and(|file| sources.search.contains(file));
        match self.origins.of(&KeyPath::parse("storage.path")) {
            Origin::Default => format!("alarmbus {command}"),
            Origin::File { .. } if searched => format!("alarmbus {command}"),
            _ => {
                let folder = &self.config.storage.path;
                let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
                format!("alarmbus {command} --storage {}", quoted(&folder.display().to_string()))
            }
        }
    }
}

/// A text quoted as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Configuration, secrets from files included.
    pub config: Config,
    /// Origin of each value.
    pub origins: Origins,
    /// File that was read; `None` if there is none.
    pub file: Option<PathBuf>,
    /// Set if the file sets no key.
    pub file_is_empty: bool,
    /// Warnings, to be logged at start.
    pub warnings: Vec<Mistake>,
}

/// Loads the configuration: defaults, then the file, then variables, then flags.
///
/// Reads the file and the files of secrets, and nothing else outside `sources`.
///
/// # Errors
/// All mistakes at once, in the order of files, lines and names. A file that is not valid TOML hides others.
pub fn load(sources: &Sources) -> Result<Loaded, Mistakes> {
    let (path, mut tree) = read_file(sources).map_err(|mistake| Mistakes(vec![*mistake]))?;
    let file_is_empty = tree.dict.is_empty();
    let mut mistakes = overrides::set(&mut tree, sources);
    let extracted = extract::extract(&mut tree);
    mistakes.extend(extracted.mistakes);
    let mut config = extracted.config;
    let origins = origins(&config, &tree);
    let mut check = Check::new(&tree, extracted.wrong);
    secrets::resolve(&mut config, &mut check);
    let base = path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    mapping::resolve(&mut config, base, &mut check);
    config.check(&mut check);
    let origins = devices::normalize(&mut config.devices, origins, &mut check);

    mistakes.extend(check.mistakes);
    if mistakes.is_empty() {
        return Ok(Loaded { config, origins, file: path, file_is_empty, warnings: check.warnings });
    }
    mistakes.sort_by_key(|mistake| order(&mistake.origin, path.as_deref()));
    Err(Mistakes(mistakes))
}

/// Sort order of mistakes: the configuration file, variables, flags, mapping files; within a file by line.
fn order(origin: &Origin, main: Option<&Path>) -> (u8, String, usize) {
    match origin {
        Origin::File { path, line } if Some(path.as_path()) == main => (0, String::new(), *line),
        Origin::Default => (1, String::new(), 0),
        Origin::Variable(name) => (2, name.clone(), 0),
        Origin::Flag(name) => (3, name.clone(), 0),
        Origin::File { path, line } => (4, path.display().to_string(), *line),
    }
}

/// Path and values of the file.
fn read_file(sources: &Sources) -> Result<(Option<PathBuf>, Tree), Box<Mistake>> {
    let variable = sources.env.iter().find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
    let named = match (&sources.file, variable) {
        (Some(path), _) => Some((path.clone(), Origin::Flag("--config".into()))),
        (None, Some((_, value))) => Some((value.into(), Origin::Variable(FILE_VARIABLE.into()))),
        (None, None) => None,
    };
    if let Some((path, origin)) = named {
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, origin, &error))?;
        return file::parse(&path, &text).map(|tree| (Some(path), tree));
    }
    for path in &sources.search {
        match std::fs::read_to_string(path) {
            Ok(text) => return file::parse(path, &text).map(|tree| (Some(path.clone()), tree)),
            Err(error) if is_absent(&error) => {}
            Err(error) => {
                let origin = Origin::File { path: path.clone(), line: 1 };
                return Err(unreadable(path, origin, &error));
            }
        }
    }
    Ok((None, Tree::default()))
}

/// Returns whether the file does not exist.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// Message for a file that exists or is named, and cannot be read.
fn unreadable(path: &Path, origin: Origin, error: &std::io::Error) -> Box<Mistake> {
    let shown = path.display();
    let text = match error.kind() {
        std::io::ErrorKind::InvalidData => {
            format!("the configuration file {shown} is not UTF-8 text: save it as UTF-8")
        }
        _ if is_absent(error) => {
            format!("cannot read the configuration file {shown}: {error}; check the name")
        }
        _ => format!("cannot read the configuration file {shown}: {error}; make it a readable text file"),
    };
    Box::new(Mistake { origin, key: String::new(), text })
}

/// The origin of every leaf that was given.
fn origins(config: &Config, tree: &Tree) -> Origins {
    let values = Value::serialize(config).unwrap_or_else(|_| Value::from(figment::value::Dict::new()));
    let given = |(path, _)| tree.given(&path).cloned().map(|origin| (path, origin));
    Origins(complete::leaves(&values).into_iter().filter_map(given).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::load;
    use crate::config::sources::complete;
    use crate::config::{Flag, Sources};

    /// One value of each type, none of which is valid everywhere.
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
    fn a_command_names_the_storage_folder_where_it_would_not_be_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alarmbus.toml");
        std::fs::write(&file, "[storage]\npath = \"/data/of file\"\n").unwrap();
        let command = |sources: &Sources| load(sources).unwrap().command("simulate", sources);
        let none = Sources { search: Vec::new(), ..Sources::default() };
        assert_eq!(command(&none), "alarmbus simulate");
        assert_eq!(command(&Sources { search: vec![file.clone()], ..none.clone() }), "alarmbus simulate");
        let named = Sources { file: Some(file), ..none.clone() };
        assert_eq!(command(&named), "alarmbus simulate --storage '/data/of file'");
        let flag = Flag { name: "--storage".into(), key: "storage.path".into(), value: "/x".into() };
        assert_eq!(command(&Sources { flags: vec![flag], ..none.clone() }), "alarmbus simulate --storage /x");
        let env = vec![("ALARMBUS_STORAGE__PATH".to_owned(), "/y".to_owned())];
        assert_eq!(command(&Sources { env, ..none }), "alarmbus simulate --storage /y");
    }

    #[test]
    fn what_is_logged_of_the_sources_holds_no_values() {
        let flag = Flag { name: "--set".into(), key: "mqtt.password".into(), value: "hunter2".into() };
        let env = vec![("ALARMBUS_NATS__TOKEN".to_owned(), "hunter2".to_owned())];
        let shown = format!("{:?}", Sources { env, flags: vec![flag], ..Sources::default() });
        assert!(shown.contains("mqtt.password") && !shown.contains("hunter2"), "{shown}");
    }
}
