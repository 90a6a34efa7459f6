//! Simulates devices on the network, for trying out a bridge and for load tests.
//!
//! Pure functions make the requests: [`device`] and [`event`] give device and kind, [`picture::scene`] the positions of
//! people, [`picture`] the image, [`request`] the bytes, [`plan`] the schedule. [`sender`] and [`run`] send them.
//! [`past`] is the schedule of a time that is over.

pub mod device;
pub mod event;
pub mod maker;
pub mod past;
pub mod picture;
pub mod plan;
pub mod random;
pub mod request;
pub mod run;
pub mod sender;
pub mod summary;
pub mod target;
