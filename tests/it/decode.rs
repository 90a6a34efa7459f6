//! `alarmbus decode`, on every recorded request.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::published::assert_valid;

fn decode(arguments: &[&str], file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alarmbus"));
    command.args(arguments).arg("decode").arg(file).output().expect("the binary runs")
}

fn wire() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire")
}

#[test]
fn every_recorded_request_is_shown_as_it_would_be_published() {
    let requests = fs::read_dir(wire()).unwrap().map(|entry| entry.unwrap().path());
    let mut shown = 0;
    for request in requests.filter(|path| path.extension().is_some_and(|extension| extension == "http")) {
        let name = request.file_name().unwrap().to_string_lossy().into_owned();
        let expected: Value =
            serde_json::from_slice(&fs::read(request.with_extension("json")).unwrap()).unwrap();
        let output = decode(&[], &request);
        if ["hints", "bound", "skipped"].iter().any(|key| !expected[*key].is_null()) {
            continue;
        }
        let Some(alarms) = expected["alarms"].as_array() else {
            assert_eq!(output.status.code(), Some(65), "{name}: {output:?}");
            assert!(String::from_utf8_lossy(&output.stderr).contains(&name), "{name}: {output:?}");
            continue;
        };
        assert!(output.status.success(), "{name}: {output:?}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let messages = found["messages"].as_array().unwrap();
        let events: Vec<&Value> = messages
            .iter()
            .filter(|message| message["topic"].as_str().unwrap().contains("/event/"))
            .collect();
        assert_eq!(events.len(), alarms.len(), "{name}");
        for event in &events {
            assert_valid("alarm", &event["payload"]);
            assert_eq!(event["retain"], false);
            shown += 1;
        }
        assert_eq!(
            found["pictures"].as_array().unwrap().len(),
            expected["pictures"].as_array().unwrap().len()
        );
        let pictures = alarms.iter().filter(|alarm| !alarm["picture"].is_null()).count();
        let shots = events.iter().filter(|event| !event["payload"]["snapshot"].is_null()).count();
        assert_eq!(shots, pictures, "{name}");
    }
    assert!(shown > 100, "only {shown} alarms");
}

#[test]
fn aliases_and_topics_of_the_configuration_are_used() {
    let id = "8021AB00000000000000000000000000DEADBEEF";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alarmbus.toml");
    let config = format!(
        "[mqtt]\nbase_topic = \"site\"\n[topics]\nevent = \"{{base}}/{{source}}/event/{{name}}/{{event}}\"\n\
         [devices.\"{id}\"]\nmac = \"02:aa:00:00:00:01\"\n"
    );
    fs::write(&file, config).unwrap();
    let output = decode(&["--config", file.to_str().unwrap()], &wire().join("vigi-nvr-json-body.http"));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let topics: Vec<&str> = found["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["topic"].as_str().unwrap())
        .collect();
    assert!(
        topics.iter().any(|topic| topic.starts_with("site/02aa00000001-3/event/tplinkptz/")),
        "{topics:?}"
    );
    assert!(topics.contains(&"site/02aa00000001-3/last"), "{topics:?}");
}
