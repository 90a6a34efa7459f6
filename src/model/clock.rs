//! Device wall times: parsing them, and reading them in the right time zone (DESIGN 4, `time`).

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::record::TimeSource;

/// Device time that lies this far from receipt still fits a zone: clocks drift, alarms travel.
const FIT: SignedDuration = SignedDuration::from_mins(5);
/// So many alarms in a row must fit another offset before a learned one is changed.
const PERSUADED: u8 = 3;
/// UTC offsets in real use, in minutes.
const OFFSETS: [i32; 38] = [
    -720, -660, -600, -570, -540, -480, -420, -360, -300, -240, -210, -180, -150, -120, -60, 0, 60, 120, 180,
    210, 240, 270, 300, 330, 345, 360, 390, 420, 480, 525, 540, 570, 600, 630, 660, 720, 765, 780,
];
/// The last one in use, which the array above has no room for in one line.
const LAST_OFFSET: i32 = 840;

/// How a device's wall time is to be read.
#[derive(Debug, Clone, Default)]
pub enum ZoneSetting {
    /// The bridge's zone if that fits, else the offset in real use that does.
    #[default]
    Auto,
    /// A configured zone.
    Fixed(TimeZone),
}

/// The text is no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time zone: write an IANA name (Europe/Berlin), an offset (+08:00) or \"auto\"")]
pub struct NotAZone(pub String);

impl ZoneSetting {
    /// Reads `auto`, an IANA name, or an offset as `+08:00`, `UTC+08:00`, `05:00` or `Z`.
    ///
    /// # Errors
    /// When the text is none of these.
    pub fn parse(text: &str) -> Result<Self, NotAZone> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        let bare = text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT")).unwrap_or(text);
        let zone = match bare {
            "" | "Z" | "z" => Ok(TimeZone::UTC),
            _ if bare.starts_with(|c: char| c.is_ascii_digit()) => {
                TimeZone::get(&format!("+{bare}")).or_else(|_| parse_zone(&format!("+{bare}")))
            }
            _ => parse_zone(bare),
        };
        zone.map(Self::Fixed).map_err(|_| NotAZone(text.into()))
    }
}

/// An IANA name, an offset or a POSIX string.
fn parse_zone(text: &str) -> Result<TimeZone, jiff::Error> {
    if text.starts_with(['+', '-']) {
        return jiff::fmt::temporal::DateTimeParser::new().parse_time_zone(text);
    }
    TimeZone::get(text).or_else(|_| jiff::fmt::temporal::DateTimeParser::new().parse_time_zone(text))
}

/// Reads a device's wall time: 14 digits, or `YYYY-MM-DD HH:MM:SS` with any separators (WIRE 1.7).
///
/// Years before 2000 are an unset clock and read as none.
#[must_use]
pub fn parse_wall(text: &str) -> Option<DateTime> {
    let mut numbers: Vec<i64> = Vec::new();
    let text = text.trim();
    if text.len() == 14 && text.bytes().all(|b| b.is_ascii_digit()) {
        for (from, to) in [(0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14)] {
            numbers.push(text.get(from..to)?.parse().ok()?);
        }
    } else {
        let head = text.split_once('.').map_or(text, |(head, _)| head);
        for part in head.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).take(6) {
            numbers.push(part.parse().ok()?);
        }
    }
    let [year, month, day, hour, minute, second] = *numbers.first_chunk::<6>()?;
    let (year, month, day) = (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    let (hour, minute, second) =
        (i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, i8::try_from(second).ok()?);
    let second = if second == 60 { 59 } else { second };
    (year >= 2000).then(|| DateTime::new(year, month, day, hour, minute, second, 0).ok()).flatten()
}

/// What `auto` has found out about one device; kept with the device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedZone {
    /// The offset in use, in minutes, where the bridge's own zone did not fit.
    pub offset_minutes: Option<i32>,
    /// An offset that fits better, and how many alarms in a row said so.
    pub candidate: Option<(Option<i32>, u8)>,
}

/// A device time made out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// RFC 3339: device time with its offset, or receipt time in UTC.
    pub time: String,
    /// Whose clock it is.
    pub source: TimeSource,
    /// Device time less receipt time, in milliseconds; none when the device sent no time that can be read.
    pub clock_offset_ms: Option<i64>,
    /// The device's clock or the configured zone is off: worth a finding.
    pub misfit: bool,
}

/// The bridge's side of the reading.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// When the report had arrived.
    pub at: Timestamp,
    /// The bridge's own zone.
    pub zone: TimeZone,
    /// The bridge's clock can be believed (it is not before its build date), so offsets may be learned from it.
    pub trusted: bool,
    /// How far a configured zone may be off before receipt time is used.
    pub max_skew: SignedDuration,
}

/// Makes a device's wall time out.
#[must_use]
pub fn resolve(
    wall: Option<&str>,
    setting: &ZoneSetting,
    learned: &mut LearnedZone,
    receipt: &Receipt,
) -> Resolved {
    let Some(wall) = wall.and_then(parse_wall) else {
        return Resolved {
            time: utc(receipt.at),
            source: TimeSource::Receipt,
            clock_offset_ms: None,
            misfit: false,
        };
    };
    match setting {
        ZoneSetting::Fixed(zone) => fixed(wall, zone, receipt),
        ZoneSetting::Auto => auto(wall, learned, receipt),
    }
}

/// Reads in a configured zone: kept unless it is off by more than the allowed skew.
fn fixed(wall: DateTime, zone: &TimeZone, receipt: &Receipt) -> Resolved {
    let (time, offset) = reading(wall, zone, receipt.at);
    if offset.abs() <= receipt.max_skew { device(&time, offset) } else { misfit(offset, receipt) }
}

/// Reads in the zone that fits: the bridge's, the learned one, or the offset in real use that does.
fn auto(wall: DateTime, learned: &mut LearnedZone, receipt: &Receipt) -> Resolved {
    let own = reading(wall, &receipt.zone, receipt.at);
    let current = learned.offset_minutes.and_then(fixed_zone).map(|zone| reading(wall, &zone, receipt.at));
    let fitting = if fits(own.1) {
        Some(None)
    } else {
        OFFSETS.iter().copied().chain([LAST_OFFSET]).find(|m| offset_fits(wall, *m, receipt.at)).map(Some)
    };
    let best = match (&current, fitting) {
        (Some((_, off)), _) if fits(*off) && fitting != Some(None) => learned.offset_minutes,
        (_, Some(found)) => found,
        (_, None) => return misfit(own.1, receipt),
    };
    if receipt.trusted {
        learn(learned, best, current.as_ref().map_or(own.1, |(_, off)| *off));
    }
    let (time, offset) = best.and_then(fixed_zone).map_or(own, |zone| reading(wall, &zone, receipt.at));
    device(&time, offset)
}

/// Keeps the offset in use until three alarms in a row fit another better.
fn learn(learned: &mut LearnedZone, best: Option<i32>, current_error: SignedDuration) {
    if learned.offset_minutes == best {
        learned.candidate = None;
        return;
    }
    let votes = match learned.candidate {
        Some((candidate, votes)) if candidate == best => votes.saturating_add(1),
        _ => 1,
    };
    learned.candidate = Some((best, votes));
    if votes >= PERSUADED || !fits(current_error) && learned.offset_minutes.is_none() {
        *learned = LearnedZone { offset_minutes: best, candidate: None };
    }
}

/// Reads a wall time in a zone. In a fold, the reading nearer to receipt; in a gap, the one after it.
fn reading(wall: DateTime, zone: &TimeZone, received: Timestamp) -> (jiff::Zoned, SignedDuration) {
    let ambiguous = zone.to_ambiguous_zoned(wall);
    let both = [ambiguous.clone().earlier(), ambiguous.later()];
    let distance = |zoned: &jiff::Zoned| zoned.timestamp().duration_since(received);
    let nearest = both.into_iter().flatten().min_by_key(|zoned| distance(zoned).abs());
    let zoned = nearest.unwrap_or_else(|| received.to_zoned(zone.clone()));
    let offset = distance(&zoned);
    (zoned, offset)
}

/// Whether a fixed offset brings the wall time close to receipt.
fn offset_fits(wall: DateTime, minutes: i32, received: Timestamp) -> bool {
    fixed_zone(minutes).is_some_and(|zone| fits(reading(wall, &zone, received).1))
}

/// Whether an error is small enough for the zone to be right.
fn fits(error: SignedDuration) -> bool {
    error.abs() <= FIT
}

/// The zone of a fixed offset.
fn fixed_zone(minutes: i32) -> Option<TimeZone> {
    Offset::from_seconds(minutes * 60).ok().map(TimeZone::fixed)
}

/// Device time, as read.
fn device(time: &jiff::Zoned, offset: SignedDuration) -> Resolved {
    let text = jiff::fmt::temporal::DateTimePrinter::new()
        .timestamp_with_offset_to_string(&time.timestamp(), time.offset());
    Resolved { time: text, source: TimeSource::Device, clock_offset_ms: millis(offset), misfit: false }
}

/// No reading fits: receipt time, with the offset kept for whoever looks into it.
fn misfit(offset: SignedDuration, receipt: &Receipt) -> Resolved {
    Resolved {
        time: utc(receipt.at),
        source: TimeSource::Receipt,
        clock_offset_ms: millis(offset),
        misfit: true,
    }
}

/// Whole milliseconds.
fn millis(offset: SignedDuration) -> Option<i64> {
    i64::try_from(offset.as_millis()).ok()
}

/// Receipt time to the millisecond, in UTC.
#[must_use]
pub fn utc(at: Timestamp) -> String {
    format!("{at:.3}")
}
