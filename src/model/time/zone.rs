//! Names of time zones: parsing, suggestions for misspelt ones, and the zone that fits a device's clock.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// A text that is not a time zone, with a suggestion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAZone {
    /// An unknown name.
    #[error("{0:?} is not a time zone: write an IANA name (Europe/Berlin), an offset (+08:00) or \"auto\"")]
    Unknown(String),
    /// An offset with missing digits.
    #[error("{text:?} is not a time zone: write {offset}")]
    Offset {
        /// The text.
        text: String,
        /// The offset in full.
        offset: String,
    },
    /// A POSIX TZ string. Its sign runs the other way: `CET+1` is west of Greenwich.
    #[error(
        "{text:?} is a POSIX string, whose sign means the opposite of what most people expect: write {remedy}"
    )]
    Posix {
        /// The text.
        text: String,
        /// Suggested zone.
        remedy: String,
    },
}

/// Abbreviations of POSIX strings, with the beginning of the rest where that distinguishes two zones.
const ABBREVIATIONS: [(&str, &str, &str); 31] = [
    ("CST", "-8", "Asia/Shanghai"),
    ("IST", "-1", "Europe/Dublin"),
    ("IST", "-2", "Asia/Jerusalem"),
    ("WET", "", "Europe/Lisbon"),
    ("BST", "", "Europe/London"),
    ("CET", "", "Europe/Berlin"),
    ("MEZ", "", "Europe/Berlin"),
    ("MET", "", "Europe/Berlin"),
    ("EET", "", "Europe/Helsinki"),
    ("MSK", "", "Europe/Moscow"),
    ("TRT", "", "Europe/Istanbul"),
    ("SAST", "", "Africa/Johannesburg"),
    ("NST", "", "America/St_Johns"),
    ("AST", "", "America/Halifax"),
    ("EST", "", "America/New_York"),
    ("CST", "", "America/Chicago"),
    ("MST", "", "America/Denver"),
    ("PST", "", "America/Los_Angeles"),
    ("AKST", "", "America/Anchorage"),
    ("HST", "", "Pacific/Honolulu"),
    ("BRT", "", "America/Sao_Paulo"),
    ("IST", "", "Asia/Kolkata"),
    ("ICT", "", "Asia/Bangkok"),
    ("WIB", "", "Asia/Jakarta"),
    ("HKT", "", "Asia/Hong_Kong"),
    ("JST", "", "Asia/Tokyo"),
    ("KST", "", "Asia/Seoul"),
    ("AEST", "", "Australia/Sydney"),
    ("ACST", "", "Australia/Adelaide"),
    ("AWST", "", "Australia/Perth"),
    ("NZST", "", "Pacific/Auckland"),
];

/// Zones to suggest for a device's clock, those with the most people first among zones of one offset.
const PROPOSED: [&str; 32] = [
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "Asia/Shanghai",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Asia/Bangkok",
    "Australia/Sydney",
    "Australia/Adelaide",
    "Australia/Brisbane",
    "Australia/Darwin",
    "Europe/Helsinki",
    "Europe/Moscow",
    "Asia/Dubai",
    "Asia/Karachi",
    "Asia/Dhaka",
    "Asia/Kathmandu",
    "Asia/Kabul",
    "Asia/Tehran",
    "Asia/Yangon",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Halifax",
    "America/Anchorage",
    "Pacific/Honolulu",
    "Pacific/Auckland",
    "Atlantic/Azores",
    "Africa/Cairo",
    "UTC",
];

/// Parses an IANA name, or an offset as `+08:00`, `UTC+08:00`, `05:00` or `Z`.
///
/// # Errors
/// Returns an error when the text is none of these; a POSIX string is refused, because its sign is misleading.
pub(in crate::model) fn parse(text: &str) -> Result<TimeZone, NotAZone> {
    let bare = text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT")).unwrap_or(text);
    if matches!(bare, "" | "Z" | "z") && !text.is_empty() {
        return Ok(TimeZone::UTC);
    }
    if bare.starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '-') {
        let signed = if bare.starts_with(['+', '-']) { bare.to_owned() } else { format!("+{bare}") };
        let read = jiff::fmt::temporal::DateTimeParser::new().parse_time_zone(&signed);
        return read.or_else(|_| TimeZone::get(text)).map_err(|_| not_an_offset(text, &signed));
    }
    match posix(text) {
        Some(remedy) => Err(NotAZone::Posix { text: text.into(), remedy }),
        None => TimeZone::get(text).map_err(|_| NotAZone::Unknown(text.into())),
    }
}

/// An offset that lacks digits, such as `+8`, with its full spelling.
fn not_an_offset(text: &str, signed: &str) -> NotAZone {
    let hours = signed.get(1..).filter(|digits| !digits.is_empty() && digits.len() <= 2);
    match hours.and_then(|digits| digits.parse::<u8>().ok()).filter(|hours| *hours <= 14) {
        Some(hours) => {
            let sign = if signed.starts_with('-') { '-' } else { '+' };
            NotAZone::Offset { text: text.into(), offset: format!("{sign}{hours:02}:00") }
        }
        None => NotAZone::Unknown(text.into()),
    }
}

/// The correct spelling for a POSIX TZ string (`CET+1`, `EST5EDT`, `<+03>-3`); `None` if the text is not one.
fn posix(text: &str) -> Option<String> {
    let general =
        || "the IANA name of the place, such as Europe/Berlin, or an offset such as +01:00".to_owned();
    if text.starts_with('<') {
        return Some(general());
    }
    let letters = text.len() - text.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
    let (name, rest) = text.split_at_checked(letters).filter(|_| 3 <= letters)?;
    let signless = rest.trim_start_matches(['+', '-']);
    if !signless.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let name = name.to_ascii_uppercase();
    let known = ABBREVIATIONS.iter().find(|(short, offset, _)| *short == name && rest.starts_with(offset));
    Some(known.map_or_else(general, |(_, _, zone)| (*zone).to_owned()))
}

/// Describes the mistake in the variable `TZ`, which names the zone of this machine; `None` if there is none.
#[must_use]
pub fn problem_of_variable(value: &str) -> Option<String> {
    let name = value.strip_prefix(':').unwrap_or(value);
    if name.is_empty() || name.starts_with('/') {
        return None;
    }
    parse(name).err().map(|error| format!("the variable TZ: {error}"))
}

/// The zone in which a device's wall time is near the time of receipt, with its offset: the bridge's own first.
pub(super) fn fitting(wall: DateTime, offset: Offset, received: Timestamp, own: &TimeZone) -> String {
    let same = |zone: &TimeZone| zone.to_offset(received) == offset;
    let own_name = own.iana_name().filter(|_| same(own)).map(str::to_owned);
    let proposed = || {
        let fits = |name: &&&str| TimeZone::get(name).is_ok_and(|zone| same(&zone));
        PROPOSED.iter().find(fits).map(|name| (*name).to_owned())
    };
    let shown = TimeZone::fixed(offset)
        .to_zoned(wall)
        .map_or_else(|_| offset.to_string(), |at| at.strftime("%:z").to_string());
    own_name.or_else(proposed).map_or_else(|| shown.clone(), |name| format!("{name:?} ({shown})"))
}

/// Deviation of a clock as text: `5 h behind`.
#[must_use]
pub fn off(offset: SignedDuration) -> String {
    let seconds = offset.as_secs().unsigned_abs();
    let minutes = (seconds + 30) / 60;
    let (days, hours) = (minutes / 1_440, minutes / 60);
    let length = match (days, hours, minutes % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, rest) => format!("{rest} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, rest) => format!("{hours} h {rest} min"),
        (1, ..) => "1 day".into(),
        (days, ..) => format!("{days} days"),
    };
    format!("{length} {}", if offset.is_negative() { "behind" } else { "ahead" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, remedy: &str) {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.ends_with(remedy) && error.contains(text), "{error}");
    }

    #[test]
    fn names_and_full_offsets_are_taken() {
        for text in [
            "Europe/Berlin",
            "europe/berlin",
            "UTC",
            "Z",
            "+08:00",
            "UTC+08:00",
            "GMT-03:30",
            "05:00",
            "Etc/GMT+8",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_posix_string_is_refused_with_the_name_of_the_zone() {
        for (text, remedy) in [
            ("CET+1", "write Europe/Berlin"),
            ("CET-1CEST", "write Europe/Berlin"),
            ("CET-1CEST,M3.5.0,M10.5.0/3", "write Europe/Berlin"),
            ("EST5EDT", "write America/New_York"),
            ("cst6cdt", "write America/Chicago"),
            ("CST-8", "write Asia/Shanghai"),
            ("IST-5:30", "write Asia/Kolkata"),
            ("<+03>-3", "an offset such as +01:00"),
            ("XYZ3", "an offset such as +01:00"),
        ] {
            refused(text, remedy);
        }
    }

    #[test]
    fn a_short_offset_is_refused_with_the_full_one() {
        for (text, remedy) in [
            ("UTC+8", "write +08:00"),
            ("+8", "write +08:00"),
            ("GMT-3", "write -03:00"),
            ("-10x", "\"auto\""),
        ] {
            refused(text, remedy);
        }
        refused("Mars", "\"auto\"");
        refused("", "\"auto\"");
    }

    #[test]
    fn the_zone_of_the_machine_is_checked_too() {
        assert!(
            problem_of_variable("CET+1")
                .is_some_and(|text| text.contains("TZ") && text.contains("Europe/Berlin"))
        );
        for fine in ["", ":Europe/Berlin", "Europe/Berlin", ":/etc/localtime", "UTC"] {
            assert_eq!(problem_of_variable(fine), None, "{fine}");
        }
    }

    #[test]
    fn a_difference_is_said_in_hours_or_days() {
        for (seconds, expected) in [
            (-17_999, "5 h behind"),
            (19_810, "5 h 30 min ahead"),
            (-400, "7 min behind"),
            (20, "20 s ahead"),
            (-90_000, "1 day behind"),
            (400_000, "4 days ahead"),
        ] {
            assert_eq!(off(SignedDuration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn the_own_zone_is_proposed_first() {
        let received: Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
        let wall = jiff::civil::date(2026, 7, 1).at(14, 0, 0, 0);
        let two = Offset::from_seconds(7_200).unwrap();
        assert_eq!(
            fitting(wall, two, received, &TimeZone::get("Europe/Paris").unwrap()),
            "\"Europe/Paris\" (+02:00)"
        );
        assert_eq!(fitting(wall, two, received, &TimeZone::UTC), "\"Europe/Berlin\" (+02:00)");
        let odd = Offset::from_seconds(45_900).unwrap();
        assert_eq!(fitting(wall, odd, received, &TimeZone::UTC), "+12:45");
    }
}
