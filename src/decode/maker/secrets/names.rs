//! Names of fields that hold a secret.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use crate::decode::maker::words::bare;

/// Words in the names of fields that hold a secret, whoever made the device, and in other languages.
const PARTS: [&[u8]; 17] = [
    b"SECRET",
    b"PASSWORD",
    b"PASSWORT",
    b"PASSWD",
    b"PASSPHRASE",
    b"CONTRASE",
    b"SENHA",
    b"MOTDEPASSE",
    b"TOKEN",
    b"AUTHORIZATION",
    b"APIKEY",
    b"ACCESSKEY",
    b"PRIVATEKEY",
    b"SESSIONID",
    b"SESSIONKEY",
    b"COOKIE",
    b"CREDENTIAL",
];
/// Ends of such names.
const ENDS: [&[u8]; 3] = [b"PWD", b"PASS", b"PSK"];
/// Names that end so and are no secret.
const OPEN_ENDS: [&[u8]; 2] = [b"BYPASS", b"COMPASS"];
/// Part that is a secret unless it names a part of a camera, as the tokens of ONVIF do.
const TOKEN: &[u8] = b"TOKEN";
/// Parts of a camera that have a token.
const OPEN_TOKENS: [&[u8]; 13] = [
    b"SOURCE",
    b"CONFIGURATION",
    b"PROFILE",
    b"RULE",
    b"INPUT",
    b"OUTPUT",
    b"RELAY",
    b"RECORDING",
    b"TRACK",
    b"DOOR",
    b"ACCESSPOINT",
    b"ANALYTICS",
    b"AREA",
];
/// Schemes of HTTP whose credentials are secret.
const SCHEMES: [&[u8]; 3] = [b"BEARER", b"BASIC", b"DIGEST"];
/// Finds in one pass what every secret has in or before its name, in capitals and digits. `None` cannot be: the parts
/// are constants.
static SIGNS: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::new(PARTS.into_iter().chain(ENDS).chain(SCHEMES)).ok());
/// Maximum length of a name that is compared on the stack.
const SHORT: usize = 64;
/// Maximum length of a part.
const LONGEST_PART: usize = 16;

/// The names that hold a secret: the usual ones, and those that a mapping adds.
pub(crate) struct SecretNames {
    more: Vec<String>,
}

impl SecretNames {
    /// The usual names, and these.
    pub(crate) fn new(more: &[String]) -> Self {
        Self { more: more.iter().map(|name| bare(name)).filter(|name| !name.is_empty()).collect() }
    }

    /// Returns whether a text may have a secret in it: far less work than to look for its place.
    pub(super) fn may_be_in(&self, text: &[u8]) -> bool {
        // A URL with a password in it has that sign behind it.
        if !self.more.is_empty() || memchr::memchr(b'@', text).is_some() {
            return true;
        }
        let letters = text.iter().filter(|byte| byte.is_ascii_alphanumeric());
        has_sign(&letters.map(u8::to_ascii_uppercase).collect::<Vec<u8>>())
    }

    /// Returns whether the name of a field says that its value is a secret.
    pub(crate) fn is_secret(&self, name: &[u8]) -> bool {
        if !self.more.is_empty() && name.len() <= 256 {
            let bare = bare(&String::from_utf8_lossy(name));
            if self.more.contains(&bare) {
                return true;
            }
        }
        let mut short = [0; SHORT];
        let mut length = 0;
        for byte in name.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
            if length == SHORT {
                // Of a long name, the end that may belong to a part that goes on stays.
                if is_secret(&short) {
                    return true;
                }
                short.copy_within(SHORT - LONGEST_PART.., 0);
                length = LONGEST_PART;
            }
            if let Some(place) = short.get_mut(length) {
                *place = byte.to_ascii_uppercase();
            }
            length += 1;
        }
        short.get(..length).is_some_and(is_secret)
    }
}

/// Returns whether the sign of a secret is in a text of capitals and digits.
fn has_sign(text: &[u8]) -> bool {
    SIGNS.as_ref().is_none_or(|signs| signs.is_match(text))
}

/// Returns whether a name of capitals and digits is that of a secret.
fn is_secret(name: &[u8]) -> bool {
    if !has_sign(name) {
        return false;
    }
    let has = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
    let found = |part: &[u8]| has(part) && (part != TOKEN || !OPEN_TOKENS.iter().any(|open| has(open)));
    PARTS.iter().any(|part| found(part))
        || ENDS.iter().any(|end| name.ends_with(end)) && !OPEN_ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::SecretNames;

    #[test]
    fn names_of_secrets() {
        let names = SecretNames::new(&["Door-Code".into()]);
        let long = format!("{}_password_{}", "x".repeat(60), "y".repeat(70));
        for name in [
            "password",
            "PassWd",
            "access_token",
            "shared-secret",
            "adminPwd",
            "pwd",
            "user.pass",
            "Authorization",
            "configurationPassword",
            "profileSecret",
            "sourcePassword",
            "api key",
            "wifi_psk",
            "Passwort",
            "contrase\u{f1}a",
            "senha",
            "door_code",
            "DOORCODE",
            &long,
        ] {
            assert!(names.is_secret(name.as_bytes()), "{name}");
        }
        for name in [
            "SourceToken",
            "source_token",
            "VideoSourceConfigurationToken",
            "ProfileToken",
            "InputToken",
            "RelayToken",
            "bypass",
            "PASSLINECOUNT",
            "code",
            "key",
            "pin",
            "plate",
            "",
            "pw",
            "path",
        ] {
            assert!(!names.is_secret(name.as_bytes()), "{name}");
        }
    }
}
