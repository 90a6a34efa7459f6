//! Secrets that peers must know (the path of a webhook, tokens, cookies), and the one place where they are compared.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::target;

/// A piece of a wrong path longer than this may be somebody's secret.
const PLAIN: usize = 12;
/// Pieces of a wrong path that are shown.
const PIECES: usize = 6;
/// A secret shorter than this is found in texts that have nothing to do with it.
const SHORT: usize = 6;
/// One shorter than this may be a word that a device says for another reason (`/alarm/camera`).
const WORD: usize = 16;

/// A webhook's path: never shown, and there is no `==` for it.
#[derive(Clone)]
pub struct SecretPath {
    normal: Vec<u8>,
    digest: [u8; 32],
    folded: [u8; 32],
}

/// A token or cookie: only its digest is kept, and there is no `==` for it.
#[derive(Clone)]
pub(super) struct SecretText {
    digest: [u8; 32],
}

impl SecretText {
    /// Takes a secret.
    pub(super) fn new(text: &str) -> Self {
        Self { digest: digest(text.as_bytes()) }
    }

    /// Whether this is the secret; neither its length nor the place of the first difference shows in the time.
    pub(super) fn is(&self, given: &str) -> Choice {
        self.digest.ct_eq(&digest(given.as_bytes()))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The path of a request, ready to be compared. Never shown either: it may be a secret with one wrong letter.
pub(super) struct RequestedPath {
    normal: Vec<u8>,
    digest: [u8; 32],
}

/// How a wrong path differs from a right one, without a byte of either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Difference {
    /// Nothing in common that helps.
    Other,
    /// The folder is right, its last part is not.
    LastPart,
    /// The right path with more behind it.
    Longer,
    /// The beginning of the right path.
    CutShort,
    /// Upper and lower case only.
    CaseOnly,
}

impl Difference {
    /// In plain words, for the finding.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Other => "the path is none of the configured ones",
            Self::LastPart => "the first part of the path is right, its secret part is not",
            Self::Longer => "the path is right but something stands behind it",
            Self::CutShort => "the path is cut short: its beginning is right, its end is missing",
            Self::CaseOnly => "the path differs in upper and lower case only",
        }
    }
}

impl SecretPath {
    /// Takes a configured path, in any spelling a request may use.
    #[must_use]
    pub fn new(path: &str) -> Self {
        let normal = target::normalized(path);
        Self { digest: digest(&normal), folded: digest(&normal.to_ascii_lowercase()), normal }
    }

    /// Whether the request's path is this one. Digests of equal length are compared, so neither the place of the
    /// first difference nor the length shows in the time it takes.
    pub(super) fn is(&self, requested: &RequestedPath) -> Choice {
        self.digest.ct_eq(&requested.digest)
    }

    /// Whether two webhooks were given the same path.
    pub(super) fn same(&self, other: &Self) -> bool {
        bool::from(self.digest.ct_eq(&other.digest))
    }

    /// How a path that is not this one differs from it; compared as carefully as [`SecretPath::is`].
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

    /// The path with its secret part masked, for captures: `/alarm/***`.
    pub(super) fn masked(&self) -> String {
        format!("{}***", String::from_utf8_lossy(folder(&self.normal)))
    }

    /// A text to be shown, with asterisks over the secret part; its length stays, since others in it may count on that.
    pub(super) fn masked_in(&self, text: bytes::Bytes) -> bytes::Bytes {
        self.masked_from(text, SHORT)
    }

    /// The same for a text that alarms are made of: what the device says must not be taken for the secret.
    pub(super) fn masked_in_report(&self, text: bytes::Bytes) -> bytes::Bytes {
        self.masked_from(text, WORD)
    }

    /// A secret part of less than `least` bytes is only looked for with all of the path before it.
    fn masked_from(&self, text: bytes::Bytes, least: usize) -> bytes::Bytes {
        if !self.leaks_in(&text) {
            return text;
        }
        let own = self.normal.get(folder(&self.normal).len()..).unwrap_or_default();
        let secret = if own.len() < least { self.normal.as_slice() } else { own };
        let mut masked = Vec::with_capacity(text.len());
        let mut from = 0;
        for at in memchr::memmem::find_iter(&text, secret) {
            masked.extend_from_slice(text.get(from..at).unwrap_or_default());
            masked.extend(std::iter::repeat_n(b'*', secret.len()));
            from = at + secret.len();
        }
        masked.extend_from_slice(text.get(from..).unwrap_or_default());
        masked.into()
    }

    /// Whether a piece of a path is so near the secret part that it tells something of it.
    pub(super) fn resembles(&self, segment: &[u8]) -> bool {
        let own = self.normal.get(folder(&self.normal).len()..).unwrap_or_default();
        let (own, segment) = (own.to_ascii_lowercase(), segment.to_ascii_lowercase());
        let distance = strsim::generic_levenshtein(&own, &segment);
        2 * distance <= own.len().max(segment.len())
    }

    /// Whether a text holds the secret part, and so must not be kept as it is.
    pub(super) fn leaks_in(&self, text: &[u8]) -> bool {
        let secret = self.normal.get(folder(&self.normal).len()..).unwrap_or_default();
        !secret.is_empty() && memchr::memmem::find(text, secret).is_some()
    }
}

impl fmt::Debug for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl RequestedPath {
    /// The path a request asks for.
    pub(super) fn of(uri: &axum::http::Uri) -> Self {
        let normal = target::requested(uri);
        Self { digest: digest(&normal), normal }
    }

    /// The path with what is long, or looks like a secret, masked piece by piece; cut where it is long as a whole.
    pub(super) fn shown(&self, secret: impl Fn(&[u8]) -> bool) -> String {
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

/// Everything up to and with the last slash.
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
    fn a_word_in_a_report_is_not_taken_for_the_secret() {
        let (word, long) = (SecretPath::new("/alarm/camera"), "0123456789abcdef0123456789abcdef");
        let report = bytes::Bytes::from_static(br#"{"camera":"1","to":"http://h/alarm/camera"}"#);
        assert_eq!(word.masked_in_report(report), r#"{"camera":"1","to":"http://h*************"}"#);
        let path = SecretPath::new(&format!("/alarm/{long}"));
        assert_eq!(path.masked_in_report(format!("x{long}y").into()), format!("x{}y", "*".repeat(32)));
    }

    #[test]
    fn it_is_never_shown() {
        let secret = SecretPath::new("/alarm/Abc123");
        assert_eq!(format!("{secret:?} {}", secret.masked()), "*** /alarm/***");
        assert!(secret.leaks_in(b"http://h/alarm/Abc123") && !secret.leaks_in(b"http://h/alarm/"));
    }
}
