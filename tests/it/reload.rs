//! SIGHUP under load: webhooks, devices, limits and the level of the log are applied, and no alarm is dropped.

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
    for times in 1..=5 {
        bridge.signal(Signal::HUP);
        eventually(SOON, "the reload", async || {
            (times <= bridge.log().matches("the configuration was read again").count()).then_some(())
        })
        .await;
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
        bridge.log().contains("not reloaded").then_some(())
    })
    .await;
    assert_eq!(second.json(&report(1, "PEOPLE")).await.status, 200, "the old one stays");
}

/// The log from a byte on.
fn since(bridge: &Bridge, from: usize) -> String {
    bridge.log().get(from..).unwrap_or_default().to_owned()
}

/// Waits for a log line that shows the end of the reload.
async fn reloaded(bridge: &Bridge, before: usize, said: &str) {
    bridge.hang_up();
    eventually(SOON, said, async || since(bridge, before).contains(said).then_some(())).await;
}

/// The details of the findings that a reload was refused.
async fn refused(bridge: &Bridge) -> Vec<String> {
    let findings = Camera::new(&format!("{}/api/v1/findings", bridge.admin())).get().await.json();
    let all = findings["findings"].as_array().unwrap().clone();
    let ours = all.into_iter().filter(|finding| finding["code"] == "reload_refused");
    ours.map(|finding| finding["detail"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_file_that_is_broken_at_a_reload_leaves_the_webhooks_in_use() {
    let broker = Mosquitto::start().await;
    let bridge = Bridge::start("").await;
    let folder = bridge.storage().parent().unwrap().to_owned();
    let secret = folder.join("secret");
    std::fs::write(&secret, "/alarm/a-secret-in-a-file-0001\n").unwrap();
    let file = format!("[[webhooks]]\npath_file = {secret:?}\nid = \"kept\"\n");
    let good = config(&broker, "Front", "info", &file);
    let mut bridge = bridge;
    bridge.configure(&good);
    bridge.restart().await;
    let first = Camera { path: "/alarm/first-secret-of-this-test".into(), ..bridge.camera() };
    let kept = Camera { path: "/alarm/a-secret-in-a-file-0001".into(), ..bridge.camera() };
    let whole = std::fs::read(bridge.config()).unwrap();
    let half = whole.len() - 10;
    let mut latin = whole.clone();
    latin.extend(b"# caf\xe9\n");
    let without = String::from_utf8(whole.clone()).unwrap();
    let without = without.split("[[webhooks]]").next().unwrap().as_bytes().to_vec();
    let broken: [(&str, Option<Vec<u8>>, &str); 6] = [
        ("empty", Some(Vec::new()), "sets no key"),
        ("gone", None, "No such file"),
        ("not UTF-8", Some(latin), "not UTF-8"),
        ("half written", Some(whole[..half].to_vec()), "not valid TOML"),
        ("without webhooks", Some(without), "no [[webhooks]] is left"),
        ("wrong", Some(b"[http]\nbind = \"nowhere\"\n".to_vec()), "http.bind"),
    ];
    for (name, content, cause) in broken {
        let from = bridge.log().len();
        match content {
            Some(content) => std::fs::write(bridge.config(), content).unwrap(),
            None => std::fs::remove_file(bridge.config()).unwrap(),
        }
        reloaded(&bridge, from, "was not reloaded").await;
        let log = since(&bridge, from);
        let line = log.lines().find(|line| line.contains("was not reloaded")).unwrap();
        assert!(
            line.contains("WARN") && line.contains(cause) && line.contains("reload again"),
            "{name}: {line}"
        );
        let details = refused(&bridge).await;
        assert!(details.len() == 1 && details[0].contains(cause), "{name}: {details:?}");
        for camera in [&first, &kept] {
            assert_eq!(camera.json(&report(1, "PEOPLE")).await.status, 200, "{name}");
        }
        let from = bridge.log().len();
        std::fs::write(bridge.config(), &whole).unwrap();
        reloaded(&bridge, from, "was read again").await;
        assert_eq!(refused(&bridge).await, Vec::<String>::new(), "{name}: settled");
    }
    for content in ["", "\n\n"] {
        let from = bridge.log().len();
        std::fs::write(&secret, content).unwrap();
        reloaded(&bridge, from, "is empty: write the secret into it").await;
        assert_eq!(kept.json(&report(1, "PEOPLE")).await.status, 200);
    }
    let from = bridge.log().len();
    std::fs::remove_file(&secret).unwrap();
    reloaded(&bridge, from, "path_file: cannot read").await;
    assert_eq!(kept.json(&report(1, "PEOPLE")).await.status, 200);
}

#[tokio::test]
async fn a_webhook_that_a_reload_removes_is_named_and_the_others_stay() {
    let broker = Mosquitto::start().await;
    let bridge = Bridge::start(&config(&broker, "Front", "info", SECOND)).await;
    let second = Camera { path: "/alarm/second-secret-of-this-test".into(), ..bridge.camera() };
    assert_eq!(second.json(&report(1, "PEOPLE")).await.status, 200);
    bridge.configure(&config(&broker, "Front", "info", ""));
    reloaded(&bridge, 0, "the webhook second was removed").await;
    assert_eq!(second.json(&report(1, "PEOPLE")).await.status, 404);
    let changed = config(&broker, "Front", "info", "").replace("first-secret", "other-secret");
    bridge.configure(&changed);
    reloaded(&bridge, 0, "the webhook first has another path now").await;
    let other = Camera { path: "/alarm/other-secret-of-this-test".into(), ..bridge.camera() };
    assert_eq!(other.json(&report(1, "PEOPLE")).await.status, 200);
}
