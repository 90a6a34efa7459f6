//! The mapping files of the makers that are built in.

use std::sync::LazyLock;

use super::file::Mapping;
use super::read::read;
use super::words::CODED;

/// The files; the first that recognises a document reads it.
pub const FILES: &[(&str, &str)] = &[
    ("hikvision.toml", include_str!("../../decode/makers/hikvision.toml")),
    ("dahua.toml", include_str!("../../decode/makers/dahua.toml")),
    ("reolink.toml", include_str!("../../decode/makers/reolink.toml")),
    ("unifi.toml", include_str!("../../decode/makers/unifi.toml")),
    ("uniview.toml", include_str!("../../decode/makers/uniview.toml")),
    ("tvt.toml", include_str!("../../decode/makers/tvt.toml")),
    ("onvif.toml", include_str!("../../decode/makers/onvif.toml")),
    ("meraki.toml", include_str!("../../decode/makers/meraki.toml")),
    ("milesight.toml", include_str!("../../decode/makers/milesight.toml")),
    ("template.toml", include_str!("../../decode/makers/template.toml")),
];

/// The mappings. A file that cannot be used is left out; a test checks that there is none.
pub static BUILT_IN: LazyLock<Vec<Mapping>> = LazyLock::new(|| {
    FILES.iter().filter_map(|(file, text)| Some(read(file.as_ref(), text).ok()?.0)).collect()
});

/// All values of `vendor`.
pub fn vendors() -> impl Iterator<Item = &'static str> {
    ["auto"].into_iter().chain(CODED).chain(BUILT_IN.iter().map(|mapping| mapping.name.as_str()))
}

/// Vendors that do not name a maker: a standard, and requests that users write.
const NO_MAKERS: [&str; 5] = ["", "auto", "generic", "onvif", "template"];

/// Name of a vendor's maker for people; `None` for a vendor that does not name a maker.
#[must_use]
pub fn maker_of(vendor: &str) -> Option<String> {
    if NO_MAKERS.contains(&vendor) {
        return None;
    }
    if vendor.starts_with("vigi") {
        return Some("VIGI".into());
    }
    let built_in =
        BUILT_IN.iter().find(|mapping| mapping.name == vendor).map(|mapping| mapping.title.clone());
    // Of a user's own mapping only its name is known here: acme_cameras becomes Acme cameras.
    Some(built_in.unwrap_or_else(|| titled(vendor)))
}

/// `some_slug` as `Some slug`.
fn titled(slug: &str) -> String {
    let text = slug.replace('_', " ");
    let mut signs = text.chars();
    signs.next().map_or_else(String::new, |first| first.to_uppercase().chain(signs).collect())
}

#[cfg(test)]
mod tests {
    use super::{BUILT_IN, FILES, maker_of};
    use crate::config::mapping::read::read;

    #[test]
    fn every_built_in_file_can_be_used_without_a_warning() {
        for (file, text) in FILES {
            match read(file.as_ref(), text) {
                Ok((mapping, warnings)) => {
                    assert_eq!(warnings, [], "{file}");
                    assert!(!mapping.title.is_empty() && !mapping.evidence.is_empty(), "{file}");
                    assert!(!mapping.recognise.is_empty(), "{file}");
                }
                Err(mistakes) => panic!("{mistakes}"),
            }
        }
        assert_eq!(BUILT_IN.len(), FILES.len());
    }

    #[test]
    fn a_maker_has_a_name_for_people() {
        for (vendor, expected) in [
            ("vigi", Some("VIGI")),
            ("unifi", Some("UniFi Protect")),
            ("acme_cameras", Some("Acme cameras")),
            ("generic", None),
            ("onvif", None),
        ] {
            assert_eq!(maker_of(vendor).as_deref(), expected);
        }
    }
}
