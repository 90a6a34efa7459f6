//! SIGHUP under load: webhooks, devices, limits and the log's level are taken up, and no alarm is dropped.

use std::time::Duration;

use rustix::process::Signal;

use crate::stopping::Load;
use crate::support::alarms::{Arrived, report, send};
use crate::support::{Bridge, Camera, Mosquitto, SOON, Subscriber, eventually};

fn config(broker: &Mosquitto, name: &str, level: &str, more: &str) -> String {
    format!(
        "[mqtt]\nserver = \"{}\"\n[homeassistant]\nenabled = false\n[log]\nlevel = \"{level}\"\n\
         [devices.\"98:ba:5f:8b:10:01\"]\nname = \"{name}\"\n\
         [[webhooks]]\npath = \"/alarm/first-secret-of-this-test\"\nid = \"first\"\n{more}",
        broker.url()
    )
}

const SECOND: &str = "[[webhooks]]\npath = \"/alarm/second-secret-of-this-test\"\nid = \"second\"\n\
                      [limits]\nbody_bytes = \"1KiB\"\n";

#[tokio::test]
async fn a_reload_under_load_takes_up_what_it_can_and_drops_nothing() {
    let broker = Mosquitto::start().await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let bridge = Bridge::start(&config(&broker, "Front", "info", "")).await;
    let second = Camera { path: "/alarm/second-secret-of-this-test".into(), ..bridge.camera() };
    assert_eq!(second.json(&report(1, "PEOPLE")).await.status, 404);
    let load = Load::start(&bridge.camera());
    for _ in 0..5 {
        bridge.signal(Signal::HUP);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bridge.configure(&config(&broker, "Back", "debug", SECOND));
    bridge.signal(Signal::HUP);
    eventually(SOON, "the second webhook", async || {
        (second.json(&report(1, "PEOPLE")).await.status == 200).then_some(())
    })
    .await;
    let named = send(&bridge.camera(), 1, "PEOPLE", None).await;
    eventually(SOON, "the new bound on bodies", async || {
        (second.raw(&second.request("text/plain", &[b'x'; 5_000])).await.status == 413).then_some(())
    })
    .await;
    let sent = load.stop().await;
    assert!(sent.len() > 20, "{}", sent.len());
    let event =
        subscriber.wait_for(SOON, |m| m.topic.contains("/event/") && m.json()["id"] == named.id).await.json();
    assert_eq!(event["device"]["name"], "Back");
    let mut arrived = Arrived::default();
    let rest: Vec<_> = sent.into_iter().filter(|sent| sent.id != named.id).collect();
    arrived.all(&mut subscriber, &rest, Duration::from_secs(60)).await;
    arrived.in_order();
    assert!(bridge.log().contains("DEBUG"), "the level was taken up");
    bridge.configure("[http]\nbind = \"nowhere\"\n");
    bridge.signal(Signal::HUP);
    eventually(SOON, "the refusal of a mistake", async || {
        bridge.log().contains("not taken up").then_some(())
    })
    .await;
    assert_eq!(second.json(&report(1, "PEOPLE")).await.status, 200, "the old one stays");
}
