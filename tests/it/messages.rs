//! Messages of commands and log about frequent mistakes.

use serde_json::json;

use crate::support::web::get;
use crate::support::{Bridge, Mosquitto, SOON, Subscriber, eventually, port};

fn down() -> String {
    format!("[mqtt]\nserver = \"mqtt://127.0.0.1:{}\"\n", port::free())
}

/// Lines of the log with both texts.
fn lines(log: &str, level: &str, text: &str) -> Vec<String> {
    log.lines().filter(|line| line.contains(level) && line.contains(text)).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_down_is_named_once_and_does_not_make_the_container_restart() {
    let bridge = Bridge::start(&down()).await;
    let alarm = json!({"mac": "98:ba:5f:8b:10:03", "event_list": [{"dateTime": "20261005162531", "event_type": ["MOTION"]}]});
    assert_eq!(bridge.camera().json(&alarm).await.status, 200);
    eventually(SOON, "the state", async || (bridge.health().await["status"] == "degraded").then_some(()))
        .await;
    let doctor = eventually(SOON, "the diagnosis", async || {
        let (status, text) = bridge.command(&["doctor"]).await;
        assert_eq!(status.code(), Some(1), "{text}");
        text.contains("not reached yet").then_some(text)
    })
    .await;
    assert_eq!(doctor.matches("nothing listens at").count(), 1, "{doctor}");
    assert_eq!(doctor.matches("not reached yet").count(), 2, "{doctor}");

    let url = bridge.admin();
    let (status, text) = bridge.command(&["healthcheck", "--url", url]).await;
    assert!(
        status.success() && text.contains("\"degraded\"") && text.contains("\"takes_alarms\":true"),
        "{text}"
    );
    let (status, text) = bridge.command(&["healthcheck", "--url", url, "--strict"]).await;
    assert_eq!(status.code(), Some(1), "{text}");
    assert_eq!(lines(&bridge.log(), "WARN", "broker_unreachable").len(), 1, "{}", bridge.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_has_one_line_with_the_remedy() {
    let bridge = Bridge::start("").await;
    for _ in 0..3 {
        get(bridge.ingest(), "/wrong", &[]).await;
    }
    let log = eventually(SOON, "the lines", async || {
        Some(bridge.log()).filter(|log| 3 <= log.matches("refused (wrong_path)").count())
    })
    .await;
    assert_eq!(lines(&log, "WARN", "refused (wrong_path)").len(), 1, "{log}");
    assert_eq!(lines(&log, "INFO", "refused (wrong_path)").len(), 2, "{log}");
    assert_eq!(lines(&log, "", "wrong_path").len(), 3, "one line each: {log}");
    assert!(lines(&log, "WARN", "wrong_path")[0].contains("Type the path exactly"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_says_at_the_start_and_in_check_that_refusals_are_invisible() {
    let broker = Mosquitto::start().await;
    let config = |version: &str| format!("[mqtt]\nserver = \"{}\"\nversion = \"{version}\"\n", broker.url());
    const WORDS: &str = "MQTT 3.1.1 has no way to report a refused message";
    let bridge = Bridge::start(&config("3.1.1")).await;
    assert_eq!(lines(&bridge.log(), "WARN", WORDS).len(), 1, "{}", bridge.log());
    eventually(SOON, "the banner", async || bridge.log().contains(&format!("Note: {WORDS}")).then_some(()))
        .await;
    let (status, text) = bridge.command(&["check"]).await;
    assert!(status.success(), "{text}");
    let line = lines(&text, "warning configuration", WORDS).pop().unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains("mqtt.version = \"5\""), "{line}");
    let bridge = Bridge::start(&config("5")).await;
    assert!(!bridge.log().contains(WORDS), "{}", bridge.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_that_is_printed_works_from_anywhere() {
    let mut bridge = Bridge::prepare("");
    let storage = bridge.storage().with_file_name("of a flag");
    bridge.environment(vec![("ALARMBUS_STORAGE__PATH".into(), storage.display().to_string())]);
    bridge.restart().await;
    let command = format!("alarmbus simulate --storage '{}'", storage.display());
    eventually(SOON, "the command", async || bridge.log().contains(&command).then_some(())).await;
    for page in ["/", "/setup"] {
        let page = get(bridge.admin(), page, &[]).await.text();
        assert!(page.contains("alarmbus simulate --storage") && page.contains("of a flag"), "{page}");
    }
    bridge.environment(Vec::new());
    let folder = storage.display().to_string();
    let (status, text) = bridge.command(&["simulate", "--storage", &folder, "--count", "1"]).await;
    assert!(status.success() && text.contains("sent 1 request with 2 alarms"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_is_not_there_is_named_in_plain_words() {
    let bridge = Bridge::start("").await;
    let (status, text) = bridge.command(&["replay", "123"]).await;
    assert_eq!(status.code(), Some(64), "{text}");
    assert!(
        text.contains("an alarm's id has 32 hex digits") && text.contains("alarmbus watch --json"),
        "{text}"
    );
    let id = "0199e2b4-5d3a-7cc0-8f3e-2a1b9c4d5e6f";
    let (status, text) = bridge.command(&["replay", id]).await;
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("this bridge has no alarm {id}")) && text.contains("history"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_posix_zone_is_refused_wherever_a_zone_is_given() {
    let config = "[time]\ntimezone = \"CET+1\"\n[devices.\"98:ba:5f:8b:10:01\"]\ntimezone = \"EST5EDT\"\n\
                  [[webhooks]]\npath = \"/alarm/0123456789abcdef\"\ntimezone = \"CST-8\"\n";
    let (status, text) = Bridge::prepare(config).command(&["check"]).await;
    assert_eq!(status.code(), Some(78), "{text}");
    for zone in ["Europe/Berlin", "America/New_York", "Asia/Shanghai"] {
        assert!(text.contains(&format!("write {zone}")), "{text}");
    }
    let mut bridge = Bridge::prepare("");
    let (status, text) = bridge.command(&["simulate", "--timezone", "CET+1", "--dump", "/nonexistent"]).await;
    assert_eq!(status.code(), Some(64), "{text}");
    assert!(text.contains("write Europe/Berlin"), "{text}");
    bridge.environment(vec![("ALARMBUS_TIME__TIMEZONE".into(), "CET+1".into())]);
    let (status, text) = bridge.command(&["check"]).await;
    assert!(status.code() == Some(78) && text.contains("ALARMBUS_TIME__TIMEZONE"), "{text}");
    bridge.environment(vec![("TZ".into(), "CET+1".into())]);
    let (_, text) = bridge.command(&["check"]).await;
    assert!(text.contains("warning TZ: the variable TZ") && text.contains("write Europe/Berlin"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_zone_is_said_in_hours_with_the_zone_that_fits() {
    let broker = Mosquitto::start().await;
    let _subscriber = Subscriber::connect(broker.port(), "#").await;
    let bridge =
        Bridge::start(&format!("[mqtt]\nserver = \"{}\"\n[time]\ntimezone = \"Asia/Tokyo\"\n", broker.url()))
            .await;
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::get("Asia/Kolkata").unwrap());
    let time = now.strftime("%Y%m%d%H%M%S").to_string();
    let alarm =
        json!({"mac": "98:ba:5f:8b:10:03", "event_list": [{"dateTime": time, "event_type": ["MOTION"]}]});
    assert_eq!(bridge.camera().json(&alarm).await.status, 200);
    let line =
        eventually(SOON, "the finding", async || lines(&bridge.log(), "WARN", "device_clock").pop()).await;
    assert!(
        line.contains("3 h 30 min behind; \"Asia/Kolkata\" (+05:30) would fit")
            || line.contains("\\\"Asia/Kolkata\\\" (+05:30) would fit"),
        "{line}"
    );
}
