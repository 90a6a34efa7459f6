//! Secrets that peers must know (webhook paths, tokens, cookies), and the only place where they are compared.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::http::connection::target;
use crate::model::mask;

/// Length up to which a path of one word, with its slash, is none that is worth hiding.
const GUESSABLE: usize = 8;

/// Length in bytes beyond which a segment of a wrong path may be a secret and is masked.
const PLAIN: usize = 12;
/// Maximum number of segments of a wrong path that are shown.
const PIECES: usize = 6;

/// Path of a webhook: it is never shown and has no `==`.
#[derive(Clone)]
pub struct SecretPath {
    normal: Vec<u8>,
    digest: [u8; 32],
    folded: [u8; 32],
}

/// Token or cookie: only its digest is stored, and it has no `==`.
#[derive(Clone)]
pub(crate) struct SecretText {
    digest: [u8; 32],
}

impl SecretText {
    /// Creates it from the secret's text.
    pub(crate) fn new(text: &str) -> Self {
        Self { digest: digest(text.as_bytes()) }
    }

    /// Returns whether this is the secret; neither its length nor the place of the first difference shows in the time.
    pub(crate) fn is(&self, given: &str) -> Choice {
        self.digest.ct_eq(&digest(given.as_bytes()))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Path of a request, prepared for comparison. It is never shown either: it may be a secret with one wrong letter.
pub(in crate::http) struct RequestedPath {
    normal: Vec<u8>,
    digest: [u8; 32],
}

/// Difference between a wrong path and a right one, without a byte of either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Difference {
    /// No useful similarity.
    Other,
    /// The folder is right, the last segment is not.
    LastPart,
    /// The right path is followed by more.
    Longer,
    /// The path is the start of the right one.
    CutShort,
    /// Only upper and lower case differ.
    CaseOnly,
}

impl Difference {
    /// Text for the finding.
    pub(in crate::http) fn text(self) -> &'static str {
        match self {
            Self::Other => "the path is not one of the configured ones",
            Self::LastPart => "the first part of the path is right, its secret part is not",
            Self::Longer => "the path is right but is followed by more characters",
            Self::CutShort => "the path is cut short: its beginning is right, its end is missing",
            Self::CaseOnly => "the path differs in upper and lower case only",
        }
    }
}

impl SecretPath {
    /// Creates it from a configured path, in any spelling that a request may use.
    #[must_use]
    pub fn new(path: &str) -> Self {
        let normal = target::normalized(path);
        Self { digest: digest(&normal), folded: digest(&normal.to_ascii_lowercase()), normal }
    }

    /// Returns whether the request's path is this one. Digests of equal length are compared, so neither the place of
    /// the first difference nor the length shows in the time it takes.
    pub(in crate::http) fn is(&self, requested: &RequestedPath) -> Choice {
        self.digest.ct_eq(&requested.digest)
    }

    /// Returns whether two webhooks were given the same path.
    pub(in crate::http) fn same(&self, other: &Self) -> bool {
        bool::from(self.digest.ct_eq(&other.digest))
    }

    /// Difference between this path and another one; compared in constant time as in [`SecretPath::is`].
    pub(super) fn difference(&self, requested: &RequestedPath) -> Difference {
        let same = |left: &[u8], right: &[u8]| bool::from(digest(left).ct_eq(&digest(right)));
        let shorter =
            |long: &[u8], short: &[u8]| long.get(..short.len()).is_some_and(|head| same(head, short));
        let (ours, theirs) = (&self.normal, &requested.normal);
        if bool::from(self.folded.ct_eq(&digest(&theirs.to_ascii_lowercase()))) {
            Difference::CaseOnly
        } else if theirs.len() > folder(ours).len() && shorter(ours, theirs) {
            Difference::CutShort
        } else if shorter(theirs, ours) {
            Difference::Longer
        } else if folder(ours).len() > 1 && same(folder(ours), folder(theirs)) {
            Difference::LastPart
        } else {
            Difference::Other
        }
    }

    /// Path with its secret part masked, for captures: `/alarm/***`.
    pub(in crate::http) fn masked(&self) -> String {
        mask::last_part(&String::from_utf8_lossy(&self.normal), "***")
    }

    /// Bytes that a text must not contain: the secret part, or the whole path if that part has fewer than `least`
    /// bytes.
    pub(in crate::http) fn secret(&self, least: usize) -> &[u8] {
        let own = self.normal.get(folder(&self.normal).len()..).unwrap_or_default();
        if own.len() < least { &self.normal } else { own }
    }

    /// Returns whether it is one short word, such as `/alarm`: no secret, and part of the words of many reports.
    pub(super) fn is_word(&self) -> bool {
        self.normal.len() <= GUESSABLE && memchr::memchr_iter(b'/', &self.normal).count() <= 1
    }

    /// Returns whether a path segment is so similar to the secret part that it reveals some of it.
    pub(super) fn resembles(&self, segment: &[u8]) -> bool {
        let own = self.normal.get(folder(&self.normal).len()..).unwrap_or_default();
        let (own, segment) = (own.to_ascii_lowercase(), segment.to_ascii_lowercase());
        let distance = strsim::generic_levenshtein(&own, &segment);
        2 * distance <= own.len().max(segment.len())
    }
}

impl fmt::Debug for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl RequestedPath {
    /// Path that a request asks for.
    pub(in crate::http) fn of(uri: &axum::http::Uri) -> Self {
        let normal = target::requested(uri);
        Self { digest: digest(&normal), normal }
    }

    /// Returns whether it is this path, which is not a secret.
    pub(super) fn is_plain(&self, path: &str) -> bool {
        self.normal.eq_ignore_ascii_case(path.as_bytes())
    }

    /// Returns whether it lies in this folder, which is not a secret.
    pub(in crate::http) fn below(&self, folder: &str) -> bool {
        self.normal.strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"))
    }

    /// Path with long and secret segments masked, shortened if it is long as a whole.
    pub(in crate::http) fn shown(&self, secret: impl Fn(&[u8]) -> bool) -> String {
        let piece = |piece: &[u8]| match piece {
            b"" => String::new(),
            long if PLAIN < long.len() => "***".to_owned(),
            near if secret(near) => "***".to_owned(),
            plain => plain.escape_ascii().to_string(),
        };
        let pieces: Vec<String> = self.normal.split(|byte| *byte == b'/').take(PIECES).map(piece).collect();
        pieces.join("/")
    }
}

/// Path up to and including the last slash.
fn folder(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    path.get(..end).unwrap_or_default()
}

/// SHA-256.
fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::{Difference, RequestedPath, SecretPath};

    fn requested(path: &'static str) -> RequestedPath {
        RequestedPath::of(&axum::http::Uri::from_static(path))
    }

    #[test]
    fn the_right_path_in_any_spelling() {
        let secret = SecretPath::new("/alarm/Abc123");
        for path in ["/alarm/Abc123", "//alarm/Abc123/", "http://h:1/alarm/Abc123?x=1", "/alarm/%41bc123"] {
            assert!(bool::from(secret.is(&requested(path))), "{path}");
        }
        assert!(!bool::from(secret.is(&requested("/alarm/abc123"))));
    }

    #[test]
    fn a_wrong_path_is_told_apart_without_showing_it() {
        let secret = SecretPath::new("/alarm/Abc123");
        let kind = |path| secret.difference(&requested(path));
        assert_eq!(kind("/alarm/abc123"), Difference::CaseOnly);
        assert_eq!(kind("/alarm/Abc12"), Difference::CutShort);
        assert_eq!(kind("/alarm/Abc1234"), Difference::Longer);
        assert_eq!(kind("/alarm/zzz"), Difference::LastPart);
        assert_eq!(kind("/favicon.ico"), Difference::Other);
        assert_eq!(kind("/alarm"), Difference::Other);
    }

    #[test]
    fn a_wrong_path_is_shown_without_what_may_be_a_secret() {
        let secret = SecretPath::new("/alarm/Abc123");
        let shown = |path| requested(path).shown(|piece| secret.resembles(piece));
        assert_eq!(shown("/.env"), "/.env");
        assert_eq!(shown("/cgi/0123456789abcdef0123456789abcdef/x"), "/cgi/***/x");
        assert_eq!(shown("/alarn/abc132"), "/alarn/***");
        assert_eq!(shown("/x/AB123"), "/x/***");
        assert_eq!(shown("/a/b/c/d/e/f/g/h"), "/a/b/c/d/e");
        assert_eq!(shown("/%1b%5b31m"), "/\\x1b[31m");
    }

    #[test]
    fn it_is_never_shown() {
        let secret = SecretPath::new("/alarm/Abc123");
        assert_eq!(format!("{secret:?} {}", secret.masked()), "*** /alarm/***");
    }
}
