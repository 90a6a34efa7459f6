//! Rules of the code that no compiler checks: dependencies of modules, length of files, leftovers.

mod layers;
mod secrets;
mod source;
mod styles;
mod words;

use source::{Source, sources};

/// Maximum number of lines of a file; most are far shorter.
const LINES: usize = 400;

/// Fails with all findings at once.
#[track_caller]
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n  {}", findings.len(), findings.join("\n  "));
}

/// Findings for all lines of a source for which `wrong` returns one.
fn faulty_lines(sources: &[Source], wrong: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        for (number, line) in source.text.lines().enumerate() {
            findings.extend(wrong(line).map(|what| format!("{}:{}: {what}", source.path, number + 1)));
        }
    }
    findings
}

#[test]
fn rooms_use_only_whom_the_design_lets_them() {
    let sources = sources(&["src"]);
    let findings: Vec<String> = sources.iter().flat_map(layers::violations).collect();
    none(&findings);
}

#[test]
fn files_are_short() {
    let long = |source: &&Source| source.text.lines().count() > LINES;
    let sources = sources(&["src", "tests"]);
    let findings: Vec<String> = sources
        .iter()
        .filter(long)
        .map(|source| format!("{}: {} lines, at most {LINES}", source.path, source.text.lines().count()))
        .collect();
    none(&findings);
}

#[test]
fn nothing_is_left_open() {
    // Assembled here, so that this file does not find itself.
    let open = ["TO DO", "FIX ME", "X XX", "todo !", "unimplemented !"].map(|word| word.replace(' ', ""));
    none(&faulty_lines(&sources(&["src", "tests"]), |line| {
        open.iter().find(|word| line.contains(word.as_str())).map(|word| format!("{word} is left"))
    }));
}

#[test]
fn no_test_is_switched_off_and_no_lint_silenced() {
    let attributes = [
        ("# [ignore", "a test that does not run guards nothing"),
        ("# [allow (", "write #[expect(lint, reason = \"…\")]"),
        ("# ![allow (", "write #![expect(lint, reason = \"…\")]"),
    ]
    .map(|(attribute, remedy)| (attribute.replace(' ', ""), remedy));
    none(&faulty_lines(&sources(&["src", "tests"]), |line| {
        let found = attributes.iter().find(|(attribute, _)| line.contains(attribute.as_str()));
        found.map(|(attribute, remedy)| format!("{attribute}…: {remedy}"))
    }));
}

/// A file without a declaration is not compiled.
#[test]
fn every_file_is_part_of_the_program() {
    let sources = sources(&["src", "tests/it"]);
    let roots = ["src/lib.rs", "src/main.rs", "tests/it/main.rs"];
    let declared = |source: &Source| {
        let name = source.module();
        let parents = source.parents();
        let declaration = format!("mod {name};");
        let declares = |line: &str| line.ends_with(&declaration) && !line.trim_start().starts_with("//");
        let mut parents = sources.iter().filter(|other| parents.contains(&other.path));
        parents.any(|parent| parent.text.lines().any(declares))
    };
    let orphans = sources.iter().filter(|source| !roots.contains(&source.path.as_str()) && !declared(source));
    none(
        &orphans.map(|source| format!("{}: no `mod {};`", source.path, source.module())).collect::<Vec<_>>(),
    );
}

/// Makers without a row and sinks that are never started would be dead code.
#[test]
fn every_vendor_is_in_the_table_and_every_sink_is_started() {
    let sources = sources(&["src"]);
    let mut findings = Vec::new();
    for (room, what) in [("src/decode/", "Vendor"), ("src/sink/", "Sink")] {
        for source in sources.iter().filter(|source| source.path.starts_with(room) && !source.is_test()) {
            for name in source.implementors(what) {
                let row = format!("{}::{name}", source.module());
                let named = |other: &&Source| other.path != source.path && other.text.contains(&row);
                if !sources.iter().any(|other| named(&other)) {
                    findings.push(format!("{}: {row} is a {what} that nobody uses", source.path));
                }
            }
        }
    }
    none(&findings);
}

#[test]
fn every_class_is_styled_and_every_style_is_used() {
    none(&styles::findings());
}
