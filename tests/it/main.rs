//! The integration tests: the real binary, real brokers, real sockets. `support` holds what they share.

#[cfg(test)]
mod harness;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tidy;
