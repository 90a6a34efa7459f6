//! The latest lines of the log in memory, for the Log page.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::lines::plain;

/// Number of lines kept.
const LINES: usize = 2_000;
/// Maximum length of a line, in bytes.
const LONGEST: usize = 2_048;

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    /// Time of the event.
    pub at: Timestamp,
    /// Its level.
    pub level: Level,
    /// The module it comes from.
    pub target: &'static str,
    /// Message and fields, control characters escaped.
    pub text: String,
}

/// The latest lines; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Ring(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Line>,
    /// Number of lines at level info or above since the start.
    notable: u64,
}

/// Message and fields of an event as text.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Ring {
    /// Number of lines at level info or above since the start.
    #[must_use]
    pub fn notable(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).notable
    }

    /// The latest lines of a level or above that hold a text (in lower case), newest first.
    #[must_use]
    pub fn latest(&self, level: Level, text: &str, limit: usize) -> Vec<Line> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |line: &&Line| {
            line.level <= level
                && (text.is_empty() || line.text.to_lowercase().contains(text) || line.target.contains(text))
        };
        kept.lines.iter().rev().filter(wanted).take(limit).cloned().collect()
    }

    fn add(&self, line: Line) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.notable += u64::from(line.level <= Level::INFO);
        if LINES <= kept.lines.len() {
            kept.lines.pop_front();
        }
        kept.lines.push_back(line);
    }
}

impl<S: Subscriber> Layer<S> for Ring {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let mut text = format!("{}{}", text.message, text.fields);
        if LONGEST < text.len() {
            let cut = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(cut);
            text.push('…');
        }
        let meta = event.metadata();
        let text = plain(&text, false).trim_end().to_owned();
        self.add(Line { at: crate::host::now(), level: *meta.level(), target: meta.target(), text });
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a text does not fail.
        match field.name() {
            "message" => write!(self.message, "{value:?}").unwrap_or_default(),
            name => write!(self.fields, " {name}={value:?}").unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn lines_are_found_by_level_and_text_and_their_number_is_bounded() {
        let ring = Ring::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(ring.clone()), || {
            tracing::warn!(peer = "192.0.2.1", "the Path is wrong\nand more");
            tracing::debug!("nothing");
            for number in 0..LINES - 2 {
                tracing::info!("line {number}");
            }
        });
        assert_eq!((ring.notable(), ring.latest(Level::TRACE, "", usize::MAX).len()), (1_999, LINES));
        let found = ring.latest(Level::WARN, "path", 9);
        assert_eq!(found.len(), 1);
        assert!(found[0].text.contains("the Path is wrong") && found[0].text.contains("peer=192.0.2.1"));
        assert!(ring.latest(Level::INFO, "nothing", 9).is_empty());
    }
}
