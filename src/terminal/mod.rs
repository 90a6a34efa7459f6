//! Output on the terminal, exit codes, and failures of commands and of the start.

pub(crate) mod failure;
pub mod out;

pub use failure::{Code, Failure};
