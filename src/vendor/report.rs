//! From a body to a report: its JSON documents and its pictures, whatever shape they came in.

use serde_json::Value;

use super::Problem;
use crate::config::ingest::Pointers;
use crate::model::Picture;

/// The most problems kept of one report.
const MOST_PROBLEMS: usize = 32;

/// One received push, before its meaning.
#[derive(Debug, Default)]
pub struct Report {
    /// The JSON documents, in order; none when only pictures came.
    pub documents: Vec<Value>,
    /// The pictures, in order.
    pub images: Vec<Image>,
    /// What had to be tolerated.
    pub problems: Vec<Problem>,
    /// Where vendor `generic` is to look.
    pub pointers: Pointers,
}

/// A picture of a report.
#[derive(Debug)]
pub struct Image {
    /// The digits of its part's name: cameras name it after the entry's time (WIRE 1.5).
    pub digits: String,
    /// The picture, checked.
    pub picture: Picture,
}

/// What an entry knows of its picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'e> {
    /// The number of its picture, if it gives one.
    pub(super) image: Option<u32>,
    /// Its time, as written.
    pub(super) time: Option<&'e str>,
    /// Its own number in the report, from 0.
    pub(super) entry: usize,
}

impl Report {
    /// The picture of an entry. A picture alone is every entry's; of several, the numbered one, else the one named
    /// after the entry's time, else the one in the same place.
    pub(super) fn picture_of(&self, key: &Key<'_>) -> Option<usize> {
        let there = |index: usize| (index < self.images.len()).then_some(index);
        if self.images.len() == 1 {
            return Some(0);
        }
        let numbered = key.image.and_then(|image| there(usize::try_from(image).ok()?));
        let named = || {
            let wanted = digits(key.time?);
            // Entries of one second have pictures of one name: then the place decides.
            let fits = |image: &Image| !wanted.is_empty() && image.digits == wanted;
            let same_place = self.images.get(key.entry).is_some_and(fits).then_some(key.entry);
            same_place.or_else(|| self.images.iter().position(fits))
        };
        numbered.or_else(named).or_else(|| there(key.entry))
    }

    /// Notes something tolerated.
    pub(super) fn problem(&mut self, code: &'static str, detail: String) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(Problem { code, detail });
        }
    }
}

/// The digits of a name or a time.
pub(super) fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).take(32).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Image, Key, Report, digits};
    use crate::model::Picture;

    fn report(names: &[&str]) -> Report {
        let image = |name: &&str| Image { digits: digits(name), picture: Picture::checked(Bytes::new()) };
        Report { images: names.iter().map(image).collect(), ..Report::default() }
    }

    #[test]
    fn pictures_go_by_number_then_time_then_place() {
        let several = report(&["20261005150502", "20261005150501", "x"]);
        let of = |image, time, entry| several.picture_of(&Key { image, time, entry });
        assert_eq!(of(Some(2), Some("2026-10-05 15:05:01"), 0), Some(2));
        assert_eq!(of(Some(9), Some("2026-10-05 15:05:01"), 0), Some(1));
        assert_eq!(of(None, Some("?"), 2), Some(2));
        assert_eq!(of(None, None, 3), None);
        assert_eq!(report(&["x"]).picture_of(&Key { image: Some(4), time: None, entry: 7 }), Some(0));
        assert_eq!(report(&[]).picture_of(&Key { image: Some(0), time: None, entry: 0 }), None);
    }
}
