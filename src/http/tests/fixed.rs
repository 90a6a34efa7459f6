//! Paths fixed by a manufacturer: a webhook accepts its folder, and Dahua's keep-alives are answered.

use super::{Bridge, Setup, assert_ok, assert_status};
use crate::config::{self, Secret};
use crate::findings::FindingCode;

fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

const ALARM: &str = r#"{"Reference":"192.0.2.70:80/x","AlarmInfo":{"AlarmType":"MotionAlarmOn","TimeStamp":1795864805,"AlarmSrcID":3,"AlarmSrcType":8}}"#;

#[tokio::test]
async fn a_folder_of_a_maker_is_a_webhook_and_its_last_part_is_read() {
    let webhook = config::Webhook { path: Some(Secret::new("/LAPI")), ..Default::default() };
    let bridge = Bridge::start(Setup { webhook, ..Setup::default() }).await;
    let alarm = bridge.talk(post("/LAPI/V1.0/System/Event/Notification/Alarm", ALARM)).await;
    assert_ok(&alarm);
    assert!(alarm.ends_with("{\"ResponseCode\":0}"), "{alarm}");
    for body in ["", "{}", "{\"Time\":1}"] {
        let alive = bridge.talk(post("/LAPI/V1.0/System/UpServer/Keepalive", body)).await;
        assert!(alive.ends_with("{\"ResponseCode\":0}"), "{alive}");
    }
    let plate = bridge.talk(post("/LAPI/V1.0/System/Event/Notification/VehicleEventInfo", "{\"x\":1}")).await;
    assert!(plate.ends_with("{\"ResponseCode\":0}"), "{plate}");
    assert_status(&bridge.talk(post("/LAPIS/x", ALARM)).await, 404);
}

#[tokio::test]
async fn a_makers_path_without_a_webhook_says_which_one_is_missing() {
    let bridge = Bridge::new().await;
    assert_status(&bridge.talk(post("/LAPI/V1.0/System/Event/Notification/Alarm", ALARM)).await, 404);
    let detail = bridge.finding(FindingCode::WrongPath).await;
    assert!(detail.contains("path = \"/LAPI\"") && detail.contains("127.0.0.1"), "{detail}");
}

#[tokio::test]
async fn a_keep_alive_at_the_root_is_answered() {
    let bridge = Bridge::new().await;
    for folder in ["EventHttpUpload", "PictureHttpUpload"] {
        let answer = bridge.talk(format!("GET /{folder}/keepalive HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        assert_ok(&answer);
        assert!(answer.ends_with("{\"result\":true}"), "{answer}");
    }
    // No device is known by this address.
    bridge.finding(FindingCode::NoEvents).await;
    assert_ok(&bridge.talk(post("/alarm/s3cr3t", "Code=VideoMotion;action=Start;index=0")).await);
    let count = |bridge: &Bridge| {
        bridge
            .findings
            .list()
            .iter()
            .filter(|of| of.kind.code == FindingCode::NoEvents)
            .map(|of| of.count)
            .sum::<u64>()
    };
    let before = count(&bridge);
    assert_ok(&bridge.talk("GET /EventHttpUpload/keepalive HTTP/1.1\r\nHost: h\r\n\r\n").await);
    assert_eq!(count(&bridge), before, "a known device was heard");
    assert_status(&bridge.talk(post("/EventHttpUpload/keepalive", "{}")).await, 404);
}
