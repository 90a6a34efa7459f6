//! Drafts of mapping files, made from one request: the probable role of each value, and the resulting file.
//!
//! [`Draft::of`] guesses; the user corrects [`Draft::roles`]; [`Draft::toml`] writes the file.

use serde_json::Value;

use super::{Body, DecodeError, Hints, read};

mod guess;
mod role;
mod tree;
mod write;

#[cfg(test)]
mod tests;

pub use role::{DETAILS, Role};
pub use tree::Leaf;

use super::maker::secrets::scrub;

/// A draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Name of the mapping.
    pub name: String,
    /// Set if the document is a form or a query.
    pub form: bool,
    /// Pointer to the list of alarms, if there is one.
    pub list: Option<String>,
    /// Values of the document, in order; pointers start at the alarm if there is a list.
    pub leaves: Vec<Leaf>,
    /// Role of each value, in the order of `leaves`.
    pub roles: Vec<Role>,
    /// The device's names of events, each with its kind.
    pub kinds: Vec<(String, String)>,
}

impl Draft {
    /// Drafts a mapping from a request.
    ///
    /// # Errors
    /// Returns an error when no document is in it.
    pub fn of(body: &Body, hints: &Hints) -> Result<Self, DecodeError> {
        let report = read(body, hints)?;
        // Of several documents, the one with the most values is used.
        let document =
            report.documents.into_iter().max_by_key(|document| tree::leaves(&document.value).len());
        let Some(mut document) = document else {
            return Err(DecodeError::NotUnderstood(
                "nothing but pictures is in it: no mapping is needed".into(),
            ));
        };
        scrub(&mut document.value, &[]);
        Ok(Self::of_document(&document.value, document.form))
    }

    /// Drafts a mapping from a document.
    fn of_document(document: &Value, form: bool) -> Self {
        let list = tree::list(document);
        let own = list.as_deref().and_then(|pointer| document.pointer(pointer)?.get(0));
        let mut leaves = own.map(tree::leaves).unwrap_or_default();
        let known: Vec<String> = leaves.iter().map(|leaf| leaf.pointer.clone()).collect();
        let outer = tree::leaves(document).into_iter();
        let inside =
            |leaf: &Leaf| list.as_deref().is_some_and(|list| leaf.pointer.starts_with(&format!("{list}/")));
        let outer = outer.filter(|leaf| !inside(leaf) && !known.contains(&leaf.pointer));
        leaves.extend(outer.map(|leaf| Leaf { outside: list.is_some(), ..leaf }));
        let roles = guess::roles(&leaves);
        let mut draft = Self { name: "mine".into(), form, list, leaves, roles, kinds: Vec::new() };
        draft.guess_kinds();
        draft
    }

    /// Adds a kind for each name without one.
    pub fn guess_kinds(&mut self) {
        let words: Vec<String> = self.with(&Role::Kind).map(|leaf| leaf.text.clone()).collect();
        self.kinds.retain(|(word, _)| words.contains(word));
        for word in words {
            if self.kinds.iter().all(|(known, _)| *known != word) {
                let kind = guess::kind(&word);
                self.kinds.push((word, kind));
            }
        }
    }

    /// Sets the role of the value at a pointer. A role that only one value can have is removed from the others.
    pub fn set(&mut self, pointer: &str, role: &Role) {
        for (leaf, old) in self.leaves.iter().zip(&mut self.roles) {
            if leaf.pointer == pointer {
                old.clone_from(role);
            } else if old == role && *role == Role::Kind {
                *old = Role::Unused;
            }
        }
        self.guess_kinds();
    }

    /// The values that have a role.
    fn with(&self, role: &Role) -> impl Iterator<Item = &Leaf> {
        self.leaves.iter().zip(&self.roles).filter(move |(_, of)| *of == role).map(|(leaf, _)| leaf)
    }
}
