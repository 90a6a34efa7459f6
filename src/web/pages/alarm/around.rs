//! Additional data on the page of one alarm: earlier and later alarms, topics, JSON.

use uuid::Uuid;

use crate::outbox::{Entry, Reader};
use crate::web::{Delivery, Web};

/// The alarms before and after one at the same device.
#[derive(Debug, Default)]
pub(in crate::web::pages) struct Neighbours {
    earlier: Option<Uuid>,
    later: Option<Uuid>,
}

/// Additional data of an alarm.
#[derive(Debug)]
pub(in crate::web::pages) struct Around {
    pub(in crate::web::pages) earlier: Option<Uuid>,
    pub(in crate::web::pages) later: Option<Uuid>,
    /// Topics it was published on, state topics last.
    pub(in crate::web::pages) topics: Vec<String>,
    /// The published JSON, indented.
    pub(in crate::web::pages) json: String,
}

impl Neighbours {
    /// Reads the earlier and the later alarm.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(in crate::web::pages) fn read(reader: &mut Reader, entry: &Entry) -> rusqlite::Result<Self> {
        let (earlier, later) = reader.neighbours(entry)?;
        Ok(Self { earlier, later })
    }
}

impl Around {
    /// Collects the data.
    pub(in crate::web::pages) fn new(
        web: &Web,
        entry: &Entry,
        deliveries: &[Delivery],
        neighbours: &Neighbours,
    ) -> Self {
        let own = deliveries.iter().flat_map(|delivery| &delivery.topics);
        let values = deliveries.iter().flat_map(|delivery| &delivery.values);
        let mut topics: Vec<String> = Vec::new();
        for topic in own.chain(values) {
            if !topics.contains(topic) {
                topics.push(topic.clone());
            }
        }
        let Neighbours { earlier, later } = *neighbours;
        Self { earlier, later, topics, json: format!("{:#}", web.bridge.published(entry)) }
    }
}
