//! What an alarm is, once no wire format is left in it: pure types and rules, no I/O and no clock of their own.

pub mod alarm;
pub mod bound;
pub(crate) mod buffer;
pub mod clock;
pub mod device;
pub mod event;
pub mod identity;
pub mod jpeg;
pub mod mac;
pub mod picture;
pub mod record;
pub mod request_id;
pub mod slug;
pub mod source;
pub mod status;
pub mod template;
#[cfg(test)]
pub(crate) mod testing;
pub mod value;

pub use alarm::{Alarm, BoundingBox, Reported};
pub use device::DeviceKind;
pub use event::{EventName, Mode};
pub use mac::Mac;
pub use picture::Picture;
pub use record::{ActivityRecord, AlarmRecord, Phase, Record};
pub use source::Source;
