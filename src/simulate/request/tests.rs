//! Comparison of built requests with the recorded samples: built with the same values, they have the same bytes.

use jiff::civil::date;

use super::{Format, Push, build};
use crate::simulate::device::SimulatedDevice;
use crate::simulate::event::SimulatedKind;
use crate::simulate::picture::scene::Figure;
use crate::simulate::target::Target;

/// A picture that is short enough to be read.
const PICTURE: &[u8] = b"\xff\xd8\xff\xdb\r\n--\xff\xd9";

fn device() -> SimulatedDevice {
    SimulatedDevice {
        name: "InSight S445 1.0_4D5E".into(),
        mac: "02-1a-2b-3c-4d-5e".into(),
        ip: "192.0.2.101".into(),
        recorder_id: "8021AB00000000000000000000000000DEADBEEF".into(),
        channel: 2,
    }
}

#[track_caller]
fn check(format: Format, kinds: &[&str], picture: Option<&[u8]>, expected: &[&[u8]]) {
    let kinds: Vec<SimulatedKind> = kinds.iter().map(|kind| SimulatedKind::parse(kind)).collect();
    let figures = [
        Figure { x: 2109, y: 4722, height: 5278, width: 1797 },
        Figure { x: 4062, y: 4305, height: 4167, width: 1875 },
    ];
    let at = date(2026, 10, 5).at(16, 25, 31, 0);
    let push = Push { device: &device(), format, kinds: &kinds, at, figures: &figures, picture };
    let target = Target::parse("http://192.0.2.5:8000/alarm").unwrap();
    let request = build(&target, &push);
    let expected = expected.concat();
    assert!(
        request == expected,
        "--- sent\n{}\n--- expected\n{}",
        String::from_utf8_lossy(&request),
        String::from_utf8_lossy(&expected)
    );
}

#[test]
fn legacy_is_as_captured() {
    check(
        Format::Legacy,
        &["motion", "person"],
        Some(PICTURE),
        &[
            b"POST /alarm HTTP/1.1\r\nHost: 192.0.2.5:8000\r\n\
            Content-Type: application/json; charset=utf-8\r\nContent-Length: 180\r\n\
            Cache-Control: no-cache\r\n\r\n",
            br#"{"ip":"192.0.2.101","mac":"02-1a-2b-3c-4d-5e","protocol":"HTTP","#,
            br#""device_name":"InSight S445 1.0_4D5E","#,
            br#""event_list":[{"dateTime":"20261005162531","event_type":["MOTION","PEOPLE"]}]}"#,
        ],
    );
}

#[test]
fn enhanced_is_as_captured() {
    check(
        Format::Enhanced,
        &["person"],
        None,
        &[
            b"POST /alarm HTTP/1.1\r\nHost: 192.0.2.5:8000\r\n\
            Content-Type: application/json; charset=utf-8\r\nContent-Length: 344\r\n\
            Cache-Control: no-cache\r\n\r\n",
            br#"{"ip":"192.0.2.101","mac":"02-1a-2b-3c-4d-5e","protocol":"HTTP","#,
            br#""device_name":"InSight S445 1.0_4D5E","event_list":[{"camera":"1","#,
            br#""dateTime":"2026-10-05 16:25:31","event_type":"PEOPLE","extra_text":[{"region_id":[1],"#,
            br#""obj_rect_info":[{"x":2109,"y":4722,"height":5278,"width":1797},"#,
            br#"{"x":4062,"y":4305,"height":4167,"width":1875}],"obj_num":2}]}]}"#,
        ],
    );
}

#[test]
fn multipart_is_as_captured() {
    check(
        Format::Multipart,
        &["motion"],
        Some(PICTURE),
        &[
            b"POST /alarm HTTP/1.1\r\nHost: 192.0.2.5:8000\r\n\
            Content-Type: multipart/form-data; boundary=ReportEventBoundary\r\nContent-Length: 439\r\n\
            Cache-Control: no-cache\r\n\r\n--ReportEventBoundary\r\n\
            Content-Disposition: form-data; name=\"event\"\r\nContent-Type: application/json\r\n\r\n",
            br#"{"ip":"192.0.2.101","mac":"02-1a-2b-3c-4d-5e","protocol":"HTTP","#,
            br#""device_name":"InSight S445 1.0_4D5E","#,
            br#""event_list":[{"dateTime":"20261005162531","event_type":["MOTION"]}]}"#,
            b"\r\n--ReportEventBoundary\r\nContent-Disposition: form-data; name=\"20261005162531\"\r\n\
            Content-Type: image/jpeg\r\nContent-Length: 10\r\n\r\n",
            PICTURE,
            b"\r\n--ReportEventBoundary--\r\n",
        ],
    );
}

#[test]
fn a_recorder_is_as_documented() {
    check(
        Format::NvrMultipart,
        &["line_crossing"],
        Some(PICTURE),
        &[
            b"POST /alarm HTTP/1.1\r\nHost: 192.0.2.5:8000\r\n\
            Content-Type: multipart/form-data;boundary=--VIGI-OPENAPI-MSG-PUSH\r\nContent-Length: 541\r\n\
            Cache-Control: no-cache\r\n\r\n----VIGI-OPENAPI-MSG-PUSH\r\n\
            Content-Disposition: form-data;name=\"event\"\r\n\
            Content-Type: application/json; charset=UTF-8\r\nContent-Length: 234\r\n\r\n",
            br#"{"device_id":"8021AB00000000000000000000000000DEADBEEF","#,
            br#""device_name":"VIGI NVR1008H-8P(UN) 1.20","messages":[{"type":1,"sub_type":[4],"#,
            br#""localtime":"2026-10-05 16:25:31","channel":"2","channel_name":"InSight S445 1.0_4D5E","#,
            br#""imgId":0}]}"#,
            b"\r\n----VIGI-OPENAPI-MSG-PUSH\r\nContent-Disposition: form-data;name=\"picture\"\r\n\
            Content-Type: image/jpeg\r\nContent-Length: 10\r\n\r\n",
            PICTURE,
            b"\r\n----VIGI-OPENAPI-MSG-PUSH--\r\n",
        ],
    );
}

#[test]
fn a_kind_that_a_recorder_has_no_number_for_is_left_out() {
    let kinds = [SimulatedKind::parse("pet"), SimulatedKind::parse("motion")];
    let at = date(2026, 10, 5).at(16, 25, 31, 0);
    let push =
        Push { device: &device(), format: Format::Nvr, kinds: &kinds, at, figures: &[], picture: None };
    let json = super::json(&push);
    assert_eq!(json["messages"].as_array().unwrap().len(), 1);
    assert_eq!(json["messages"][0]["sub_type"], serde_json::json!([2]));
}
