//! Files under docker/ match the program: every named file exists, every variable is a key, all versions are the
//! same. Whether they run is tested on a real engine by tests/docker/run.

mod app;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use alarmbus::config::{Sources, load};
use serde_yaml_ng::Value;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const COMPOSE: [&str; 4] =
    ["compose.yaml", "compose.nats.yaml", "compose.monitoring.yaml", "compose.cluster.yaml"];

/// A file under docker/.
fn docker(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docker").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(docker(name)).unwrap_or_else(|error| panic!("docker/{name}: {error}"))
}

/// A YAML file under docker/, with its aliases put in.
fn yaml(name: &str) -> Value {
    let mut value: Value =
        serde_yaml_ng::from_str(&text(name)).unwrap_or_else(|error| panic!("docker/{name}: {error}"));
    value.apply_merge().unwrap_or_else(|error| panic!("docker/{name}: {error}"));
    value
}

/// The services of a compose file, by name.
fn services(file: &str) -> Vec<(String, Value)> {
    let services = yaml(file)["services"].as_mapping().expect("there are services").clone();
    services.into_iter().map(|(name, service)| (name.as_str().unwrap().to_owned(), service)).collect()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_sequence().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Checks that the program accepts these variables together. Files of secrets are created.
#[track_caller]
fn assert_taken(place: &str, variables: &BTreeMap<String, String>) {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "secret").unwrap();
    let env = variables.iter().map(|(name, value)| {
        let file = name.ends_with("_FILE").then(|| secret.path().to_str().unwrap().to_owned());
        (name.clone(), file.unwrap_or_else(|| value.clone()))
    });
    let sources = Sources { env: env.collect(), search: Vec::new(), ..Sources::default() };
    if let Err(mistakes) = load(&sources) {
        panic!("{place}: {mistakes}");
    }
}

#[test]
fn services_are_pinned_bounded_and_confined() {
    for file in COMPOSE {
        for (name, service) in services(file) {
            let place = format!("{file}: {name}");
            let image = service["image"].as_str().unwrap_or_else(|| panic!("{place}: no image"));
            let tag = image.split_once(':').unwrap_or_else(|| panic!("{place}: {image} has no version")).1;
            assert!(tag.contains('.'), "{place}: {image} is not a fixed version");
            assert!(image != "alarmbus" || tag == VERSION, "{place}: {image} is not {VERSION}");
            for key in ["restart", "mem_limit", "pids_limit"] {
                assert!(!service[key].is_null(), "{place}: no {key}");
            }
            assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{place}");
            // The images of Home Assistant start many programs as root.
            if name != "homeassistant" {
                assert_eq!(service["read_only"], true, "{place}: it can write its image");
                assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{place}: it keeps capabilities");
            }
            assert!(name == "alarmbus" || name == "setup" || !service["healthcheck"].is_null(), "{place}");
        }
    }
}

#[test]
fn what_services_mount_is_there_and_what_they_wait_for_too() {
    for file in COMPOSE {
        // The file for monitoring is laid over the first.
        let mut known: Vec<String> = services("compose.yaml").into_iter().map(|(name, _)| name).collect();
        if file != COMPOSE[2] {
            known = services(file).into_iter().map(|(name, _)| name).collect();
        }
        known.extend(services(file).into_iter().map(|(name, _)| name));
        let volumes = [yaml(file), yaml("compose.yaml")].map(|file| file["volumes"].as_mapping().cloned());
        for (name, service) in services(file) {
            for mount in texts(&service["volumes"]) {
                let from = mount.split(':').next().unwrap();
                let there = match from.strip_prefix("./") {
                    Some(path) => docker(path).try_exists().unwrap(),
                    None => volumes.iter().flatten().any(|volumes| volumes.contains_key(from)),
                };
                assert!(there, "{file}: {name} mounts {from}, which is not there");
            }
            let waits = service["depends_on"].as_mapping().cloned().unwrap_or_default();
            for (other, how) in waits {
                let other = other.as_str().unwrap().to_owned();
                assert!(known.contains(&other), "{file}: {name} waits for {other}, which is not there");
                assert!(how["condition"].is_string(), "{file}: {name} does not wait until {other} is well");
            }
        }
    }
}

#[test]
fn the_bridge_takes_what_compose_files_set() {
    let mut seen = 0;
    for file in COMPOSE {
        for (name, service) in services(file).into_iter().filter(|(name, _)| name.starts_with("alarmbus")) {
            let environment = service["environment"].as_mapping().expect("variables are set").clone();
            let ours = environment.into_iter().filter_map(|(name, value)| {
                let (name, value) = (name.as_str()?.to_owned(), value.as_str()?.to_owned());
                // ${NAME:-default}
                let default = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
                let value =
                    default.and_then(|it| it.split_once(":-")).map_or(value.clone(), |it| it.1.into());
                name.starts_with("ALARMBUS_").then_some((name, value))
            });
            assert_taken(&format!("{file}: {name}"), &ours.collect());
            seen += 1;
        }
    }
    assert_eq!(seen, 4);
}

#[test]
fn the_images_set_what_the_bridge_takes() {
    for file in ["Dockerfile", "home-assistant-app/Dockerfile"] {
        let text = text(file).replace("\\\n", " ");
        let words = text.lines().filter_map(|line| line.strip_prefix("ENV ")).flat_map(str::split_whitespace);
        let pairs = words.filter_map(|word| word.split_once('='));
        let ours: BTreeMap<String, String> = pairs
            .filter(|(name, _)| name.starts_with("ALARMBUS_"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert!(ours.len() >= 2, "{file}: {ours:?}");
        assert_taken(file, &ours);
    }
    assert!(
        text("Dockerfile").contains(&format!("ARG VERSION={VERSION}\n")),
        "the image has another version"
    );
    assert!(!text("Dockerfile").contains(":latest"));
}

#[test]
fn the_package_takes_its_own_configuration() {
    let sources = Sources { file: Some(docker("deb/alarmbus.toml")), ..Sources::default() };
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.config.storage.path, Path::new("/var/lib/alarmbus"));
    // Commented keys must be accepted as well.
    let text = text("deb/alarmbus.toml").replace("\n#", "\n");
    let (_, commented) = text.split_once("[mqtt]").expect("the broker is shown");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("[mqtt]{commented}")).unwrap();
    load(&Sources { file: Some(file.path().into()), ..Sources::default() }).unwrap();
}

#[test]
fn the_unit_is_valid_and_confined() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("alarmbus.service");
    // The program and its user do not exist on test machines.
    let text = text("systemd/alarmbus.service").replace("/usr/bin/alarmbus", "/bin/true");
    let foreign = |line: &&str| line.starts_with("User=") || line.starts_with("Group=");
    let lines: Vec<&str> = text.lines().filter(|line| !foreign(line)).collect();
    fs::write(&unit, lines.join("\n")).unwrap();
    let analyze = |arguments: &[&str], unit: &Path| {
        let output = Command::new("systemd-analyze").args(arguments).arg(unit).output();
        let output = output.expect("systemd-analyze is installed (tests/run sees to it)");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), text)
    };
    let (_, said) = analyze(&["verify", "--man=no"], &unit);
    // systemd-analyze may also report about other units of this machine.
    assert!(!said.contains("alarmbus"), "{said}");
    let threshold = ["security", "--offline=true", "--threshold=20"];
    let (good, said) = analyze(&threshold, &docker("systemd/alarmbus.service"));
    assert!(good, "{said}");
}

#[test]
fn scripts_can_be_read_by_their_shells() {
    let scripts = [
        "static",
        "release",
        "mosquitto/setup",
        "nats/setup",
        "cluster/setup",
        "deb/postinst",
        "deb/prerm",
        "deb/postrm",
    ];
    let tests = fs::read_dir(docker("../tests/docker")).unwrap().map(|entry| entry.unwrap().path());
    let shell = |path: &PathBuf| path.extension().is_none();
    for script in scripts.map(docker).into_iter().chain(tests.filter(shell)) {
        let first = fs::read_to_string(&script).unwrap().lines().next().unwrap_or_default().to_owned();
        let shell = if first.contains("bash") || script.ends_with("lib") { "bash" } else { "sh" };
        let status = Command::new(shell).arg("-n").arg(&script).status().unwrap();
        assert!(status.success(), "{}", script.display());
    }
}

#[test]
fn man_pages_and_completions_come_from_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_alarmbus")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["completions", "--man", folder.path().to_str().unwrap()]);
    for page in ["alarmbus.1", "alarmbus-serve.1", "alarmbus-outbox-recover.1"] {
        let text = fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(".TH ") && text.contains("SYNOPSIS"), "{page}: {text}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).contains("healthcheck"), "{shell}");
    }
}
