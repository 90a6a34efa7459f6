//! Bytes of the HTTP requests that devices send.

use jiff::civil::DateTime;
use serde_json::{Value, json};

use super::device::SimulatedDevice;
use super::event::SimulatedKind;
use super::picture::scene::Figure;
use super::target::Target;

/// Formats of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A camera's JSON with "Enhanced Alarm Message Service" off.
    Legacy,
    /// A camera's JSON with boxes.
    Enhanced,
    /// A camera's legacy JSON and a picture.
    Multipart,
    /// A camera's JSON with boxes, and a picture. Not seen on a real device yet.
    EnhancedMultipart,
    /// A recorder's JSON.
    Nvr,
    /// A recorder's JSON and a picture.
    NvrMultipart,
}

impl Format {
    /// Returns whether it is a format of recorders.
    #[must_use]
    pub fn is_recorder(self) -> bool {
        matches!(self, Self::Nvr | Self::NvrMultipart)
    }

    /// Returns whether it can contain a picture.
    #[must_use]
    pub fn takes_picture(self) -> bool {
        matches!(self, Self::Multipart | Self::EnhancedMultipart | Self::NvrMultipart)
    }

    /// Returns whether it contains positions of objects.
    fn has_boxes(self) -> bool {
        matches!(self, Self::Enhanced | Self::EnhancedMultipart)
    }

    /// Name on the command line and in dumped files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Enhanced => "enhanced",
            Self::Multipart => "multipart",
            Self::EnhancedMultipart => "enhanced-multipart",
            Self::Nvr => "nvr",
            Self::NvrMultipart => "nvr-multipart",
        }
    }
}

/// One alarm to send.
#[derive(Debug, Clone)]
pub struct Push<'a> {
    /// The device.
    pub device: &'a SimulatedDevice,
    /// Format of the request.
    pub format: Format,
    /// The kinds; several in one report are usual.
    pub kinds: &'a [SimulatedKind],
    /// Time by the device's own clock and zone.
    pub at: DateTime,
    /// Positions of the objects.
    pub figures: &'a [Figure],
    /// The picture, if one is attached.
    pub picture: Option<&'a [u8]>,
}

/// The whole request, with exactly the headers of a camera, in the same order.
#[must_use]
pub fn build(target: &Target, push: &Push<'_>) -> Vec<u8> {
    let (content_type, body) = body(push);
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Cache-Control: no-cache\r\n\r\n",
        target.path,
        target.authority,
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// Content type and body.
fn body(push: &Push<'_>) -> (&'static str, Vec<u8>) {
    let json = json(push).to_string();
    match (push.format, push.picture) {
        (Format::NvrMultipart, picture) => {
            ("multipart/form-data;boundary=--VIGI-OPENAPI-MSG-PUSH", recorder_parts(&json, picture))
        }
        (Format::Multipart | Format::EnhancedMultipart, Some(picture)) => {
            ("multipart/form-data; boundary=ReportEventBoundary", camera_parts(&json, push.at, picture))
        }
        _ => ("application/json; charset=utf-8", json.into_bytes()),
    }
}

/// JSON of a camera or recorder.
#[must_use]
pub fn json(push: &Push<'_>) -> Value {
    if push.format.is_recorder() { recorder_json(push) } else { camera_json(push) }
}

/// A camera's envelope.
fn camera_json(push: &Push<'_>) -> Value {
    let SimulatedDevice { name, mac, ip, .. } = push.device;
    let entries: Vec<Value> = if push.format.has_boxes() {
        push.kinds.iter().map(|kind| enhanced_entry(push, kind)).collect()
    } else {
        let names: Vec<&str> = push.kinds.iter().map(|kind| kind.camera.as_str()).collect();
        vec![json!({"dateTime": push.at.strftime("%Y%m%d%H%M%S").to_string(), "event_type": names})]
    };
    json!({"ip": ip, "mac": mac, "protocol": "HTTP", "device_name": name, "event_list": entries})
}

/// One entry of the enhanced format, which has one type per entry.
fn enhanced_entry(push: &Push<'_>, kind: &SimulatedKind) -> Value {
    let mut entry = json!({"camera": "1", "dateTime": wall(push.at), "event_type": kind.camera});
    if kind.counted {
        let boxes: Vec<Value> = push
            .figures
            .iter()
            .map(|it| json!({"x": it.x, "y": it.y, "height": it.height, "width": it.width}))
            .collect();
        let text = json!([{"region_id": [1], "obj_rect_info": boxes, "obj_num": boxes.len()}]);
        entry.as_object_mut().map(|entry| entry.insert("extra_text".into(), text));
    }
    entry
}

/// A recorder's envelope; kinds without a number are left out.
fn recorder_json(push: &Push<'_>) -> Value {
    let SimulatedDevice { name, recorder_id, channel, .. } = push.device;
    let messages: Vec<Value> = push
        .kinds
        .iter()
        .filter_map(|kind| kind.recorder)
        .map(|(kind, sub)| {
            json!({"type": kind, "sub_type": [sub], "localtime": wall(push.at),
                "channel": channel.to_string(), "channel_name": name, "imgId": 0})
        })
        .collect();
    json!({"device_id": recorder_id, "device_name": "VIGI NVR1008H-8P(UN) 1.20", "messages": messages})
}

/// `2026-10-05 16:25:31`.
fn wall(at: DateTime) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The camera's two parts: the second is named by the time, and has a length but no file name.
fn camera_parts(json: &str, at: DateTime, picture: &[u8]) -> Vec<u8> {
    let head = format!(
        "--ReportEventBoundary\r\nContent-Disposition: form-data; name=\"event\"\r\n\
         Content-Type: application/json\r\n\r\n{json}\r\n--ReportEventBoundary\r\n\
         Content-Disposition: form-data; name=\"{}\"\r\nContent-Type: image/jpeg\r\n\
         Content-Length: {}\r\n\r\n",
        at.strftime("%Y%m%d%H%M%S"),
        picture.len()
    );
    [head.as_bytes(), picture, b"\r\n--ReportEventBoundary--\r\n"].concat()
}

/// The recorder's parts: no blank after `form-data;`, four dashes before the boundary's name.
fn recorder_parts(json: &str, picture: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = format!(
        "----VIGI-OPENAPI-MSG-PUSH\r\nContent-Disposition: form-data;name=\"event\"\r\n\
         Content-Type: application/json; charset=UTF-8\r\nContent-Length: {}\r\n\r\n{json}\r\n",
        json.len()
    )
    .into_bytes();
    if let Some(picture) = picture {
        let head = format!(
            "----VIGI-OPENAPI-MSG-PUSH\r\nContent-Disposition: form-data;name=\"picture\"\r\n\
             Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
            picture.len()
        );
        bytes.extend([head.as_bytes(), picture, b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"----VIGI-OPENAPI-MSG-PUSH--\r\n");
    bytes
}

#[cfg(test)]
mod tests;
