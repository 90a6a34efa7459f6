//! Topics of a sink: the configured templates, checked for collisions, and the bridge's own topics.

use uuid::Uuid;

use super::What;
use crate::config;
use crate::config::topic_check::{Fixed, sound};
use crate::model::record::DeviceRecord;
use crate::model::template::{PlaceholderValues, Template};
use crate::model::{EventName, Source};

pub use crate::config::topic_check::TopicError;

/// The topics of one sink.
#[derive(Debug, Clone)]
pub struct TopicSet {
    /// The base topic.
    base: String,
    /// The level of the bridge's own topics: `bridge`, or `bridge-<instance>`.
    bridge: String,
    /// Every alarm.
    event: Template,
    /// Start and end of activities.
    activity: Template,
    /// Every picture.
    picture: Template,
    /// ON or OFF.
    state: Template,
    /// Number of objects.
    count: Template,
    /// Latest picture of a kind.
    snapshot_event: Template,
    /// Latest picture of any kind.
    snapshot: Template,
    /// The alarm of the latest picture of a kind.
    snapshot_info_event: Template,
    /// The alarm of the latest picture of any kind.
    snapshot_info: Template,
    /// The latest alarm.
    last: Template,
    /// The device.
    device: Template,
}

impl TopicSet {
    /// Reads and checks all templates. `discovery` is the discovery prefix, where discovery is on.
    ///
    /// # Errors
    /// Returns all mistakes, not only the first.
    pub fn new(
        base: &str,
        bridge: &str,
        topics: &config::Topics,
        discovery: Option<&str>,
    ) -> Result<Self, Vec<TopicError>> {
        Template::topic(base).map_err(|cause| vec![TopicError::Base { base: base.into(), cause }])?;
        let all = sound(topics, &Fixed { base, bridge, discovery, birth: None })?;
        let [
            event,
            activity,
            picture,
            state,
            count,
            snapshot_event,
            snapshot,
            snapshot_info_event,
            snapshot_info,
            last,
            device,
        ] = all;
        Ok(Self {
            base: base.into(),
            bridge: bridge.into(),
            event,
            activity,
            picture,
            state,
            count,
            snapshot_event,
            snapshot,
            snapshot_info_event,
            snapshot_info,
            last,
            device,
        })
    }

    /// The topic of an alarm.
    #[must_use]
    pub fn event(&self, source: &Source, event: &EventName, id: Uuid, device: &DeviceRecord) -> String {
        self.event.fill(&self.values(source, Some(event), Some(id), Some(device)))
    }

    /// The topic of the start or end of an activity; `id` is the record's own.
    #[must_use]
    pub fn activity(&self, source: &Source, event: &EventName, id: Uuid, device: &DeviceRecord) -> String {
        self.activity.fill(&self.values(source, Some(event), Some(id), Some(device)))
    }

    /// The topic of the picture of one alarm.
    #[must_use]
    pub fn picture(&self, source: &Source, event: &EventName, alarm: Uuid, device: &DeviceRecord) -> String {
        self.picture.fill(&self.values(source, Some(event), Some(alarm), Some(device)))
    }

    /// The subscription filter for all alarms of a device.
    #[must_use]
    pub fn events(&self, source: &Source, device: Option<&DeviceRecord>) -> String {
        self.event.filter(&self.values(source, None, None, device))
    }

    /// The topic on which mutes of a device are received.
    #[must_use]
    pub fn mute_set(&self, source: &Source) -> String {
        format!("{}/{source}/mute/set", self.base)
    }

    /// The subscription filter for all alarms of one kind of a device.
    #[must_use]
    pub fn event_filter(&self, source: &Source, event: &EventName, device: &DeviceRecord) -> String {
        let values = self.values(source, Some(event), None, Some(device));
        self.event.filter_one(&values)
    }

    /// The topic of a current value of a device; `None` for discovery and what is the bridge's.
    #[must_use]
    pub fn value(
        &self,
        what: What,
        source: &Source,
        event: Option<&EventName>,
        device: Option<&DeviceRecord>,
    ) -> Option<String> {
        let template = match (what, event) {
            (What::SnapshotInfo, Some(_)) => &self.snapshot_info_event,
            (What::SnapshotInfo, None) => &self.snapshot_info,
            (What::Snapshot, Some(_)) => &self.snapshot_event,
            (What::Snapshot, None) => &self.snapshot,
            (What::Last, _) => &self.last,
            (What::State, Some(_)) => &self.state,
            (What::Count, Some(_)) => &self.count,
            (What::Device, _) => &self.device,
            (What::State | What::Count, None) | (What::Discovery | What::Info | What::Health, _) => {
                return None;
            }
        };
        Some(template.fill(&self.values(source, event, None, device)))
    }

    /// A topic of the bridge itself: `state`, `info`, `health`, `token`.
    #[must_use]
    pub fn bridge(&self, what: &str) -> String {
        format!("{}/{}/{what}", self.base, self.bridge)
    }

    /// Returns whether a template of a current value names more of a device than its source.
    pub(super) fn names_devices(&self) -> bool {
        let Self { state, count, snapshot_event, snapshot, .. } = self;
        let Self { snapshot_info_event, snapshot_info, last, device, .. } = self;
        let pictures = [snapshot_event, snapshot, snapshot_info_event, snapshot_info];
        [state, count, last, device].into_iter().chain(pictures).any(Template::names_device)
    }

    /// The base topic.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The template of states.
    pub(super) fn state_template(&self) -> &Template {
        &self.state
    }

    /// Collects the values for placeholders.
    fn values<'a>(
        &'a self,
        source: &'a Source,
        event: Option<&'a EventName>,
        id: Option<Uuid>,
        device: Option<&'a DeviceRecord>,
    ) -> PlaceholderValues<'a> {
        PlaceholderValues { base: &self.base, source, event, id, device }
    }
}
