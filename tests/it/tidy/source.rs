//! The project's own sources, as text.

use std::fs;
use std::path::Path;

/// One Rust file.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Path from the project's folder, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

/// Every Rust file below these folders of the project.
pub(crate) fn sources(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for folder in folders {
        collect(root, &root.join(folder), &mut all);
    }
    assert!(all.len() > 10, "the sources are where they were: {}", root.display());
    all
}

fn collect(root: &Path, folder: &Path, all: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            collect(root, &path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).expect("it is below the root");
            let text = fs::read_to_string(&path).expect("sources are text");
            all.push(Source { path: relative.to_string_lossy().into_owned(), text });
        }
    }
}

impl Source {
    /// The path's parts, without `.rs` and without a last `mod`.
    fn parts(&self) -> Vec<&str> {
        let mut parts: Vec<&str> = self.path.trim_end_matches(".rs").split('/').collect();
        if parts.last() == Some(&"mod") {
            parts.pop();
        }
        parts
    }

    /// The module's own name.
    pub(crate) fn module(&self) -> &str {
        self.parts().last().copied().expect("a path has parts")
    }

    /// The room: the first folder or file below `src`.
    pub(crate) fn room(&self) -> &str {
        self.parts().get(1).copied().expect("it is below src")
    }

    /// Depth of the module; a top-level one has 1.
    pub(crate) fn depth(&self) -> usize {
        self.parts().len() - 1
    }

    /// The files that may declare this one.
    pub(crate) fn parents(&self) -> Vec<String> {
        let parts = self.parts();
        let folder = parts[..parts.len() - 1].join("/");
        ["/mod.rs", ".rs", "/lib.rs", "/main.rs"].map(|end| format!("{folder}{end}")).to_vec()
    }

    /// Returns whether it is compiled for tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.parts().contains(&"tests")
    }

    /// The code without comments, up to the first test module.
    pub(crate) fn code(&self) -> String {
        let text = self.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.collect::<Vec<_>>().join("\n")
    }

    /// The types that implement a trait here.
    pub(crate) fn implementors(&self, name: &str) -> Vec<String> {
        let start = format!("impl {name} for ");
        let code = self.code();
        let lines = code.lines().filter_map(|line| line.trim().strip_prefix(&start));
        let is_name = |sign: char| sign.is_alphanumeric() || sign == '_';
        lines.map(|rest| rest.chars().take_while(|sign| is_name(*sign)).collect()).collect()
    }
}
