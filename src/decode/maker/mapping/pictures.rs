//! Assignment of pictures to alarms: a part of the body, or base64 inside the document.

use serde_json::Value;

use super::find::{find, locate};
use crate::config::mapping::file::{Blob, Embedded, Mapping};
use crate::decode::carrier::base64;
use crate::decode::maker::fields::{items, number, text};
use crate::decode::maker::words::{bare, same};
use crate::decode::report::{Image, Report};
use crate::model::Picture;

/// Maximum number of pictures of one document.
const MAX_PICTURES: usize = 64;

/// The pictures found in a document.
#[derive(Debug, Default)]
pub(super) struct DocumentPictures {
    /// Picture of all entries without a picture of their own.
    shared: Option<usize>,
    /// Number of the entry, and its picture.
    own: Vec<(usize, usize)>,
}

impl DocumentPictures {
    /// The picture of an entry.
    pub(super) fn of(&self, entry: usize) -> Option<usize> {
        let own = self.own.iter().find(|(number, _)| *number == entry).map(|(_, picture)| *picture);
        own.or_else(|| self.shared.filter(|_| entry == 0))
    }
}

impl Mapping {
    /// Moves the pictures of a document to the report.
    pub(super) fn pictures_of(
        &self,
        root: &mut Value,
        list: Option<&str>,
        report: &mut Report,
    ) -> DocumentPictures {
        let mut shown = DocumentPictures::default();
        for embedded in &self.pictures {
            if let Some(found) = taken(embedded, root, report) {
                shown.shared.get_or_insert(found);
            }
        }
        let Some(Value::Array(entries)) = list.and_then(|path| root.pointer_mut(path)) else { return shown };
        for (number, entry) in entries.iter_mut().enumerate().take(MAX_PICTURES) {
            let found = self.pictures.iter().filter_map(|embedded| taken(embedded, entry, report)).next();
            shown.own.extend(found.map(|picture| (number, picture)));
        }
        shown
    }

    /// Splits the only picture part of a report into the pictures that the document lists.
    pub(super) fn cut_blob(&self, root: &Value, report: &mut Report) {
        let Some(blob) = &self.blob else { return };
        let mut parts = report.images.iter().enumerate().filter(|(_, image)| !image.embedded);
        let (Some((index, part)), None) = (parts.next(), parts.next()) else { return };
        let pieces = blob.pieces(root, part);
        let mut pieces = pieces.into_iter();
        let Some(first) = pieces.next() else { return };
        if let Some(place) = report.images.get_mut(index) {
            *place = first;
        }
        report.images.extend(pieces);
    }

    /// The picture part with the best name.
    pub(super) fn best_part(&self, report: &Report) -> Option<usize> {
        // Of several words in a name the longest counts.
        let named = |name: &str| {
            let name = bare(name);
            let words =
                self.parts.iter().enumerate().filter(|(_, word)| *word != "*" && name.contains(&bare(word)));
            words.max_by_key(|(_, word)| word.len()).map(|(at, _)| at)
        };
        let other = self.parts.iter().position(|word| word == "*").unwrap_or(self.parts.len());
        let rank = |image: &Image| named(&image.name).or_else(|| named(&image.file)).unwrap_or(other);
        let parts = report.images.iter().enumerate().filter(|(_, image)| !image.embedded);
        parts.min_by_key(|(_, image)| rank(image)).map(|(index, _)| index)
    }
}

impl Blob {
    /// The pictures in a part; empty if it is one picture, or does not match the list.
    fn pieces(&self, root: &Value, part: &Image) -> Vec<Image> {
        let list =
            self.at.iter().find_map(|pointer| locate(root, pointer)).and_then(|path| root.pointer(&path));
        let data = &part.picture.data;
        let piece = |item: &Value| {
            let at = |pointer: &str| usize::try_from(find(item, pointer).and_then(number)?).ok();
            let from = at(&self.offset)?;
            let to = from.checked_add(at(&self.length)?).filter(|to| from < *to && *to <= data.len())?;
            let picture = Picture::checked(data.slice(from..to));
            Some(Image { picture, ..part.clone() })
        };
        let items = list.map(items).unwrap_or_default();
        let pieces: Vec<Image> = items.iter().take(MAX_PICTURES).filter_map(piece).collect();
        let whole = pieces.first().is_some_and(|only| only.picture.data.len() == data.len());
        if pieces.len() < items.len().min(MAX_PICTURES) || whole { Vec::new() } else { pieces }
    }
}

/// Moves the pictures at one place to the report; returns the one that the alarm names, otherwise the first.
fn taken(embedded: &Embedded, value: &mut Value, report: &mut Report) -> Option<usize> {
    let wanted = embedded.wanted.iter().find_map(|pointer| find(value, pointer).and_then(text));
    let path = locate(value, &embedded.at)?;
    let found = value.pointer_mut(&path)?;
    let Some(data) = &embedded.data else {
        return keep(found, report);
    };
    let (mut best, mut rank) = (None, 0);
    let list = match found {
        Value::Array(list) => list.as_mut_slice(),
        single => std::slice::from_mut(single),
    };
    for item in list.iter_mut().take(MAX_PICTURES) {
        let index = embedded.index.as_ref().and_then(|pointer| find(item, pointer)).and_then(text);
        let is_wanted = wanted.is_some()
            && index.zip(wanted.as_ref()).is_some_and(|(index, wanted)| same(&index, wanted));
        let is_scene = !embedded.scene.is_empty()
            && embedded.scene.iter().all(|(pointer, words)| {
                let found = find(item, pointer).and_then(text);
                found.is_some_and(|found| words.all().iter().any(|word| same(word, &found)))
            });
        let Some(path) = locate(item, data) else { continue };
        let kept = item.pointer_mut(&path).and_then(|text| keep(text, report));
        let own = 1 + u8::from(is_scene) + 2 * u8::from(is_wanted);
        if kept.is_some() && rank < own {
            (best, rank) = (kept, own);
        }
    }
    best
}

/// Moves one picture to the report.
fn keep(field: &mut Value, report: &mut Report) -> Option<usize> {
    let field = if field.get("#text").is_some() { field.get_mut("#text")? } else { field };
    let Value::String(text) = field else { return None };
    let text = std::mem::take(text);
    if report.images.len() >= MAX_PICTURES || text.is_empty() {
        return None;
    }
    report.embed(base64::decode(&text).unwrap_or_default());
    report.images.len().checked_sub(1)
}
