//! The admin listener's API, as used by a client on this host.

use serde_json::Value;

use super::camera::Answer;
use super::{Bridge, Camera, SOON, eventually};

impl Bridge {
    /// A client of a path of the admin listener.
    pub(crate) fn page(&self, path: &str) -> Camera {
        Camera::new(&format!("{}{path}", self.admin()))
    }

    /// Sends a GET request to the API; the answer must be 200.
    pub(crate) async fn api(&self, path: &str) -> Value {
        let answer = self.page(&format!("/api/v1{path}")).get().await;
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// Sends a POST request to the API.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.page(&format!("/api/v1{path}")).json(body).await
    }

    /// Waits for a finding and returns it.
    pub(crate) async fn finding(&self, code: &str) -> Value {
        // Some findings need minutes, which the test shortens; a busy machine takes longer.
        eventually(SOON * 3, &format!("the finding {code}"), async || {
            let all = self.api("/findings").await;
            let mut found = all["findings"].as_array().expect("a list").iter();
            found.find(|finding| finding["code"] == code).cloned()
        })
        .await
    }

    /// Waits until this number of alarms is listed; returns them, newest first.
    pub(crate) async fn alarms(&self, count: usize) -> Vec<Value> {
        eventually(SOON, &format!("{count} alarms"), async || {
            let page = self.api("/alarms?limit=500").await;
            let alarms = page["alarms"].as_array().expect("a list").clone();
            (alarms.len() == count).then_some(alarms)
        })
        .await
    }
}

/// A camera's report: kinds, with the current time in UTC.
pub(crate) fn report(mac: &str, kinds: &[&str]) -> Value {
    let now = jiff::Timestamp::now().strftime("%Y%m%d%H%M%S").to_string();
    serde_json::json!({
        "ip": "192.168.0.101", "mac": mac, "protocol": "HTTP", "device_name": "Front door",
        "event_list": [{"dateTime": now, "event_type": kinds}],
    })
}

/// A small valid picture.
pub(crate) fn picture(pixels: u16) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let mut noise = 1_u32;
    let gray: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    })
    .take(usize::from(pixels) * usize::from(pixels))
    .collect();
    jpeg_encoder::Encoder::new(&mut jpeg, 90)
        .encode(&gray, pixels, pixels, jpeg_encoder::ColorType::Luma)
        .expect("it can be drawn");
    jpeg
}
