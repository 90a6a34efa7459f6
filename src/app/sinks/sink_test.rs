//! Connects to every enabled sink as the bridge would, reports the outcome, and publishes nothing.

use futures_util::future::join_all;

use super::KINDS;
use crate::config::Config;

/// Outcome of the connection test of one sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkTest {
    /// Section of the sink in the configuration.
    pub name: &'static str,
    /// Protocol, address and limits of the session, or cause and remedy of the failure.
    pub outcome: Result<String, String>,
}

/// Tests all enabled sinks concurrently; each test is bounded by the sink's connect timeout.
///
/// A running bridge is not disturbed. Absent NATS streams are created, as the bridge would.
pub async fn test_sinks(config: &Config) -> Vec<SinkTest> {
    let on = KINDS.iter().filter(|kind| (kind.is_on)(config));
    join_all(on.map(|kind| async move { SinkTest { name: kind.name, outcome: (kind.test)(config).await } }))
        .await
}
