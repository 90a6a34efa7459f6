//! Sources of values: the file, variables, flags and files of secrets; and how they become one configuration.

pub(crate) mod complete;
pub(crate) mod extract;
pub(crate) mod file;
pub(crate) mod input;
pub(crate) mod overrides;
pub(crate) mod secrets;
pub(crate) mod tree;
