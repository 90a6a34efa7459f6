//! The integration tests: real brokers, real sockets.

#[cfg(test)]
mod nats_sink;
