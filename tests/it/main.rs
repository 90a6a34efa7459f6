//! The one integration crate: a module a topic.

mod wire;
