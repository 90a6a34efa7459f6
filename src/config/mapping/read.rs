//! Reads a mapping file and finds every mistake in it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use figment::Figment;
use figment::value::Value;

use super::file::Mapping;
use super::notes::Notes;
use super::shape::Shapes;
use super::words;
use crate::config::keypath::KeyPath;
use crate::config::mistake::{Mistake, Mistakes, Origin};

/// The form of a mapping file, as its JSON Schema says it.
static SHAPES: LazyLock<Shapes> = LazyLock::new(|| Shapes::new(super::schema()));

/// Reads a mapping file. Returns it with warnings.
///
/// # Errors
/// All mistakes with their lines: invalid TOML, unknown keys, wrong types, invalid pointers and kinds.
pub fn read(path: &Path, text: &str) -> Result<(Mapping, Vec<Mistake>), Mistakes> {
    let tree = crate::config::sources::file::parse(path, text).map_err(|mistake| Mistakes(vec![*mistake]))?;
    let mut notes = Notes::new(path, &tree);
    SHAPES.check(&Value::from(tree.dict.clone()), &mut notes);
    words::check(&tree, &mut notes);
    let Notes { mut mistakes, warnings, .. } = notes;
    if mistakes.is_empty() {
        match Figment::from(&tree).extract::<Mapping>() {
            Ok(mapping) => return Ok((mapping, warnings)),
            Err(error) => {
                let key = KeyPath::of(error.path.clone());
                let origin = tree.place(&key).cloned().unwrap_or_default();
                mistakes.push(Mistake { origin, key: key.to_string(), text: error.kind.to_string() });
            }
        }
    }
    mistakes.sort_by_key(|mistake| match mistake.origin {
        Origin::File { line, .. } => line,
        _ => 0,
    });
    Err(Mistakes(mistakes))
}

/// Mappings of some files, and the warnings about them.
///
/// # Errors
/// All mistakes of all files; for a file that cannot be read, without a line.
pub fn read_files(paths: &[PathBuf], base: &Path) -> Result<(Vec<Arc<Mapping>>, Vec<Mistake>), Mistakes> {
    let (mut mappings, mut warnings, mut mistakes) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        let path = base.join(path);
        let text = std::fs::read_to_string(&path);
        match text
            .map_err(|error| Mistakes(vec![unreadable(&path, &error)]))
            .and_then(|text| read(&path, &text))
        {
            Ok((mapping, more)) => {
                mappings.push(Arc::new(mapping));
                warnings.extend(more);
            }
            Err(Mistakes(more)) => mistakes.extend(more),
        }
    }
    if mistakes.is_empty() { Ok((mappings, warnings)) } else { Err(Mistakes(mistakes)) }
}

/// A file that cannot be read.
fn unreadable(path: &Path, error: &std::io::Error) -> Mistake {
    let shown = path.display();
    let text = match error.kind() {
        std::io::ErrorKind::InvalidData => {
            format!("the mapping file {shown} is not UTF-8 text: save it as UTF-8")
        }
        std::io::ErrorKind::NotFound => format!(
            "the mapping file {shown} is not there: check the name; it is looked for beside the configuration file"
        ),
        _ => format!("cannot read the mapping file {shown}: {error}; make it a readable text file"),
    };
    Mistake { origin: Origin::Default, key: String::new(), text }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::read;

    /// All messages for a text, one per line.
    fn messages(text: &str) -> String {
        match read(Path::new("my.toml"), text) {
            Ok((_, warnings)) => warnings.iter().map(|warning| format!("warning {warning}\n")).collect(),
            Err(mistakes) => mistakes.to_string(),
        }
    }

    #[test]
    fn every_mistake_is_found_at_once_with_line_key_and_the_nearest_name() {
        let text = "name = \"X y\"\nkindd = \"/type\"\ntime = \"when\"\n[kinds]\nMD = \"Motion!\"\n\
                    [state]\ndefault = \"strat\"\n[device]\nmac = 5\n[[rules]]\nwhen = { type = \"x\" }\nevent = \"person\"\n\
                    [details.plate]\nat = [\"plate\"]\n";
        let said = messages(text);
        let lines: Vec<&str> = said.lines().collect();
        for (line, expected) in lines.iter().zip([
            "my.toml:1: name: \"X y\"",
            "my.toml:2: kindd: no such key: did you mean kind",
            "my.toml:3: time: \"when\" is not a pointer",
            "my.toml:5: kinds.MD: \"Motion!\" is not a kind",
            "my.toml:7: state.default: \"strat\" is expected to be one of start, end, once: did you mean start?",
            "my.toml:9: device.mac: a text in quotes or a list, in [ ], is expected here, not 5",
            "my.toml:11: rules.0.when.type: \"type\" is not a pointer",
            "my.toml:14: details.plate.at.0: \"plate\" is not a pointer",
        ]) {
            assert!(line.starts_with(expected), "{expected}\n{line}");
        }
        assert_eq!(lines.len(), 8, "{said}");
    }

    #[test]
    fn a_file_without_a_name_and_one_that_is_no_toml_are_refused() {
        for (text, expected) in [
            ("kind = \"/type\"", "my.toml:1: name: it is missing"),
            ("name = \"auto\"", "my.toml:1: name: \"auto\" is a word of the bridge"),
            ("name = ", "my.toml:1: "),
            (
                "name = \"x\"\nkind = \"/a\"\n[kinds]\nx = \"persn\"",
                "warning my.toml:4: kinds.x: \"persn\" is not a kind alarmbus knows",
            ),
            ("name = \"x\"", "warning my.toml:1: kind: it is missing"),
            (
                "name = \"x\"\nkind = \"/a\"\n[details]\ncolour = \"/c\"\nplate = { at = \"/p\", numbr = true }",
                "my.toml:5: details.plate.numbr: no such key: did you mean number",
            ),
        ] {
            assert!(messages(text).starts_with(expected), "{}", messages(text));
        }
        assert_eq!(messages("name = \"x\"\nkind = [\"/a\"]\n[kinds]\nx = \"person\"\ny = \"ignore\""), "");
    }
}
