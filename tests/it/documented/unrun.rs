//! Blocks that cannot be run here: what can be checked of them is, and their page says that they are not run.

use std::collections::HashSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::page::{Block, repository};

/// What the paragraph before such a block says.
const SAID: &str = "not run by a test";

/// The reader is told.
#[track_caller]
fn says_so(block: &Block) {
    let before = block.before.replace('\n', " ").to_lowercase();
    assert!(before.contains(SAID), "{}: the paragraph before it does not say that it is {SAID}", block.place);
}

/// A script: its grammar is right.
pub(super) fn script(block: &Block) {
    says_so(block);
    let output = Command::new("bash").args(["-n", "-c", &block.text]).output().expect("bash is there");
    assert!(output.status.success(), "{}: {}", block.place, String::from_utf8_lossy(&output.stderr));
}

/// Commands of the gates: each is one that `.ci/run` or `tests/run` runs, word by word.
pub(super) fn gates(block: &Block) {
    let read = |name: &str| fs::read_to_string(repository().join(name)).expect("the gates are there");
    let gates = read(".ci/run") + &read("tests/run");
    for line in block.text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let there = gates.lines().any(|gate| gate.contains(line)) || [".ci/run", "tests/run"].contains(&line);
        assert!(there, "{}: {line}: no gate does this", block.place);
    }
}

/// A flow of Node-RED: every wire ends at a node, every subscription is one of ours.
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
            assert!(ids.contains(end.as_str().unwrap_or_default()), "{}: {end} is no node", block.place);
        }
        if node["type"] == "mqtt in" {
            let topic = node["topic"].as_str().unwrap_or_default();
            assert!(topic.starts_with("alarmbus/+/"), "{}: {topic} is none of our topics", block.place);
        }
    }
}
