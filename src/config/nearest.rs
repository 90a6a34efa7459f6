//! The nearest right name to a wrong one.

/// Below this likeness a name is no help. (`servr` to `server` is 0.96, `user` to `server` 0.75.)
const ALIKE: f64 = 0.8;

/// The candidate most like a name, if any is alike.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = |candidate: &&str| strsim::normalized_damerau_levenshtein(name, candidate);
    candidates
        .into_iter()
        .map(|candidate| (alike(&candidate).max(strsim::jaro(name, candidate)), candidate))
        .filter(|(likeness, _)| ALIKE <= *likeness)
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
