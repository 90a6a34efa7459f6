//! Report: the JSON documents and pictures of a body, in whatever format they were sent.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Answer, ReportProblem, Sign};
use crate::config::ingest::Pointers;
use crate::config::mapping::Mapping;
use crate::findings::FindingCode;
use crate::model::Picture;

/// Maximum number of problems kept of one report.
const MAX_PROBLEMS: usize = 32;
/// Maximum characters of a name.
const MAX_NAME_LENGTH: usize = 128;

/// A received push, before its documents are interpreted.
#[derive(Debug, Default)]
pub struct Report {
    /// Documents, in order; empty when there were only pictures.
    pub documents: Vec<Document>,
    /// The text parts of a form, by name.
    pub values: Map<String, Value>,
    /// The pictures, in order.
    pub images: Vec<Image>,
    /// Problems of the report.
    pub problems: Vec<ReportProblem>,
    /// Headers of the request, as the member `@headers` of an object; `null` if none are known.
    pub headers: Value,
    /// Mapping files of the webhook.
    pub mappings: Vec<Arc<Mapping>>,
    /// Pointers for vendor `generic`.
    pub pointers: Pointers,
    /// Signs of life and tests.
    pub signs: Vec<Sign>,
    /// The answer that the device waits for.
    pub answer: Option<Answer>,
}

/// A document of a report.
#[derive(Debug)]
pub struct Document {
    /// The tree.
    pub value: Value,
    /// Set if it consists of the fields of a form or of a query.
    pub form: bool,
}

/// A picture of a report.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digits in the name of its part. VIGI cameras name the part after the entry's time.
    pub digits: String,
    /// The name of its part; empty if it has none.
    pub name: String,
    /// The file name of its part; empty if it has none.
    pub file: String,
    /// Set if it was text inside a document, not a part of the body.
    pub embedded: bool,
    /// The checked picture.
    pub picture: Picture,
}

/// Maximum number of signs of life kept of one report.
const MAX_SIGNS: usize = 64;

/// Data of an entry that identify its picture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PictureKey<'e> {
    /// Number of its picture, if given.
    pub(crate) image: Option<u32>,
    /// Its time, as written.
    pub(crate) time: Option<&'e str>,
    /// Its own number in the report, from 0.
    pub(crate) entry: usize,
}

impl Report {
    /// Picture of an entry. A single picture belongs to every entry; of several, the numbered one, otherwise the one
    /// named after the entry's time, otherwise the one in the same position.
    pub(crate) fn picture_of(&self, key: &PictureKey<'_>) -> Option<usize> {
        let there = |index: usize| (index < self.images.len()).then_some(index);
        if self.images.len() == 1 {
            return Some(0);
        }
        let numbered = key.image.and_then(|image| there(usize::try_from(image).ok()?));
        let named = || {
            let wanted = digits(key.time?);
            // Entries of the same second have pictures of the same name; then their order decides.
            let fits = |image: &Image| !wanted.is_empty() && image.digits == wanted;
            let same_place = self.images.get(key.entry).is_some_and(fits).then_some(key.entry);
            same_place.or_else(|| self.images.iter().position(fits))
        };
        numbered.or_else(named).or_else(|| there(key.entry))
    }

    /// Adds a picture that was inside a document.
    pub(crate) fn embed(&mut self, data: Bytes) {
        let picture = Picture::checked(data);
        self.images.push(Image {
            digits: String::new(),
            name: String::new(),
            file: String::new(),
            embedded: true,
            picture,
        });
    }

    /// Adds a sign of life or a test.
    pub(crate) fn sign(&mut self, sign: Sign) {
        if self.signs.len() < MAX_SIGNS {
            self.signs.push(sign);
        }
    }

    /// Adds a problem.
    pub(crate) fn problem(&mut self, code: FindingCode, detail: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(ReportProblem { code, detail });
        }
    }
}

/// The keys of a document, for people.
pub(crate) fn shown(document: &Value) -> String {
    let keys = document.as_object().into_iter().flat_map(|map| map.keys()).take(8);
    let keys: Vec<String> = keys.map(|key| cut(key)).collect();
    format!("a document with the keys {keys:?}")
}

/// The digits of a name or a time.
pub(crate) fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).take(32).collect()
}

/// First 128 characters, the maximum of a name.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(MAX_NAME_LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Image, PictureKey, Report, digits};
    use crate::model::Picture;

    fn report(names: &[&str]) -> Report {
        let image = |name: &&str| Image {
            digits: digits(name),
            name: String::new(),
            file: String::new(),
            embedded: false,
            picture: Picture::checked(Bytes::new()),
        };
        Report { images: names.iter().map(image).collect(), ..Report::default() }
    }

    #[test]
    fn pictures_go_by_number_then_time_then_place() {
        let several = report(&["20261005150502", "20261005150501", "x"]);
        let of = |image, time, entry| several.picture_of(&PictureKey { image, time, entry });
        assert_eq!(of(Some(2), Some("2026-10-05 15:05:01"), 0), Some(2));
        assert_eq!(of(Some(9), Some("2026-10-05 15:05:01"), 0), Some(1));
        assert_eq!(of(None, Some("?"), 2), Some(2));
        assert_eq!(of(None, None, 3), None);
        assert_eq!(report(&["x"]).picture_of(&PictureKey { image: Some(4), time: None, entry: 7 }), Some(0));
        assert_eq!(report(&[]).picture_of(&PictureKey { image: Some(0), time: None, entry: 0 }), None);
    }
}
