//! The pages, as text, and their fenced blocks.

use std::fs;
use std::path::{Path, PathBuf};

/// A page of the documentation.
#[derive(Debug)]
pub(super) struct Page {
    /// Path from the project's folder.
    pub(super) name: String,
    pub(super) text: String,
}

/// A fenced block.
#[derive(Debug)]
pub(super) struct Block {
    /// File and line.
    pub(super) place: String,
    /// Text after the fence.
    pub(super) kind: String,
    pub(super) text: String,
    /// The paragraph before it.
    pub(super) before: String,
}

/// The project's folder.
pub(super) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Page {
    /// One page.
    pub(super) fn of(name: &str) -> Self {
        let text =
            fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.into(), text }
    }

    /// README, changelog, and every page below `docs`.
    pub(super) fn all() -> Vec<Self> {
        let mut names =
            vec![PathBuf::from("README.md"), "CHANGELOG.md".into(), "tests/bench/README.md".into()];
        let listed = fs::read_dir(repository().join("docs")).expect("there is a folder docs");
        let listed = listed.map(|entry| Path::new("docs").join(entry.expect("it can be read").file_name()));
        names.extend(listed.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
        names.sort();
        assert!(names.len() > 10, "the pages are gone: {names:?}");
        names.iter().map(|name| Self::of(&name.to_string_lossy())).collect()
    }

    /// Its lines outside of fenced blocks, with their numbers from 1.
    pub(super) fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut inside = false;
        self.text.lines().enumerate().filter_map(move |(at, line)| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            (!fence && !inside).then_some((at + 1, line))
        })
    }

    /// Its fenced blocks.
    pub(super) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let (mut open, mut before): (Option<Block>, Vec<&str>) = (None, Vec::new());
        for (at, line) in self.text.lines().enumerate() {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(kind), None) => {
                    let place = format!("{}:{}", self.name, at + 1);
                    let before = before.join("\n");
                    open = Some(Block { place, kind: kind.trim().into(), text: String::new(), before });
                }
                (Some(_), Some(_)) => {
                    blocks.extend(open.take());
                    before.clear();
                }
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) if line.starts_with('#') => before.clear(),
                (None, None) => before.push(line),
            }
        }
        assert!(open.is_none(), "{}: a block does not end: {open:?}", self.name);
        blocks
    }
}
