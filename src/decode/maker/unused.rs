//! Text parts beside a document, and documents that no maker reads.

use serde_json::Value;

use super::{Maker, VENDORS, mapping};
use crate::decode::report::{Document, Report, shown};
use crate::findings::FindingCode;

impl Maker<'_> {
    /// Adds the text parts of the body to a document that is read by a mapping; the document's own members take
    /// precedence.
    pub(crate) fn join_values(self, document: &mut Value, report: &mut Report) {
        let values = std::mem::take(&mut report.values);
        match (self, document) {
            (Self::Code(vendor), _) if vendor.name() != "generic" => {
                for name in values.keys() {
                    report.problem(
                        FindingCode::PartIgnored,
                        format!("the text part {name:?} stands beside the report"),
                    );
                }
            }
            (_, Value::Object(map)) => {
                for (name, value) in values {
                    map.entry(name).or_insert(value);
                }
            }
            _ => {}
        }
    }

    /// Notes a document that becomes an alarm without a kind, because no maker knows it, or none was allowed to read
    /// it.
    pub(crate) fn note_generic(self, document: &Document, report: &mut Report) {
        if !self.is_generic() {
            return;
        }
        let value = &document.value;
        let code = VENDORS.iter().map(|vendor| (vendor.name(), vendor.recognises(value)));
        let code = code.filter(|(name, is)| *is && *name != "generic").map(|(name, _)| name).next();
        let known = code.or_else(|| {
            // The usual names of a request that its user writes say nothing against pointers of the user's own.
            let found = mapping::recognised(value, document.form, &report.headers);
            found.map(|it| it.name.as_str()).filter(|name| *name != "template")
        });
        let event = report.pointers.event.clone();
        let found = event.as_ref().and_then(|pointer| value.pointer(pointer)).is_some();
        match (known, event) {
            (Some(maker), _) => {
                let detail = format!(
                    "this is an alarm of {maker}, and the webhook reads it as generic: set vendor = \"auto\" and remove its pointers"
                );
                report.problem(FindingCode::MakerNotUsed, detail);
            }
            (None, _) if found => {}
            (None, Some(pointer)) => {
                let detail = format!("the pointer event = {pointer:?} finds nothing in {}", shown(value));
                report.problem(FindingCode::MakerUnknown, detail);
            }
            (None, None) => {
                let key = first_text(value).unwrap_or_else(|| "/type".into());
                let detail = format!(
                    "{} is of no known maker and became an alarm `unknown`; a mapping begins with kind = [{key:?}]",
                    shown(value)
                );
                report.problem(FindingCode::MakerUnknown, detail);
            }
        }
    }
}

/// Pointer to the member that is most likely the kind of event.
fn first_text(value: &Value) -> Option<String> {
    let map = value.as_object()?;
    let likely = |key: &&String| {
        let key = key.to_ascii_lowercase();
        ["event", "type", "kind", "alarm", "trigger"].iter().any(|word| key.contains(word))
    };
    let key = map.keys().find(likely).or_else(|| map.keys().next())?;
    let inner = map.get(key).filter(|inner| inner.is_object()).and_then(first_text).unwrap_or_default();
    Some(format!("/{}{inner}", key.replace('~', "~0").replace('/', "~1")))
}
