//! Times as makers write them, converted to text with year, month and day in this order.

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::Value;

use crate::decode::maker::fields::{cut, text};

/// Years in which a device's time may lie.
const YEARS: std::ops::Range<i16> = 2000..2100;

/// Time of a value: an epoch in seconds, milliseconds or microseconds becomes UTC; other text is kept, with the year
/// first. `None` for a value that cannot be a time.
pub(crate) fn time(value: &Value) -> Option<String> {
    let text = with_plus(text(value)?);
    let whole = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole);
    if whole.bytes().all(|byte| byte.is_ascii_digit()) && whole.len() != 14 {
        return epoch(&text, whole);
    }
    if let Some(turned) = american(&text) {
        return Some(turned);
    }
    let year: i16 = text.get(..4)?.parse().ok()?;
    YEARS.contains(&year).then(|| padded(&text).unwrap_or_else(|| cut(&text)))
}

/// A time whose `+` became a blank in a query: `2026-11-28T12:20:05 01:00`.
fn with_plus(text: String) -> String {
    match text.rsplit_once(' ') {
        Some((time, zone))
            if time.contains('T')
                && zone.len() == 5
                && zone
                    .bytes()
                    .enumerate()
                    .all(|(at, byte)| (at == 2) == (byte == b':') && (at == 2 || byte.is_ascii_digit())) =>
        {
            format!("{time}+{zone}")
        }
        _ => text,
    }
}

/// `YYYY-M-D` and `h:m:s` with two digits each; `None` if they have them.
fn padded(text: &str) -> Option<String> {
    let (date, rest) = text.split_once(['T', ' '])?;
    let end = rest.find(|sign: char| !sign.is_ascii_digit() && sign != ':').unwrap_or(rest.len());
    let (time, zone) = rest.split_at_checked(end)?;
    let numbers = |text: &str, sign| {
        text.split(sign).map(|part: &str| part.parse::<u16>().ok()).collect::<Option<Vec<_>>>()
    };
    let (date, time) = (numbers(date, '-')?, numbers(time, ':')?);
    let ([year, month, day], [hour, minute, second]) = (date.first_chunk()?, time.first_chunk()?);
    let sign = text.chars().find(|sign| matches!(sign, 'T' | ' '))?;
    let padded = format!("{year:04}-{month:02}-{day:02}{sign}{hour:02}:{minute:02}:{second:02}{zone}");
    (padded.len() != text.len() && date.len() == 3 && time.len() == 3).then(|| cut(&padded))
}

/// A time counted from 1970.
fn epoch(text: &str, whole: &str) -> Option<String> {
    let micros: i64 = match whole.len() {
        9 | 10 => {
            let fraction: String =
                text.chars().skip(whole.len() + 1).chain("000000".chars()).take(6).collect();
            whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction.parse().ok()?)?
        }
        13 => whole.parse::<i64>().ok()?.checked_mul(1_000)?,
        16 => whole.parse().ok()?,
        _ => return None,
    };
    let time = Timestamp::from_microsecond(micros).ok()?;
    YEARS.contains(&time.to_zoned(jiff::tz::TimeZone::UTC).year()).then(|| time.to_string())
}

/// Converts `MM-DD-YYYY hh:mm:ss AM`.
fn american(text: &str) -> Option<String> {
    let half = text.get(text.len().checked_sub(2)?..)?.to_ascii_uppercase();
    let numbers: Vec<i16> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map_while(|part| part.parse().ok())
        .collect();
    let [month, day, year, hour, minute, second] = *numbers.first_chunk::<6>()?;
    let hour = match half.as_str() {
        "AM" => hour % 12,
        "PM" => hour % 12 + 12,
        _ => hour,
    };
    let small = |number: i16| i8::try_from(number).ok();
    let time =
        DateTime::new(year, small(month)?, small(day)?, small(hour)?, small(minute)?, small(second)?, 0)
            .ok()?;
    YEARS.contains(&year).then(|| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::time;

    #[test]
    fn every_form_of_time() {
        for (value, expected) in [
            (json!(1_795_864_805), "2026-11-28T11:20:05Z"),
            (json!("1795864805085"), "2026-11-28T11:20:05.085Z"),
            (json!(1_795_864_805_902_505_u64), "2026-11-28T11:20:05.902505Z"),
            (json!(1_795_864_805.5), "2026-11-28T11:20:05.5Z"),
            (json!("2026-11-28T12:20:05+01:00"), "2026-11-28T12:20:05+01:00"),
            (json!("2026-03-29 09:58:21"), "2026-03-29 09:58:21"),
            (json!("11-19-2025 12:15:11 PM"), "2025-11-19 12:15:11"),
            (json!("11-19-2025 12:15:11 AM"), "2025-11-19 00:15:11"),
            (json!("20261005150501"), "20261005150501"),
            (json!("2026-9-5T8:3:1Z"), "2026-09-05T08:03:01Z"),
            (json!("2026-11-28T12:20:05.5+01:00"), "2026-11-28T12:20:05.5+01:00"),
        ] {
            assert_eq!(time(&value).as_deref(), Some(expected), "{value}");
        }
        for absurd in [
            json!("12345678901234567890"),
            json!(0),
            json!("1970-01-01 00:00:00"),
            json!("soon"),
            Value::Null,
        ] {
            assert_eq!(time(&absurd), None, "{absurd}");
        }
    }
}
