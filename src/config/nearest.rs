//! Suggestion of the nearest valid name for a wrong one.

/// Minimum similarity of a suggestion. (`sever` is to `server` 0.83, `pth` to `path` 0.75, `user` to `server` 0.5.)
const MIN_SIMILARITY: f64 = 0.65;

/// The most similar candidate, if it is similar enough.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .filter(|(likeness, _)| MIN_SIMILARITY <= *likeness)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_a_likely_name_is_offered() {
        assert_eq!(nearest("sever", ["user", "server", "servers"]), Some("server"));
        assert_eq!(nearest("hold_second", ["hold", "hold_seconds"]), Some("hold_seconds"));
        assert_eq!(nearest("banana", ["user", "server"]), None);
    }
}
