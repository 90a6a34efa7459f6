//! Device wall times: parsing, and conversion with the right time zone.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::zone;
use super::zone::NotAZone;
use crate::model::record::TimeSource;

/// Maximum difference between device time and receipt for a zone to fit: clocks drift, alarms take time.
const FIT: SignedDuration = SignedDuration::from_mins(5);
/// Number of consecutive alarms that must fit another offset before the learned one is changed.
const PERSUADED: u8 = 3;
/// UTC offsets in real use, in minutes.
const OFFSETS: [i32; 38] = [
    -720, -660, -600, -570, -540, -480, -420, -360, -300, -240, -210, -180, -150, -120, -60, 0, 60, 120, 180,
    210, 240, 270, 300, 330, 345, 360, 390, 420, 480, 525, 540, 570, 600, 630, 660, 720, 765, 780,
];
/// The largest offset in use, +14:00. It is separate so that the array above stays on one line.
const LAST_OFFSET: i32 = 840;

/// Time zone setting of a device.
#[derive(Debug, Clone, Default)]
pub enum ZoneSetting {
    /// The bridge's zone if it fits, otherwise the offset in real use that does.
    #[default]
    Auto,
    /// A configured zone.
    Fixed(TimeZone),
}

impl ZoneSetting {
    /// Parses `auto`, an IANA name, or an offset as `+08:00`, `UTC+08:00`, `05:00` or `Z`.
    ///
    /// # Errors
    /// Returns an error when the text is none of these; the error says what to write.
    pub fn parse(text: &str) -> Result<Self, NotAZone> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        zone::parse(text).map(Self::Fixed)
    }
}

/// Parses a device's wall time: 14 digits, or `YYYY-MM-DD HH:MM:SS` with any separators.
///
/// `None` for years before 2000, which mean an unset clock.
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

/// Time zone that `auto` has learned for one device; stored with the device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedZone {
    /// The offset in use, in minutes, if the bridge's own zone did not fit.
    pub offset_minutes: Option<i32>,
    /// An offset that fits better, and the number of consecutive alarms that it fitted.
    pub candidate: Option<(Option<i32>, u8)>,
}

impl LearnedZone {
    /// The zone in use, where it is not the bridge's own.
    #[must_use]
    pub fn in_use(&self) -> Option<TimeZone> {
        self.offset_minutes.and_then(fixed_zone)
    }
}

/// A resolved device time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// RFC 3339: device time with its offset, or receipt time in UTC.
    pub time: String,
    /// Clock that `time` is from.
    pub source: TimeSource,
    /// Device time minus receipt time, in milliseconds; `None` when the device sent no readable time.
    pub clock_offset_ms: Option<i64>,
    /// Set if the device's clock or the configured zone is wrong, which is a finding.
    pub misfit: bool,
}

/// Data of the bridge for resolving a device time.
#[derive(Debug, Clone)]
pub struct ReceiptContext {
    /// Time of receipt of the report.
    pub at: Timestamp,
    /// The bridge's own zone.
    pub zone: TimeZone,
    /// Set if the bridge's clock is plausible (not before its build date), so that offsets may be learned from it.
    pub trusted: bool,
    /// Maximum deviation of a time in a configured zone; beyond it the receipt time is used.
    pub max_skew: SignedDuration,
}

/// Resolves a device's wall time.
#[must_use]
pub fn resolve(
    wall: Option<&str>,
    setting: &ZoneSetting,
    learned: &mut LearnedZone,
    receipt: &ReceiptContext,
) -> Resolved {
    if let Some(exact) = wall.and_then(|text| exact(text, receipt)) {
        return exact;
    }
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

/// Describes the error of a device's clock and the zone that would fit. `resolved` is a misfit of this wall time.
#[must_use]
pub fn advice(wall: &str, resolved: &Resolved, receipt: &ReceiptContext) -> String {
    let off = zone::off(SignedDuration::from_millis(resolved.clock_offset_ms.unwrap_or_default()));
    let fitting = parse_wall(wall).and_then(|wall| {
        let minutes = fitting_offset(wall, receipt.at)?;
        let offset = Offset::from_seconds(minutes * 60).ok()?;
        Some(zone::fitting(wall, offset, receipt.at, &receipt.zone))
    });
    match fitting {
        Some(zone) => format!("{off}; {zone} would fit"),
        None => format!("{off}, and no time zone fits: the clock is wrong"),
    }
}

/// Parses a time with its own offset, if it is near enough to receipt for the offset to be right.
fn exact(text: &str, receipt: &ReceiptContext) -> Option<Resolved> {
    let pieces = jiff::fmt::temporal::Pieces::parse(text.trim()).ok()?;
    let offset = pieces.to_numeric_offset()?;
    let wall = pieces.date().to_datetime(pieces.time()?);
    let at = offset.to_timestamp(wall).ok()?;
    let error = at.duration_since(receipt.at);
    (error.abs() <= receipt.max_skew).then(|| device(&at.to_zoned(TimeZone::fixed(offset)), error))
}

/// Resolves in a configured zone, unless it differs from receipt by more than the allowed skew.
fn fixed(wall: DateTime, zone: &TimeZone, receipt: &ReceiptContext) -> Resolved {
    let (time, offset) = reading(wall, zone, receipt.at);
    if offset.abs() <= receipt.max_skew { device(&time, offset) } else { misfit(offset, receipt) }
}

/// Resolves in the zone that fits: the bridge's, the learned one, or the offset in real use that does.
fn auto(wall: DateTime, learned: &mut LearnedZone, receipt: &ReceiptContext) -> Resolved {
    let own = reading(wall, &receipt.zone, receipt.at);
    let current = learned.offset_minutes.and_then(fixed_zone).map(|zone| reading(wall, &zone, receipt.at));
    let fitting = if fits(own.1) { Some(None) } else { fitting_offset(wall, receipt.at).map(Some) };
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

/// Updates the learned offset: it changes when three consecutive alarms fit another one better.
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

/// Converts a wall time in a zone. In a fold, the result nearer to receipt; in a gap, the one after it.
fn reading(wall: DateTime, zone: &TimeZone, received: Timestamp) -> (jiff::Zoned, SignedDuration) {
    let ambiguous = zone.to_ambiguous_zoned(wall);
    let both = [ambiguous.clone().earlier(), ambiguous.later()];
    let distance = |zoned: &jiff::Zoned| zoned.timestamp().duration_since(received);
    let nearest = both.into_iter().flatten().min_by_key(|zoned| distance(zoned).abs());
    let zoned = nearest.unwrap_or_else(|| received.to_zoned(zone.clone()));
    let offset = distance(&zoned);
    (zoned, offset)
}

/// The offset in real use, in minutes, that brings the wall time close to receipt.
fn fitting_offset(wall: DateTime, received: Timestamp) -> Option<i32> {
    OFFSETS.iter().copied().chain([LAST_OFFSET]).find(|minutes| offset_fits(wall, *minutes, received))
}

/// Returns whether a fixed offset brings the wall time close to receipt.
fn offset_fits(wall: DateTime, minutes: i32, received: Timestamp) -> bool {
    fixed_zone(minutes).is_some_and(|zone| fits(reading(wall, &zone, received).1))
}

/// Returns whether an error is small enough for the zone to be right.
fn fits(error: SignedDuration) -> bool {
    error.abs() <= FIT
}

/// The zone of a fixed offset.
fn fixed_zone(minutes: i32) -> Option<TimeZone> {
    Offset::from_seconds(minutes * 60).ok().map(TimeZone::fixed)
}

/// Resolved device time.
fn device(time: &jiff::Zoned, offset: SignedDuration) -> Resolved {
    let text = jiff::fmt::temporal::DateTimePrinter::new()
        .timestamp_with_offset_to_string(&time.timestamp(), time.offset());
    Resolved { time: text, source: TimeSource::Device, clock_offset_ms: millis(offset), misfit: false }
}

/// Receipt time, with the offset kept for diagnosis, if no zone fits.
fn misfit(offset: SignedDuration, receipt: &ReceiptContext) -> Resolved {
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
