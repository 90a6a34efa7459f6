//! Access to the admin listener: login, sessions, tokens, Home Assistant's ingress, and this host.

mod auth;
mod entrance;
mod headers;
mod ingress;
mod local;
mod login;
mod password;
mod random;
mod routes;
mod sessions;
mod throttle;

pub use auth::{Access, Caller, HasKey, Stranger};
pub use local::Denied;
