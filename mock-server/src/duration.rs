//! Durations as they are written: a number and a unit, such as `90ms`.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Expected, Unexpected, Visitor};
use serde::ser::Serializer;

/// Longest duration that can be asked for.
pub const LONGEST: Duration = Duration::from_secs(86_400);

const UNITS: [(&str, f64); 6] =
    [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];

/// A duration with a unit, such as `90ms`, `2.5ms`, `1s`, `250us`, `5m` or `1h`, or a plain `0`.
///
/// # Errors
/// What was expected.
pub fn parse(text: &str) -> Result<Duration, String> {
    let expected = || {
        format!(
            "expected a number and a unit (ns, us, ms, s, m, h), such as 90ms, 2.5ms, 1s or 0, \
             not {text:?}"
        )
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (number, seconds) = UNITS
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?.trim_end(), seconds)))
        .ok_or_else(expected)?;
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(expected());
    }
    let number: f64 = number.parse().map_err(|_| expected())?;
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        _ => Err(format!("at most one day (24h), not {text:?}")),
    }
}

/// The shortest way to write a duration exactly, in the largest unit that makes its number at least
/// one.
pub fn show(duration: Duration) -> String {
    let ns = duration.as_nanos();
    let units = [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000)];
    let whole = units.into_iter().take(2).find(|(_, unit)| ns >= *unit && ns.is_multiple_of(*unit));
    let (unit, size) = whole.unwrap_or(match ns {
        0 => return "0".to_owned(),
        1_000_000_000.. => units[2],
        1_000_000.. => ("ms", 1_000_000),
        1_000.. => ("us", 1_000),
        _ => ("ns", 1),
    });
    let (whole, rest) = (ns / size, ns % size);
    let digits = size.ilog10() as usize;
    let fraction = if rest == 0 { String::new() } else { format!(".{rest:0digits$}") };
    format!("{whole}{}{unit}", fraction.trim_end_matches('0'))
}

/// For `#[serde(with = "duration")]`.
///
/// # Errors
/// The value is no duration.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Time::deserialize(deserializer).map(|Time(time)| time)
}

/// A duration as it is written: text, or a plain 0, which needs no unit.
pub(crate) struct Time(pub Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time with a unit, such as \"90ms\" or \"1s\", or 0")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                parse(text).map(Time).map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Time, E> {
                zero(number, &self).map(Time)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Time, E> {
                zero(number, &self).map(Time)
            }
        }
        deserializer.deserialize_any(Written)
    }
}

/// No time, where a number without a unit is 0.
pub(crate) fn zero<E: Error>(
    number: impl TryInto<i64>,
    expected: &dyn Expected,
) -> Result<Duration, E> {
    match number.try_into().unwrap_or(i64::MAX) {
        0 => Ok(Duration::ZERO),
        other => Err(E::invalid_value(Unexpected::Signed(other), expected)),
    }
}

/// For `#[serde(with = "duration")]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&show(*duration))
}

/// For `#[serde(with = "duration::option")]`, with `#[serde(default)]`.
pub mod option {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    /// A duration that is there.
    ///
    /// # Errors
    /// The value is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<super::Time>::deserialize(deserializer)?.map(|super::Time(time)| time))
    }

    /// The duration, or nothing.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }
}
