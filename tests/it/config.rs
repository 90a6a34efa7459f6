//! Configuration: sample files, precedence, and exit codes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use alarmbus::config::{Flag, KeyPath, Loaded, Mistakes, Origin, Sources, load};

/// Folder of sample files as named in messages: tests run in the crate's folder.
const SAMPLES: &str = "tests/config";

/// The sample files of a kind.
fn samples(prefix: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(SAMPLES).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut files: Vec<PathBuf> =
        files.filter(|path| name(path).starts_with(prefix) && name(path).ends_with(".toml")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Loads from a file, variables and flags.
fn load_from(file: Option<&Path>, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Loaded, Mistakes> {
    load(&Sources {
        file: file.map(Path::to_path_buf),
        env: env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        flags: flags
            .iter()
            .map(|(key, value)| Flag { name: "--set".into(), key: (*key).into(), value: (*value).into() })
            .collect(),
        search: Vec::new(),
    })
}

/// Loads from variables alone.
fn load_env(env: &[(&str, &str)]) -> Result<Loaded, Mistakes> {
    load_from(None, env, &[])
}

/// The lines of all mistakes.
fn lines(result: Result<Loaded, Mistakes>) -> Vec<String> {
    result.unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn every_good_sample_loads() {
    for file in samples("good-") {
        let loaded = load_from(Some(&file), &[], &[]);
        let loaded = loaded.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(loaded.warnings, [], "{}", file.display());
    }
}

#[test]
fn every_bad_sample_names_all_its_mistakes() {
    for file in samples("bad-") {
        let found = lines(load_from(Some(&file), &[], &[])).join("\n") + "\n";
        let expected = std::fs::read_to_string(file.with_extension("expected")).unwrap_or_default();
        assert_eq!(found, expected, "{}:\n{found}", file.display());
        assert!(!found.contains("hunter2"), "a secret is shown");
    }
}

#[test]
fn flags_go_before_variables_before_the_file_before_defaults() {
    let file = Path::new("tests/config/good-homeassistant.toml");
    let env = [("ALARMBUS_MQTT__USER", "from_env"), ("ALARMBUS_MQTT__BASE_TOPIC", "from_env")];
    let loaded = load_from(Some(file), &env, &[("mqtt.base_topic", "from_flag")]).unwrap();
    let mqtt = &loaded.config.mqtt;
    assert_eq!(mqtt.server.as_deref(), Some("mqtts://core-mosquitto"));
    assert_eq!((mqtt.user.as_deref(), mqtt.base_topic.as_str()), (Some("from_env"), "from_flag"));
    let of = |key: &str| loaded.origins.of(&KeyPath::parse(key)).to_string();
    assert_eq!(of("mqtt.server"), "tests/config/good-homeassistant.toml:31");
    assert_eq!(of("mqtt.user"), "ALARMBUS_MQTT__USER");
    assert_eq!(of("mqtt.base_topic"), "--set");
    assert_eq!(of("mqtt.insecure"), "default");
    assert_eq!(of("devices.98ba5f8b1003.name"), "tests/config/good-homeassistant.toml:41");
    assert_eq!(of("webhooks.1.pointers.event"), "tests/config/good-homeassistant.toml:20");
}

#[test]
fn variables_become_what_their_key_holds() {
    let loaded = load_env(&[
        ("ALARMBUS_MQTT__SERVER", "broker"),
        ("ALARMBUS_MQTT__USER", "true"),
        ("ALARMBUS_MQTT__PASSWORD", "007"),
        ("ALARMBUS_MQTT__VERSION", "5"),
        ("ALARMBUS_MQTT__INSECURE", "false"),
        ("ALARMBUS_NATS__PASSWORD", ""),
        ("ALARMBUS_HTTP__PROXIES", "10.0.0.1, 10.1.0.0/16"),
        ("ALARMBUS_NATS__SERVERS", "[\"n1\", \"n2\"]"),
        ("ALARMBUS_LIMITS__CONNECTIONS", "7000"),
        ("ALARMBUS_LIMITS__BODY_BYTES", "1048576"),
        ("ALARMBUS_ACTIVITY__HOLD__PERSON", "30"),
        ("ALARMBUS_HTTPS__BIND", "127.0.0.1:0"),
        ("ALARMBUS_INSTANCE", "01"),
        ("ALARMBUS_WEBHOOKS", "[{ path = \"/alarm/0123456789abcdef\" }]"),
        ("ALARMBUS_PORT_8089_TCP_ADDR", "10.0.0.9"),
        ("PATH", "/bin"),
    ]);
    let config = loaded.unwrap().config;
    assert_eq!(config.mqtt.user.as_deref(), Some("true"));
    assert_eq!(config.mqtt.password.as_ref().map(|secret| secret.expose()), Some("007"));
    assert!(config.nats.password.is_none());
    assert_eq!(config.http.proxies.len(), 2);
    assert_eq!(config.nats.servers, ["n1", "n2"]);
    assert_eq!((config.limits.connections, config.limits.body_bytes.0), (7000, 1 << 20));
    assert_eq!(config.activity.hold.get("person"), Some(&30));
    assert!(config.https.is_some());
    assert_eq!(config.instance.as_deref(), Some("01"));
    assert_eq!(config.webhooks.len(), 1);
}

#[test]
fn wrong_variables_are_all_named() {
    let found = lines(load_env(&[
        ("ALARMBUS_MQTT__SERVR", "hunter2"),
        ("ALARMBUS_MQTT_SERVER", "broker"),
        ("ALARMBUS_DEVICES__AABB__NAME", "x"),
        ("ALARMBUS_LIMITS__CONNECTIONS", "many"),
        ("ALARMBUS_MQTT", "broker"),
        ("ALARMBUS_NATS__SERVERS", "[n1"),
        ("ALARMBUS_WEBHOOKS__PATH", "/alarm/x"),
        ("ALARMBUS_BANANA", "1"),
    ]));
    let expected = [
        "ALARMBUS_BANANA: no such variable: the keys are those of config.example.toml, \
         as ALARMBUS_<SECTION>__<KEY>",
        "ALARMBUS_DEVICES__AABB__NAME: a map keyed by MAC cannot be set by environment: \
         write [devices.\"98:ba:5f:8b:10:03\"] into the configuration file",
        "ALARMBUS_LIMITS__CONNECTIONS: limits.connections: a whole number, 0 or more, is expected here, not \"many\"",
        "ALARMBUS_MQTT: this is a section: set its keys one by one",
        "ALARMBUS_MQTT_SERVER: no such variable: did you mean ALARMBUS_MQTT__SERVER?",
        "ALARMBUS_MQTT__SERVR: no such variable: did you mean ALARMBUS_MQTT__SERVER?",
        "ALARMBUS_NATS__SERVERS: this begins as a TOML array and is none: check quotes and brackets",
        "ALARMBUS_WEBHOOKS__PATH: webhooks are a list: write ALARMBUS_WEBHOOKS='[{ path = \"/alarm/…\" }]'",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_secret_comes_from_its_file_less_one_newline() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret \n\n").unwrap();
    let name = file.to_str().unwrap();
    let password = |loaded: Loaded| loaded.config.broker.password.unwrap().expose().to_owned();
    let env = [("ALARMBUS_BROKER__USER", "u"), ("ALARMBUS_BROKER__PASSWORD_FILE", name)];
    assert_eq!(password(load_env(&env).unwrap()), "s3cret \n");
    // A higher layer wins, whichever of the two forms it uses.
    let flags = [("broker.password", "typed")];
    assert_eq!(password(load_from(None, &env, &flags).unwrap()), "typed");
}

#[test]
fn a_path_that_can_be_guessed_is_a_warning() {
    let loaded = load_env(&[("ALARMBUS_WEBHOOKS", "[{ path = \"/alarm/x\" }]")]).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert_eq!(loaded.warnings[0].origin, Origin::Variable("ALARMBUS_WEBHOOKS".into()));
    // For a missing key, the keys that require it are checked.
    let found = lines(load_env(&[("ALARMBUS_BROKER__BIND", "0.0.0.0:1883")]));
    assert!(found.len() == 2 && found[0].starts_with("ALARMBUS_BROKER__BIND: broker."), "{found:?}");
}

#[test]
fn the_file_is_named_or_searched_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alarmbus.toml");
    std::fs::write(&file, "instance = \"found\"").unwrap();
    let search = vec![folder.path().join("absent.toml"), file.clone()];
    let loaded = load(&Sources { search: search.clone(), ..Sources::default() }).unwrap();
    assert_eq!((loaded.config.instance.as_deref(), loaded.file), (Some("found"), Some(file)));

    let named = vec![("ALARMBUS_CONFIG".to_owned(), "tests/config/good-nats.toml".to_owned())];
    let loaded = load(&Sources { env: named.clone(), search: search.clone(), ..Sources::default() }).unwrap();
    assert_eq!(loaded.file, Some("tests/config/good-nats.toml".into()));

    let sources = Sources { file: Some("absent.toml".into()), env: named, search, ..Sources::default() };
    let found = lines(load(&sources));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("--config: cannot read the configuration file absent.toml: "), "{found:?}");
}

/// Runs the program with an empty environment, in a folder of its own.
fn alarmbus(args: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_alarmbus"));
    command.args(args).env_clear().current_dir(folder.path()).stdin(Stdio::null());
    command.output().unwrap()
}

#[track_caller]
fn check_exit(args: &[&str], code: i32, stdout: &str, stderr: &str) {
    let output = alarmbus(args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}: {out}{err}");
    assert!(out.contains(stdout) && err.contains(stderr), "{args:?}: {out}{err}");
    assert!(code == 0 || !err.is_empty(), "a failure without a word");
}

#[test]
fn commands_end_with_the_code_that_is_documented() {
    check_exit(&["--help"], 0, "completions", "");
    check_exit(&["--version"], 0, "alarmbus ", "");
    check_exit(&["--banana"], 64, "", "--banana");
    check_exit(&["completions", "tcsh"], 64, "", "tcsh");
    check_exit(&["completions", "bash"], 0, "_alarmbus", "");
    check_exit(&["schema"], 0, "json-schema.org", "");
    check_exit(&["--ready-file", "x", "schema"], 64, "", "serve");
    check_exit(&["--set", "banana"], 64, "", "KEY=VALUE");
    check_exit(&["--config", "absent.toml"], 78, "", "absent.toml");
    check_exit(
        &["--set", "mqtt.sever=x", "check"],
        78,
        "",
        "--set: mqtt.sever: no such key: did you mean server?",
    );
    check_exit(&["decode", "absent.http"], 74, "", "absent.http");
    check_exit(&["healthcheck", "--url", "banana"], 64, "", "http://127.0.0.1:8090");
    check_exit(&["healthcheck", "--url", "http://127.0.0.1:1"], 1, "", "is the bridge running");
}

#[test]
fn check_prints_each_value_with_its_source_and_no_secret() {
    let args = ["check", "--print", "--set", "mqtt.password=hunter2", "--log-level", "debug"];
    let output = String::from_utf8(alarmbus(&args).stdout).unwrap();
    let line =
        |key: &str| output.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap().to_owned();
    assert!(line("mqtt.password").starts_with("mqtt.password = \"***\" ") && !output.contains("hunter2"));
    assert!(line("log.level").ends_with("# --log-level"));
    assert!(line("limits.connections").ends_with("# default"));
}

#[test]
fn check_tries_what_the_host_must_give() {
    let ports = ["--set", "http.bind=127.0.0.1:0", "--set", "admin.bind=127.0.0.1:0"];
    let args = [&["check"], ports.as_slice()].concat();
    check_exit(&args, 0, "storage.path: alarmbus-data can be written", "");
    let absent = ["--set", "mqtt.ca=absent.pem"];
    check_exit(&[args.as_slice(), &absent].concat(), 69, "FAILED  mqtt.ca: cannot read absent.pem", "1 of 6");
}

#[test]
fn check_finds_a_port_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let http = format!("http.bind={}", taken.local_addr().unwrap());
    let args = ["check", "--set", &http, "--set", "admin.bind=127.0.0.1:0"];
    check_exit(&args, 69, "stop the other program, or choose another port", "1 of 5");
}

#[test]
fn who_stops_reading_is_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alarmbus"));
    let mut child = command.args(["completions", "bash"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
