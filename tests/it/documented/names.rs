//! Existence of everything that the documentation names: links, files, commands, configuration keys, tables.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::page::{Page, repository};

/// Texts between single backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Texts in backticks, each with its place.
fn all_quoted(pages: &[Page]) -> impl Iterator<Item = (String, &str)> {
    pages.iter().flat_map(|page| {
        page.prose()
            .flat_map(move |(at, line)| quoted(line).map(move |text| (format!("{}:{at}", page.name), text)))
    })
}

/// The targets of the links of a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|sign| sign.is_alphanumeric() || matches!(sign, ' ' | '-' | '_'));
    kept.map(|sign| if sign == ' ' { '-' } else { sign }).collect()
}

/// Returns whether a page has a heading with this anchor.
fn has_anchor(file: &Path, wanted: &str) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == wanted)
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let (mut seen, pages) = (0, Page::all());
    for page in &pages {
        let folder = Path::new(&page.name).parent().expect("a page is in a folder");
        for (at, line) in page.prose() {
            for target in links(line).filter(|target| !target.contains("://")) {
                seen += 1;
                let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
                let own = folder.join(path);
                let file = repository().join(if path.is_empty() { Path::new(&page.name) } else { &own });
                let there = file.try_exists().expect("the project can be read");
                if !there || !fragment.is_empty() && !has_anchor(&file, fragment) {
                    broken.push(format!("{}:{at}: {target}", page.name));
                }
            }
        }
    }
    assert!(seen > 20, "only {seen} links were found");
    assert!(broken.is_empty(), "these lead nowhere: {broken:#?}");
}

#[test]
fn the_readme_leads_to_every_page() {
    let readme = Page::of("README.md").text;
    let missing: Vec<String> =
        Page::all().into_iter().map(|page| page.name).filter(|name| *name != "README.md").collect();
    let missing: Vec<&String> =
        missing.iter().filter(|name| !readme.contains(&format!("]({name})"))).collect();
    assert!(missing.is_empty(), "README has no link to {missing:?}");
}

#[test]
fn every_file_named_is_there() {
    let pages = Page::all();
    let roots = ["src/", "tests/", "docs/", "docker/"];
    let is_file = |text: &&str| {
        roots.iter().any(|root| text.starts_with(root)) && !text.contains([' ', '*', '<', '…', '{'])
    };
    let named: Vec<(String, &str)> = all_quoted(&pages).filter(|(_, text)| is_file(text)).collect();
    assert!(named.len() > 30, "only {} files are named", named.len());
    let is_missing = |text: &str| !repository().join(text).try_exists().expect("the project can be read");
    let missing: Vec<_> = named.iter().filter(|(_, text)| is_missing(text)).collect();
    assert!(missing.is_empty(), "these are not there: {missing:#?}");
}

#[test]
fn every_command_named_is_there() {
    let pages = Page::all();
    let is_word = |word: &&str| word.chars().all(|sign| sign.is_ascii_lowercase());
    let words = |text: &str| -> Vec<String> {
        text.split(' ').skip(1).take_while(is_word).take(2).map(str::to_owned).collect()
    };
    let named = all_quoted(&pages).filter(|(_, text)| text.starts_with("alarmbus "));
    let commands: BTreeSet<Vec<String>> =
        named.map(|(_, text)| words(text)).filter(|it| !it.is_empty()).collect();
    assert!(commands.len() > 5, "only {commands:?} are named");
    for command in &commands {
        let mut help = Command::new(env!("CARGO_BIN_EXE_alarmbus"));
        let output = help.args(command).arg("--help").output().expect("the binary runs");
        assert!(output.status.success(), "alarmbus {} is not a command", command.join(" "));
    }
}

#[test]
fn every_key_named_is_there() {
    let example = fs::read_to_string(repository().join("config.example.toml")).expect("there is an example");
    let (mut section, mut keys) = (String::new(), BTreeSet::new());
    for line in example.lines().map(|line| line.trim_start_matches('#')) {
        if let Some(name) = line.strip_prefix('[') {
            name.trim_matches(['[', ']']).split('.').next().unwrap_or_default().clone_into(&mut section);
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !section.is_empty()) {
            keys.insert(format!("{section}.{}", key.split('.').next().unwrap_or_default()));
        }
    }
    let sections: BTreeSet<&str> = keys.iter().filter_map(|key| key.split('.').next()).collect();
    let is_key = |text: &str| {
        let mut parts = text.split('.');
        let first = parts.next().is_some_and(|part| sections.contains(part));
        let second =
            parts.next().is_some_and(|part| part.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        first && second && parts.next().is_none()
    };
    let pages = Page::all();
    // Files of the storage folder look like keys.
    let files = ["admin.password", "webhooks.json"];
    let named = all_quoted(&pages).map(|(place, text)| (place, text.split(" =").next().unwrap_or_default()));
    let named: Vec<_> = named.filter(|(_, text)| is_key(text) && !files.contains(text)).collect();
    assert!(named.len() > 20, "only {named:?} are named");
    let wrong: Vec<_> = named.iter().filter(|(_, text)| !keys.contains(*text)).collect();
    assert!(wrong.is_empty(), "these are not keys: {wrong:#?}");
}

#[test]
fn the_architecture_names_every_room_and_every_table() {
    let page = Page::of("docs/architecture.md").text;
    for entry in fs::read_dir(repository().join("src")).expect("the sources are there") {
        let name = entry.expect("they can be read").file_name().to_string_lossy().into_owned();
        let room = name.trim_end_matches(".rs");
        let shown = [format!("`src/{name}`"), format!("`src/{name}/`"), format!("`src/{room}.rs`")];
        assert!(shown.iter().any(|shown| page.contains(shown)), "src/{name} is not on the map");
    }
    let schema =
        fs::read_to_string(repository().join("src/outbox/store/schema.rs")).expect("the schema is there");
    let tables: Vec<&str> =
        schema.split("CREATE TABLE ").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
    assert!(tables.len() > 8, "{tables:?}");
    for table in tables {
        assert!(page.contains(&format!("| `{table}` |")), "the table {table} is not described");
    }
}
