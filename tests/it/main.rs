//! The one integration crate: a module a topic.

// The attribute tells clippy that all of it is test code.
#[cfg(test)]
mod wire;
