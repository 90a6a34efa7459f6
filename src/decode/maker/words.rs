//! Comparison of words as devices write them.

/// Returns whether two words are the same, ignoring case and punctuation.
pub(crate) fn same(one: &str, other: &str) -> bool {
    bare(one) == bare(other)
}

/// Letters and digits of a word, in capitals; of a word without any, the word.
pub(crate) fn bare(word: &str) -> String {
    let bare: String =
        word.chars().take(256).filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect();
    if bare.is_empty() { word.trim().to_owned() } else { bare }
}
