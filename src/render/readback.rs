//! Parses topics that this bridge published: source and kind of a state topic, source of a discovery topic.

use super::renderer::Renderer;
use crate::model::template::{Piece, Placeholder, Template};
use crate::model::value::Card;
use crate::model::{EventName, Source};

impl Renderer {
    /// Number of event entities that a device is announced with. A new event entity receives nothing until Home
    /// Assistant has subscribed to its topic.
    #[must_use]
    pub fn event_entities(&self, card: &Card) -> usize {
        crate::homeassistant::event_entities(card)
    }

    /// The subscription filter for the states of all devices; `None` where source and kind cannot be read back from
    /// the topic, because they are not levels of their own.
    #[must_use]
    pub fn state_filter(&self) -> Option<String> {
        let template = self.topics.state_template();
        let alone = |slot| template.levels().iter().any(|level| *level == [Piece::Slot(slot)]);
        if !alone(Placeholder::Source) || !alone(Placeholder::Event) {
            return None;
        }
        let levels = template
            .levels()
            .iter()
            .map(|level| fixed(level, self.topics.base()).unwrap_or_else(|| "+".into()));
        Some(levels.collect::<Vec<_>>().join("/"))
    }

    /// Source and kind of a state topic.
    #[must_use]
    pub fn state_of(&self, topic: &str) -> Option<(Source, EventName)> {
        let template = self.topics.state_template();
        let source = Source::from_known(level(template, Placeholder::Source, self.topics.base(), topic)?)?;
        let event = level(template, Placeholder::Event, self.topics.base(), topic)?;
        Some((source, EventName::new(event)))
    }
}

/// Text of the topic level that consists of this placeholder alone.
fn level<'a>(template: &Template, slot: Placeholder, base: &str, topic: &'a str) -> Option<&'a str> {
    let mut rest = topic;
    for pieces in template.levels() {
        let text = fixed(pieces, base);
        let levels = text.as_deref().map_or(1, |text| text.split('/').count());
        let end = rest.match_indices('/').nth(levels - 1).map_or(rest.len(), |(at, _)| at);
        let (own, tail) = rest.split_at_checked(end)?;
        if *pieces == [Piece::Slot(slot)] {
            return Some(own);
        }
        if text.is_some_and(|text| text != own) {
            return None;
        }
        rest = tail.strip_prefix('/').unwrap_or(tail);
    }
    None
}

/// Text of a level that is the same for all devices: fixed text and the base topic (which may have several levels).
fn fixed(level: &[Piece], base: &str) -> Option<String> {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) => Some(text.clone()),
        Piece::Slot(Placeholder::Base) => Some(base.to_owned()),
        Piece::Slot(_) => None,
    };
    level.iter().map(text).collect::<Option<Vec<_>>>().map(|parts| parts.concat())
}

#[cfg(test)]
mod tests {
    use crate::config::Topics;
    use crate::render::Renderer;
    use crate::render::testing::settings;

    fn renderer(base: &str, state: &str) -> Renderer {
        let topics = Topics { state: state.into(), ..Topics::default() };
        Renderer::new(crate::render::RenderSettings { base: base.into(), topics, ..settings() }).unwrap()
    }

    #[test]
    fn states_are_read_back_from_their_topics() {
        let renderer = renderer("site/north", "{base}/{source}/state/{event}");
        assert_eq!(renderer.state_filter().as_deref(), Some("site/north/+/state/+"));
        let (source, event) = renderer.state_of("site/north/98ba5f8b1003-2/state/person").unwrap();
        assert_eq!((source.as_str(), event.as_str()), ("98ba5f8b1003-2", "person"));
        assert!(renderer.state_of("site/south/98ba5f8b1003/state/person").is_none());
    }

    #[test]
    fn a_topic_that_hides_its_source_is_not_read_back() {
        assert_eq!(renderer("a", "{base}/x-{source}/state/{event}").state_filter(), None);
    }
}
