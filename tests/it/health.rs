//! Health over HTTP, on the broker, and by systemd.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::process::Process;
use crate::support::web::get;
use crate::support::{Bridge, Mosquitto, SOON, Subscriber, eventually};

/// Requests readiness: status code and text.
async fn ready(bridge: &Bridge) -> (u16, String) {
    let answer = get(bridge.admin(), "/health/ready", &[]).await;
    (answer.status, answer.json()["status"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_down_degrades_and_does_not_stop_the_intake() {
    let mut broker = Mosquitto::start().await;
    let bridge = Bridge::start(&format!("[mqtt]\nserver = \"{}\"", broker.url())).await;
    let is = async |expected: &str| {
        eventually(SOON, expected, async || {
            (ready(&bridge).await == (200, expected.to_owned())).then_some(())
        })
        .await;
    };
    is("ok").await;
    let port = broker.port();
    let mut subscriber = Subscriber::connect(port, "alarmbus/bridge/health").await;
    subscriber.wait_for(SOON, |message| message.json()["status"] == "ok").await;
    broker.kill();
    is("degraded").await;
    let alarm = json!({"mac": "98:ba:5f:8b:10:03", "event_list": [{"dateTime": "20261005162531", "event_type": ["MOTION"]}]});
    assert_eq!(bridge.camera().json(&alarm).await.status, 200);
    assert_eq!(ready(&bridge).await.0, 200, "a moment is not a fault");
    assert_eq!(get(bridge.admin(), "/health/live", &[]).await.status, 200);
    broker.restart().await;
    is("ok").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_and_its_watchdog_fed() {
    let bridge = Bridge::prepare("");
    let socket = bridge.storage().with_file_name("notify");
    let listener = UnixDatagram::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_alarmbus"));
    command.arg("--config").arg(bridge.config()).env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "300000");
    let mut process = Process::spawn("alarmbus", &command);
    let mut told = String::new();
    let mut wait_for = async |text: &str| {
        eventually(SOON, text, async || {
            let mut buffer = [0; 1024];
            while let Ok(count) = listener.recv(&mut buffer) {
                told.push_str(&String::from_utf8_lossy(&buffer[..count]));
                told.push('\n');
            }
            let at = told.find(text)?;
            told.replace_range(..at + text.len(), "");
            Some(())
        })
        .await;
    };
    wait_for("READY=1").await;
    wait_for("STATUS=accepting alarms").await;
    wait_for("WATCHDOG=1").await;
    wait_for("WATCHDOG=1").await;
    process.signal(Signal::HUP);
    wait_for("RELOADING=1").await;
    wait_for("READY=1").await;
    std::fs::remove_file(bridge.config()).unwrap();
    process.signal(Signal::HUP);
    wait_for("RELOADING=1").await;
    wait_for("READY=1").await;
    process.signal(Signal::TERM);
    wait_for("STOPPING=1").await;
    assert!(process.wait_exit(SOON + Duration::from_secs(1)).await.success());
}
