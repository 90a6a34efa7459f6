//! Reports that lack the identifier their device gives in other reports.

use super::Ledger;
use crate::model::{Reported, Source};

impl Ledger {
    /// Completes a report that lacks the identifier of its device.
    pub(super) fn identify_by_address(&self, reported: &mut Reported) {
        if let Some(id) = self.id_by_address(reported) {
            reported.device_id = Some(id);
        }
    }

    /// Identifier of the device that a report without one is from: that of the only device of the same maker that
    /// reported the same address of itself. The address of the sender does not count, because a relay or a NAT sends for
    /// several.
    fn id_by_address(&self, reported: &Reported) -> Option<String> {
        let nothing = reported.mac.is_none() && reported.device_id.is_none() && reported.name.is_none();
        let address = reported.ip.as_ref().filter(|_| nothing)?;
        if self.settings.alias(address).is_some() {
            return None;
        }
        let nameless = Source::of_ip(address);
        let of_address = self.devices.values().filter(|device| {
            device.ip.as_ref() == Some(address) && device.vendor == reported.vendor && device.mac.is_none()
        });
        let mut sources = of_address
            .filter(|device| device.parent.is_some() || device.channel.is_none_or(|channel| channel <= 1))
            .map(|device| device.parent.as_ref().unwrap_or(&device.source))
            .filter(|source| **source != nameless);
        let first = sources.next()?;
        sources.all(|other| other == first).then(|| first.as_str().to_owned())
    }
}
