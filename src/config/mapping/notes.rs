//! Mistakes and warnings of a mapping file.

use std::path::Path;

use crate::config::keypath::KeyPath;
use crate::config::mistake::{Mistake, Origin};
use crate::config::sources::tree::Tree;

/// Collector of mistakes and warnings of a file, with their lines.
pub(super) struct Notes<'a> {
    path: &'a Path,
    tree: &'a Tree,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) warnings: Vec<Mistake>,
}

impl<'a> Notes<'a> {
    /// Creates an empty collector.
    pub(super) fn new(path: &'a Path, tree: &'a Tree) -> Self {
        Self { path, tree, mistakes: Vec::new(), warnings: Vec::new() }
    }

    /// Adds a mistake.
    pub(super) fn mistake(&mut self, key: &KeyPath, text: impl Into<String>) {
        let note = self.note(key, text.into());
        self.mistakes.push(note);
    }

    /// Adds a warning.
    pub(super) fn warn(&mut self, key: &KeyPath, text: impl Into<String>) {
        let note = self.note(key, text.into());
        self.warnings.push(note);
    }

    fn note(&self, key: &KeyPath, text: String) -> Mistake {
        let top = || Origin::File { path: self.path.to_owned(), line: 1 };
        Mistake { origin: self.tree.place(key).cloned().unwrap_or_else(top), key: key.to_string(), text }
    }
}
