//! A sink for one partition of a cluster: under a name of its own, and only while this instance owns the partition.

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use super::{Notice, Receipt, Session, Sink, SinkDown, Traits};
use crate::render::Message;

/// Says whether this instance publishes what a partition brings.
pub trait Gate: fmt::Debug + Send + Sync {
    /// Returns whether this instance owns the partition now.
    fn is_open(&self) -> bool;
    /// Returns whether another instance can go on when this one stops.
    fn has_successor(&self) -> bool;
}

/// A sink behind a gate. While the gate is closed it waits, until the relay is dropped.
#[derive(Debug)]
pub struct Partition<S> {
    /// The sink itself.
    pub sink: S,
    /// Its key in the outbox.
    pub name: &'static str,
    /// The gate; none for an instance that is alone.
    pub gate: Option<Arc<dyn Gate>>,
}

/// Waits for ever at a closed gate.
async fn pass(gate: Option<&Arc<dyn Gate>>) {
    if gate.is_some_and(|gate| !gate.is_open()) {
        pending::<()>().await;
    }
}

impl<S: Sink> Sink for Partition<S> {
    fn traits(&self) -> Traits {
        Traits { name: self.name, ..self.sink.traits() }
    }

    async fn connect(&mut self) -> Result<Session, SinkDown> {
        pass(self.gate.as_ref()).await;
        let session = self.sink.connect().await;
        pass(self.gate.as_ref()).await;
        session
    }

    async fn send(&mut self, message: Message) -> Result<Receipt, SinkDown> {
        pass(self.gate.as_ref()).await;
        self.sink.send(message).await
    }

    async fn notice(&mut self) -> Notice {
        self.sink.notice().await
    }

    async fn read_back(&mut self, filter: &str) -> Result<(), SinkDown> {
        self.sink.read_back(filter).await
    }

    fn marked(&self, token: &str, mark: &str) -> String {
        self.sink.marked(token, mark)
    }

    /// Another instance goes on at once: then nothing says `offline`.
    async fn close(&mut self) {
        if !self.gate.as_ref().is_some_and(|gate| gate.has_successor()) {
            self.sink.close().await;
        }
    }
}
