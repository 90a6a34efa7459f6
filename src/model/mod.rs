//! Domain types and rules, independent of wire formats: pure, without I/O or clock.

pub mod alarm;
pub mod bound;
pub(crate) mod buffer;
pub mod cluster;
pub mod device;
pub mod event;
pub mod mask;
pub mod picture;
pub mod record;
pub mod request_id;
pub mod status;
pub mod template;
#[cfg(test)]
pub(crate) mod testing;
pub mod time;
pub mod value;

pub use alarm::{Alarm, BoundingBox, Reported, ReportedState, SameEvent};
pub use device::DeviceKind;
pub use device::mac::Mac;
pub use device::mute::{Mute, Mutes};
pub use device::source::Source;
pub use event::{EventName, Mode};
pub use picture::Picture;
pub use record::{ActivityRecord, AlarmRecord, Phase, Record};
