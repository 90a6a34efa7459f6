//! The log: entries in commit order, the pictures they refer to, and how long both are kept.

pub(crate) mod changes;
pub(crate) mod entry;
pub mod history;
pub(crate) mod pictures;
#[cfg(test)]
mod plans;
pub(crate) mod recent;
pub(crate) mod retention;
pub(crate) mod reviewed;
pub(crate) mod search;
mod space;
mod terms;
pub mod timeline;
pub(crate) mod variants;
