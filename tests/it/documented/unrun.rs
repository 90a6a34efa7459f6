//! Blocks that cannot be run here: they are checked as far as possible, and their page says that they are not run.

use std::collections::HashSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::page::{Block, repository};

/// Text in the paragraph before such a block.
const SAID: &str = "not run by a test";

/// Checks that the page says so.
#[track_caller]
fn says_so(block: &Block) {
    let before = block.before.replace('\n', " ").to_lowercase();
    assert!(before.contains(SAID), "{}: the paragraph before it does not say that it is {SAID}", block.place);
}

/// Checks the syntax of a script.
pub(super) fn script(block: &Block) {
    says_so(block);
    let output = Command::new("bash").args(["-n", "-c", &block.text]).output().expect("bash is there");
    assert!(output.status.success(), "{}: {}", block.place, String::from_utf8_lossy(&output.stderr));
}

/// Checks that each command is one that `.ci/run` or `tests/run` runs.
pub(super) fn gates(block: &Block) {
    let read = |name: &str| fs::read_to_string(repository().join(name)).expect("the gates are there");
    let gates = read(".ci/run") + &read("tests/run");
    for line in block.text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let there = gates.lines().any(|gate| gate.contains(line)) || [".ci/run", "tests/run"].contains(&line);
        assert!(there, "{}: {line}: no gate does this", block.place);
    }
}

/// Checks a flow of Node-RED: every wire ends at a node, every subscription is to a topic of alarmbus.
pub(super) fn flow(block: &Block) {
    says_so(block);
    let flow: Vec<Value> =
        serde_json::from_str(&block.text).unwrap_or_else(|error| panic!("{}: {error}", block.place));
    let ids: HashSet<&str> = flow.iter().filter_map(|node| node["id"].as_str()).collect();
    assert_eq!(ids.len(), flow.len(), "{}: every node has an id of its own", block.place);
    for node in &flow {
        let wires = node["wires"].as_array().into_iter().flatten();
        let ends = wires.flat_map(|wire| wire.as_array().expect("a wire is a list"));
        let broker = node.get("broker").filter(|_| node["type"] == "mqtt in");
        for end in ends.chain(broker) {
            assert!(ids.contains(end.as_str().unwrap_or_default()), "{}: {end} is not a node", block.place);
        }
        if node["type"] == "mqtt in" {
            let topic = node["topic"].as_str().unwrap_or_default();
            assert!(topic.starts_with("alarmbus/+/"), "{}: {topic} is none of our topics", block.place);
        }
    }
}
