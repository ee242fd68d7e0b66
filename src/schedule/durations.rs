//! Durations as people write them.

use std::time::Duration;

use super::NotUnderstood;

/// Units of a written duration, with their length in nanoseconds, longest first.
const UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads a duration as people write it: `30s`, `500ms`, `1m30s`, `1.5h`; a bare `0` needs no unit.
///
/// # Errors
///
/// For a number without a unit, an unknown unit, anything below a nanosecond, and anything above
/// 584 years.
pub fn parse_duration(text: &str) -> Result<Duration, NotUnderstood> {
    let wrong = |why: &str| {
        NotUnderstood(format!(
            "`{}` is not a duration: {why}; write it as `30s`, `500ms` or `1m30s`",
            text.escape_debug()
        ))
    };
    let trimmed = text.trim();
    if trimmed == "0" {
        return Ok(Duration::ZERO);
    }
    if trimmed.is_empty() {
        return Err(wrong("it is empty"));
    }
    let mut rest = trimmed;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(unit_at);
        if number.is_empty() {
            return Err(wrong("a number is expected"));
        }
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_end);
        let unit = unit.trim_end();
        if unit.is_empty() {
            return Err(wrong("a unit is missing"));
        }
        let Some((_, nanoseconds)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(wrong("the units are h, m, s, ms, us and ns"));
        };
        let part = scaled(number, *nanoseconds).ok_or_else(|| wrong("the number is wrong"))?;
        total = total.checked_add(part).ok_or_else(|| wrong("it is too long"))?;
        rest = next;
    }
    u64::try_from(total).map(Duration::from_nanos).map_err(|_| wrong("it is too long"))
}

/// `number` (digits with at most one point) times `unit`, where that is a whole number.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let mut total = whole.checked_mul(unit)?;
    if !fraction.is_empty() {
        let places = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let part = fraction.parse::<u128>().ok()?.checked_mul(unit)?;
        if part % places != 0 {
            return None;
        }
        total = total.checked_add(part / places)?;
    }
    Some(total)
}

/// Writes a duration as [`parse_duration`] reads it, exactly: `1m30s`, `1s500ms`, `0s`.
pub fn show_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, nanoseconds) in UNITS {
        let count = rest / nanoseconds;
        if count > 0 {
            text.push_str(&format!("{count}{name}"));
            rest %= nanoseconds;
        }
    }
    text
}
