//! Initial inputs of the targets.

use std::fs;
use std::path::{Path, PathBuf};

/// The project's folder.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Inputs of a folder whose names have this ending, in a fixed order, so that a seed gives the same run everywhere.
fn files(folder: &Path, end: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.sort();
    let wanted = paths.iter().filter(|path| path.is_file() && path.to_string_lossy().ends_with(end));
    wanted.map(|path| fs::read(path).expect("the corpus can be read")).collect()
}

/// A target's own inputs.
pub(crate) fn own(target: &str) -> Vec<Vec<u8>> {
    files(&root().join("tests/fuzz/corpus").join(target), "")
}

/// The bodies of all recorded requests.
pub(crate) fn bodies() -> Vec<Vec<u8>> {
    let body = |request: Vec<u8>| {
        let end = request.windows(4).position(|four| four == b"\r\n\r\n");
        end.map_or_else(Vec::new, |end| request[end + 4..].to_vec())
    };
    files(&root().join("tests/wire"), ".http").into_iter().map(body).collect()
}

/// All configurations the project has, good and bad.
pub(crate) fn configurations() -> Vec<Vec<u8>> {
    let mut all = files(&root().join("tests/config"), ".toml");
    let example = fs::read_to_string(root().join("config.example.toml")).expect("the example is there");
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    all.push(example.lines().map(on).collect::<Vec<_>>().join("\n").into_bytes());
    all.push(example.into_bytes());
    all
}
