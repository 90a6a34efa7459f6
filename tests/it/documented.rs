//! Tests of the documentation: its commands run, its documents are valid, its tables are complete, and
//! what it names is there.
//!
//! Every fenced block of README and of the pages below `docs` says what it is, and an unknown kind fails:
//!
//! | block | what is done with it |
//! |---|---|
//! | `sh` | run line by line, in the order of the page, with the debug binary in place of `alarmbus` and `cargo run --release` |
//! | `sh script` | run as one script |
//! | `sh unrun` | not run: its grammar is checked, and the text before it says so |
//! | `sh docker`, `sh debian` | run by tests/docker/run, on an engine and on a clean Debian |
//! | `sh gates` | every line is one of the gates |
//! | `toml`, `toml <file>` | a whole configuration, or part of one: `alarmbus check --print` takes it; with a name it is kept for the commands after it |
//! | `json <kind>` | valid by `alarmbus schema` as that definition |
//! | `json request` | pushed to the bridge as an alarm |
//! | `json flow` | a flow of Node-RED: not run; its wires and topics are checked, and the text before it says so |
//! | `text`, `yaml`, `mermaid` | shown, not checked |
//!
//! Tables and documents made from the code are checked by tests beside that code, which renew them when
//! `UPDATE_GOLDEN=1` is set.

use std::collections::BTreeSet;
use std::fs;

use alarmbus::config::Config;

mod names;
mod page;
mod terminal;
mod unrun;

use crate::support::{SOON, eventually};
use page::{Block, Page};
use terminal::Terminal;

/// Runs or checks a block by its kind.
async fn hold(terminal: &mut Terminal, block: &Block) {
    match block.kind.split_once(' ').unwrap_or((&block.kind, "")) {
        ("sh", "") => terminal.run(block).await,
        ("sh", "script") => terminal.script_of(block).await,
        ("sh", "unrun") => unrun::script(block),
        ("sh", "gates") => unrun::gates(block),
        ("toml", name) => terminal.check(block, name).await,
        ("json", "flow") => unrun::flow(block),
        ("json", kind) if !kind.is_empty() => terminal.document(block, kind).await,
        ("text" | "yaml" | "mermaid", "") | ("sh", "docker" | "debian") => {}
        _ => panic!("{}: a block of kind {:?} is not known here", block.place, block.kind),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_the_readme_is_true() {
    let mut terminal = Terminal::new();
    let blocks = Page::of("README.md").blocks();
    assert!(blocks.iter().filter(|block| block.kind == "sh").count() >= 4, "the quick start is gone");
    for block in &blocks {
        hold(&mut terminal, block).await;
    }
    for (line, process) in &terminal.running {
        if line.starts_with("mosquitto_sub") {
            eventually(SOON, "events at the subscriber of the quick start", async || {
                let log = process.log();
                (log.contains("/event/person {") && log.contains("/state/person ON")).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_every_page_is_true() {
    let mut seen = 0;
    for page in Page::all().iter().filter(|page| page.name.starts_with("docs/")) {
        let mut terminal = Terminal::new();
        for block in &page.blocks() {
            seen += 1;
            hold(&mut terminal, block).await;
        }
        terminal.heard().await;
        if page.name == "docs/upgrading.md" {
            every_stored_file_is_told(&terminal, page).await;
        }
    }
    assert!(seen > 20, "only {seen} blocks were found");
}

/// The page about backups names every file that a bridge stores.
async fn every_stored_file_is_told(terminal: &Terminal, page: &Page) {
    terminal.finish("alarmbus simulate --count 1", &page.name).await;
    for late in ["reserve", "pictures/"] {
        eventually(SOON, &format!("{late} in the storage folder"), async || {
            terminal.stored().iter().any(|file| file == late).then_some(())
        })
        .await;
    }
    let stored = terminal.stored();
    let unknown: Vec<&String> =
        stored.iter().filter(|file| !page.text.contains(&format!("`{file}`"))).collect();
    assert!(unknown.is_empty() && stored.len() > 8, "{} does not tell what {unknown:?} are", page.name);
}

#[test]
fn the_page_of_topics_lists_every_topic() {
    let page = Page::of("docs/topics.md").text;
    let config = Config::default();
    let topics = serde_json::to_value(&config.topics).unwrap();
    let mut topics: Vec<String> =
        topics.as_object().unwrap().values().map(|topic| topic.as_str().unwrap().to_owned()).collect();
    topics.extend(["state", "info", "health", "token"].map(|name| format!("{{base}}/bridge/{name}")));
    for topic in topics {
        let shown = topic
            .replace("{base}", &config.mqtt.base_topic)
            .replace("{source}", "<source>")
            .replace("{event}", "<event>")
            .replace("{id}", "<id>");
        assert!(page.contains(&format!("| `{shown}` |")), "docs/topics.md does not list {shown}");
    }
}

#[test]
fn the_page_of_configuration_lists_every_section() {
    let page = Page::of("docs/configuration.md").text;
    let example = fs::read_to_string(page::repository().join("config.example.toml")).unwrap();
    let sections: BTreeSet<String> = example
        .lines()
        .map(|line| line.trim_start_matches('#'))
        .filter(|line| line.starts_with('['))
        .map(|line| line.trim_matches(['[', ']']).split('.').next().unwrap().to_owned())
        .collect();
    assert!(sections.len() > 10, "{sections:?}");
    for section in sections {
        assert!(
            page.contains(&format!("[{section}")),
            "docs/configuration.md does not tell what [{section}] is for"
        );
    }
}

/// Checks that every command is in the changelog.
#[test]
fn the_changelog_names_every_command() {
    let changelog = Page::of("CHANGELOG.md").text;
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_alarmbus")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let listed = help.split_once("Commands:\n").and_then(|(_, rest)| rest.split_once("\n\n")).unwrap().0;
    let commands: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        assert!(changelog.contains(&format!("`{command}`")), "CHANGELOG does not tell of {command}");
    }
}

/// A picture that no page shows is out of date before long.
#[test]
fn every_picture_is_shown_by_a_page() {
    let texts: String = Page::all().iter().map(|page| page.text.clone()).collect();
    for entry in fs::read_dir("docs/images").expect("the folder is there") {
        let name = entry.expect("it can be read").file_name().to_string_lossy().into_owned();
        assert!(texts.contains(&format!("images/{name})")), "no page shows docs/images/{name}");
    }
}
