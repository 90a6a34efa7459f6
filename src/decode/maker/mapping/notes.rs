//! Values that a mapping did not find in a report: each becomes a finding, with the line of the mapping file that would
//! read it.

use serde_json::Value;

use super::{Entry, EntryKind, time};
use crate::config::mapping::file::Mapping;
use crate::decode::maker::fields::{cut, text};
use crate::decode::report::{Report, shown};
use crate::findings::FindingCode;
use crate::model::Reported;

impl Mapping {
    /// Notes missing or unknown values of an alarm.
    pub(super) fn note(&self, entry: Entry<'_>, kind: &EntryKind, device: &Reported, report: &mut Report) {
        let maker = &self.name;
        if kind.raw.is_empty() && !kind.known {
            let detail = format!("{maker}: nothing at {} in {}", self.kind.join(", "), shown(entry.own));
            report.problem(FindingCode::KindMissing, detail);
        } else if !kind.known {
            let (raw, code) = (cut(&kind.raw), kind.code.as_deref());
            let line = match code {
                Some(code) => format!("[codes] {code:?} = \"...\""),
                None => format!("[kinds] {raw:?} = \"...\""),
            };
            let event = &kind.event;
            report.problem(
                FindingCode::KindUnknown,
                format!("{maker}: {raw:?} is published as {event:?}; the line is {line}"),
            );
        }
        let nobody = device.mac.is_none() && device.device_id.is_none();
        if nobody && !self.device.mac.is_empty() {
            let places = [&*self.device.mac, &*self.device.id].concat().join(", ");
            report.problem(
                FindingCode::IdentityMissing,
                format!("{maker}: nothing at {places} in {}", shown(entry.root)),
            );
        }
        let unread = |value: &&Value| text(value).is_some();
        if let Some(value) = entry.at(&self.time).filter(unread)
            && entry.values(&self.time).find_map(time::time).is_none()
        {
            let value = cut(&text(value).unwrap_or_default());
            report.problem(FindingCode::TimeNotUnderstood, format!("{maker}: {value:?} is not a time"));
        }
    }
}
