//! Any other JSON: read by the webhook's pointers, otherwise an alarm of kind `unknown` with the body in `extra`.

use serde_json::Value;

use super::Vendor;
use super::alarms::{Alarms, blank_alarm, unknown_camera};
use super::channel::channel_of;
use super::fields::{Fields, cut, number, text};
use super::names::{self, Named};
use crate::decode::report::{PictureKey, Report};
use crate::model::{Alarm, Reported};

/// The vendor of all other documents.
#[derive(Debug)]
pub(crate) struct Generic;

impl Vendor for Generic {
    fn name(&self) -> &'static str {
        "generic"
    }

    fn recognises(&self, _: &Value) -> bool {
        true
    }

    fn decode(&self, document: &Value, report: &Report, alarms: &mut Alarms) {
        let entry = alarms.entry();
        let event = report.pointers.event.as_deref().and_then(|pointer| document.pointer(pointer));
        let names = event.map_or_else(|| vec![Named::unknown()], |event| names::all(Some(event)));
        alarms.add(names, || mapped(document, report, entry));
    }
}

/// The alarm of a document, without its kind.
fn mapped(document: &Value, report: &Report, entry: usize) -> Alarm {
    let pointers = &report.pointers;
    let mut rest = document.clone();
    for pointer in [&pointers.event, &pointers.picture].into_iter().flatten() {
        take(&mut rest, pointer);
    }
    // Identifiers have the same names nearly everywhere, and are better than the peer's address.
    let mut at = |pointer: &Option<String>, usual: &str| take(&mut rest, pointer.as_deref().unwrap_or(usual));
    let name = |value: Option<Value>| value.as_ref().and_then(text).map(|name| cut(&name));
    let device = Reported {
        mac: at(&pointers.mac, "/mac").as_ref().and_then(text).and_then(|mac| mac.parse().ok()),
        device_id: name(at(&pointers.device_id, "/device_id")),
        name: name(at(&pointers.name, "/device_name")),
        ip: name(at(&pointers.ip, "/ip")),
        channel: at(&pointers.channel, "").as_ref().and_then(channel_of),
        ..unknown_camera("generic")
    };
    let time_raw = name(at(&pointers.time, ""));
    let count = at(&pointers.count, "").as_ref().and_then(number);
    let picture = report.picture_of(&PictureKey { image: None, time: time_raw.as_deref(), entry });
    let (extra, truncated) = Fields::default().extra(&Fields::of(&rest));
    Alarm { time_raw, count, picture, extra, truncated, ..blank_alarm(device) }
}

/// Removes and returns the value at a pointer. The empty pointer, which means the whole document, removes nothing.
pub(crate) fn take(document: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, key) = pointer.rsplit_once('/')?;
    match document.pointer_mut(parent)? {
        Value::Object(map) => map.shift_remove(&key.replace("~1", "/").replace("~0", "~")),
        Value::Array(list) => list.get(key.parse::<usize>().ok()?).cloned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::take;

    #[test]
    fn values_are_taken_at_any_depth() {
        let mut document = json!({"a": {"b/c": [1, 2]}, "d": 3});
        assert_eq!(take(&mut document, "/a/b~1c/1"), Some(json!(2)));
        assert_eq!(take(&mut document, "/a/b~1c"), Some(json!([1, 2])));
        assert_eq!(
            (take(&mut document, ""), take(&mut document, "/d/x"), take(&mut document, "/e")),
            (None, None, None)
        );
        assert_eq!(document, json!({"a": {}, "d": 3}));
    }
}
