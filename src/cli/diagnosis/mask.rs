//! Masking of a text for a bug report: secrets, MAC addresses, network addresses. The same address always has the
//! same replacement, from ranges reserved for documentation, so that relations remain visible.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::model::Mac;
use crate::model::mask::SecretSet;

/// Length from which on base64 text counts as a picture or key.
const BASE64_LENGTH: usize = 160;

/// Length up to which a secret is not masked, since it occurs in many words.
const UNMASKED_LENGTH: usize = 3;

/// Replacements so far.
#[derive(Debug)]
pub(super) struct Mask {
    secrets: SecretSet,
    macs: BTreeMap<String, usize>,
    addresses: BTreeMap<IpAddr, usize>,
}

impl Mask {
    /// Creates a mask for these secrets.
    pub(in crate::cli) fn new(secrets: Vec<String>) -> Self {
        let secrets = SecretSet::new(secrets.into_iter().filter(|secret| UNMASKED_LENGTH < secret.len()));
        Self { secrets, macs: BTreeMap::new(), addresses: BTreeMap::new() }
    }

    /// Masks a text.
    pub(in crate::cli) fn text(&mut self, text: &str) -> String {
        let text = self.secrets.replaced(text, "***");
        let mut masked = String::with_capacity(text.len());
        let is_part = |sign: char| sign.is_ascii_hexdigit() || matches!(sign, ':' | '.' | '-');
        let mut rest = text.as_str();
        while let Some(start) = rest.find(is_part) {
            let (before, tail) = rest.split_at(start);
            masked.push_str(before);
            let (word, after) = tail.split_at(tail.find(|sign| !is_part(sign)).unwrap_or(tail.len()));
            masked.push_str(&self.word(word));
            rest = after;
        }
        masked.push_str(rest);
        self.tails(&without_base64(&masked))
    }

    /// Masks a run of digits and separators.
    fn word(&mut self, word: &str) -> String {
        let bare = word.trim_matches([':', '.', '-']);
        let Some((before, after)) = word.split_once(bare).filter(|_| !bare.is_empty()) else {
            return word.to_owned();
        };
        let inner = self.address(bare).or_else(|| {
            // `192.0.2.1:80`, a source such as `98ba5f8b1003-2`, and other addresses followed by a number.
            let at = bare.rfind([':', '-', '.'])?;
            let (head, tail) = bare.split_at(at);
            self.address(head).map(|head| format!("{head}{tail}"))
        });
        inner.map_or_else(|| word.to_owned(), |inner| format!("{before}{inner}{after}"))
    }

    fn address(&mut self, text: &str) -> Option<String> {
        if let Ok(mac) = text.parse::<Mac>() {
            return Some(self.mac(mac, text));
        }
        let dashed = text.replace('-', ".");
        let ip = text.parse::<IpAddr>().ok().or_else(|| dashed.parse::<IpAddr>().ok())?;
        if ip.is_loopback() || ip.is_unspecified() {
            return None;
        }
        let next = self.addresses.len() + 1;
        let number = *self.addresses.entry(ip).or_insert(next);
        let masked =
            if ip.is_ipv4() { format!("192.0.2.{}", number % 256) } else { format!("2001:db8::{number:x}") };
        Some(if text.contains('-') { masked.replace('.', "-") } else { masked })
    }

    fn mac(&mut self, mac: Mac, spelled: &str) -> String {
        let next = self.macs.len() + 1;
        let number = *self.macs.entry(mac.hex()).or_insert(next);
        let hex = format!("02000000{number:04x}");
        let Some(parting) = spelled.chars().find(|sign| !sign.is_ascii_hexdigit()) else { return hex };
        let mut parted = String::new();
        for (at, digit) in hex.chars().enumerate() {
            if at > 0 && at % 2 == 0 {
                parted.push(parting);
            }
            parted.push(digit);
        }
        parted
    }

    /// Masks device names that contain the end of a MAC address: `InSight S445 1.0_1003`, `VIGI 8b1003`.
    fn tails(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (mac, number) in &self.macs {
            let mut fake = String::new();
            // Writing to a String cannot fail.
            write!(fake, "{number:06x}").ok();
            for length in [6, 4] {
                let Some(tail) = mac.get(12 - length..) else { continue };
                let with = fake.get(6 - length..).unwrap_or_default();
                for before in ["_", " ", "-"] {
                    for tail in [tail.to_owned(), tail.to_uppercase()] {
                        text = text.replace(&format!("{before}{tail}"), &format!("{before}{with}"));
                    }
                }
            }
        }
        text
    }
}

/// Replaces long runs of base64, which hold pictures or keys.
fn without_base64(text: &str) -> String {
    let is_part = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '+' | '/' | '=');
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, tail) = rest.split_at(start);
        kept.push_str(before);
        let (run, after) = tail.split_at(tail.find(|sign| !is_part(sign)).unwrap_or(tail.len()));
        if run.len() < BASE64_LENGTH {
            kept.push_str(run);
        } else {
            kept.push_str(&format!("[{} characters]", run.len()));
        }
        rest = after;
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::Mask;

    #[test]
    fn addresses_of_all_spellings_are_replaced_alike() {
        let mut mask = Mask::new(vec!["s3cr3t-path".into()]);
        let text = "98:ba:5f:8b:10:03 98-BA-5F-8B-10-03 98ba5f8b1003 98ba5f8b1003-2 192.168.0.101 ip-192-168-0-101 \
                    http://192.168.0.101:8089/alarm/s3cr3t-path 127.0.0.1 fd00::5 2026-10-05T16:25:31";
        let expected = "02:00:00:00:00:01 02-00-00-00-00-01 020000000001 020000000001-2 192.0.2.1 ip-192-0-2-1 \
                        http://192.0.2.1:8089/alarm/*** 127.0.0.1 2001:db8::2 2026-10-05T16:25:31";
        assert_eq!(mask.text(text), expected);
    }

    #[test]
    fn a_name_made_of_a_mac_and_a_picture_go_too() {
        let mut mask = Mask::new(Vec::new());
        let text = format!("98:ba:5f:8b:10:03 InSight S445 1.0_1003, VIGI 8b1003 {}", "A9/+".repeat(100));
        let masked = mask.text(&text);
        assert_eq!(masked, "02:00:00:00:00:01 InSight S445 1.0_0001, VIGI 000001 [400 characters]");
    }
}
