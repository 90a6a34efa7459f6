//! Acts as a real device does on the network (WIRE 1.1, 1.2), for trying out a bridge and for load.
//!
//! What is sent is made by pure functions: [`device`] and [`event`] say who and what, [`scene`] where somebody walks,
//! [`picture`] draws it, [`request`] writes the bytes, [`plan`] says when. [`sender`] and [`run`] do the rest.

pub mod device;
pub mod event;
pub mod font;
pub mod picture;
pub mod plan;
pub mod random;
pub mod request;
pub mod run;
pub mod scene;
pub mod sender;
pub mod summary;
pub mod target;
pub mod tls;
