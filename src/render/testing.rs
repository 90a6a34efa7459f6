//! Settings for tests.

use super::{Names, PictureFate, RenderSettings, Renderer, Sending};
use crate::config;

/// Settings with everything on.
pub(crate) fn settings() -> RenderSettings {
    RenderSettings {
        base: "alarmbus".into(),
        bridge: "bridge".into(),
        names: Names::Topics,
        topics: config::Topics::default(),
        public_url: Some("http://192.168.0.10:8090".into()),
        snapshot_key: Some([7; 32]),
        snapshots: config::Snapshots::default(),
        homeassistant: Some(config::HomeAssistant::default()),
        mute_topic: true,
        instance: "0f3a9c".into(),
        version: "0.1.0".into(),
        support_url: None,
    }
}

/// The renderer of these settings.
pub(crate) fn renderer() -> Renderer {
    Renderer::new(settings()).unwrap()
}

/// Sent at once, with its picture.
pub(crate) fn live() -> Sending {
    Sending { replayed: false, picture: PictureFate::Sent }
}
