//! The JSON Schema against every mapping file, and the table of makers made from them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::built_in::FILES;
use super::file::Evidence;
use super::{BUILT_IN, Mapping, NO_ALARM, read, schema};
use crate::model::EventName;
use crate::model::testing::{held, held_part};

/// The mapping files of the documentation.
fn others() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/makers");
    let listed = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        listed.filter(|path| path.extension().is_some_and(|it| it == "toml")).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn the_schema_is_written_down_and_every_mapping_file_fits_it() {
    held("docs/mapping.schema.json", &format!("{:#}\n", schema()));
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let all = FILES.iter().map(|(name, text)| (PathBuf::from(name), (*text).to_owned())).chain(others());
    for (path, text) in all {
        let document: Value = toml_edit::de::from_str(&text).unwrap();
        let wrong: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{}: {error}", error.instance_path))
            .collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", path.display());
    }
    for bad in ["name = 5", "name = \"x\"\nkindd = \"/a\"", "name = \"x\"\nkind = \"a\"", "kind = \"/a\""] {
        let document: Value = toml_edit::de::from_str(bad).unwrap();
        assert!(!validator.is_valid(&document), "{bad}");
    }
}

#[test]
fn every_key_of_the_schema_is_described() {
    let schema = schema();
    let definitions =
        schema["$defs"].as_object().unwrap().iter().map(|(name, definition)| (name.as_str(), definition));
    for (name, definition) in definitions.chain([("the file", &schema)]) {
        for (key, of) in definition["properties"].as_object().into_iter().flatten() {
            assert!(of["description"].is_string(), "{name}: {key}: {of}");
        }
    }
}

#[test]
fn the_makers_are_listed() {
    let rows: String = BUILT_IN.iter().map(|mapping| row(mapping, &format!("`{}`", mapping.name))).collect();
    held_part("docs/makers.md", "makers", &format!("{}{rows}", head("vendor")));
    let row_of = |(path, text): (PathBuf, String)| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (mapping, warnings) = read(&path, &text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(warnings, [], "{name}");
        assert!(!mapping.samples.is_empty() && !mapping.evidence.is_empty(), "{name}");
        row(&mapping, &format!("[{name}](makers/{name})"))
    };
    let rows: String = others().into_iter().map(row_of).collect();
    held_part("docs/makers.md", "files", &format!("{}{rows}", head("file")));
}

fn head(what: &str) -> String {
    format!("| maker | {what} | seen on | evidence | what is understood |\n|---|---|---|---|---|\n")
}

/// A row of the table.
fn row(mapping: &Mapping, place: &str) -> String {
    let evidence = mapping.evidence.iter().map(|evidence| match evidence {
        Evidence::Capture => "capture",
        Evidence::Program => "program",
        Evidence::Manual => "manual",
        Evidence::Report => "report",
    });
    let evidence = evidence.collect::<Vec<_>>().join(", ");
    let title = if mapping.name == "template" { "any, by its URL" } else { &mapping.title };
    format!("| {title} | {place} | {} | {evidence} | {} |\n", mapping.models.join(", "), understood(mapping))
}

/// The kinds and details of a mapping, in words.
fn understood(mapping: &Mapping) -> String {
    let words = mapping.kinds.values().chain(mapping.codes.values());
    let words = words.chain(mapping.rules.iter().map(|rule| &rule.event)).chain(&mapping.kind_default);
    let mut slugs: Vec<&str> = words.map(String::as_str).collect();
    slugs.sort_unstable();
    slugs.dedup();
    let (signs, kinds): (Vec<&str>, Vec<&str>) = slugs.into_iter().partition(|slug| NO_ALARM.contains(slug));
    let mut text =
        kinds.iter().map(|slug| EventName::new(slug).title().to_lowercase()).collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        text.push_str("the usual names of kinds");
    }
    let signs: Vec<&str> = signs
        .into_iter()
        .filter_map(|sign| match sign {
            "alive" => Some("signs of life"),
            "test" => Some("its test"),
            _ => None,
        })
        .collect();
    if !signs.is_empty() {
        write!(text, "; {}", signs.join(" and ")).unwrap();
    }
    let details: Vec<String> = mapping.details.keys().map(|name| name.replace('_', " ")).collect();
    if !details.is_empty() {
        write!(text, "; details: {}", details.join(", ")).unwrap();
    }
    if !mapping.parts.is_empty() || !mapping.pictures.is_empty() {
        text.push_str("; pictures");
    }
    text
}
