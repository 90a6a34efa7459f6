//! The meaning of a document: one module per maker, and the fields, names and boxes they share.
//!
//! A new maker is a module with a [`Vendor`] and a row in [`VENDORS`].

use serde_json::Value;

use super::Hints;
use super::report::{Document, Report};
use crate::config::ingest::Pointers;
use crate::config::mapping::{BUILT_IN, Mapping};

pub mod alarms;
mod boxes;
mod channel;
pub(crate) mod fields;
mod generic;
pub mod mapping;
pub(crate) mod names;
pub(crate) mod secrets;
mod unused;
mod vigi;
mod vigi_nvr;
pub(crate) mod words;

use alarms::Alarms;

/// A maker's format. It receives JSON, and knows nothing of transport.
pub trait Vendor: Sync {
    /// Name in the configuration of a webhook.
    fn name(&self) -> &'static str;
    /// Returns whether a document matches this maker's format.
    fn recognises(&self, document: &Value) -> bool;
    /// Adds the alarms of a document. It never fails: what cannot be parsed is left out of an alarm or kept in its
    /// `extra`.
    fn decode(&self, document: &Value, report: &Report, alarms: &mut Alarms);
}

/// Every vendor; the first that recognises a document decodes it.
pub static VENDORS: &[&dyn Vendor] = &[&vigi::Vigi, &vigi_nvr::VigiNvr, &generic::Generic];

/// Decoder of a document.
#[derive(Clone, Copy)]
pub(crate) enum Maker<'m> {
    /// A maker with code of its own.
    Code(&'static dyn Vendor),
    /// A maker whose format is data.
    Data(&'m Mapping),
}

impl<'m> Maker<'m> {
    /// Name in the configuration of a webhook.
    pub(crate) fn name(self) -> &'m str {
        match self {
            Self::Code(vendor) => vendor.name(),
            Self::Data(mapping) => &mapping.name,
        }
    }

    /// Returns whether no maker knows the document.
    pub(crate) fn is_generic(self) -> bool {
        self.name() == "generic"
    }
}

/// Chooses the maker of a document: the first of the webhook's own mappings that recognises it, otherwise the maker
/// named by the webhook, unless the document matches another. Pointers of the webhook take precedence over makers
/// that are data.
pub(crate) fn choose<'m>(hints: &'m Hints, document: &Document, headers: &Value) -> Maker<'m> {
    let (value, form) = (&document.value, document.form);
    if let Some(own) = hints.mappings.iter().find(|mapping| mapping.recognises(value, form, headers)) {
        return Maker::Data(own);
    }
    // A path fixed by a maker is more specific than a document that several makers could send.
    if let Some(mapping) =
        headers.pointer("/@headers/:path").and_then(|_| mapping::recognised(value, form, headers))
    {
        return Maker::Data(mapping);
    }
    let named = BUILT_IN.iter().find(|mapping| mapping.name == hints.vendor);
    if let Some(mapping) = named.filter(|mapping| mapping.recognises(value, form, headers)) {
        return Maker::Data(mapping);
    }
    let by_name = VENDORS.iter().find(|vendor| vendor.name() == hints.vendor && vendor.recognises(value));
    if let Some(vendor) = by_name {
        return Maker::Code(*vendor);
    }
    let known = VENDORS.iter().find(|vendor| vendor.recognises(value) && vendor.name() != "generic");
    if let Some(vendor) = known {
        return Maker::Code(*vendor);
    }
    let mapping = mapping::recognised(value, form, headers).filter(|_| hints.pointers == Pointers::default());
    mapping.map_or(Maker::Code(&generic::Generic), Maker::Data)
}
