//! How long something is kept: a duration that may also be written in days, such as `7d`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

use crate::duration;

pub(super) const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Longest lifetime, days.
const LONGEST: u32 = 365;

pub(super) fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(reader)?;
    let Some(days) = text.strip_suffix('d') else {
        return duration::parse(&text).map_err(de::Error::custom);
    };
    match days.trim().parse() {
        Ok(days @ 0..=LONGEST) => Ok(DAY * days),
        _ => Err(de::Error::custom(format!(
            "expected whole days up to {LONGEST}d, or a duration such as 24h, not {text:?}"
        ))),
    }
}

pub(super) fn serialize<S: Serializer>(time: &Duration, writer: S) -> Result<S::Ok, S::Error> {
    match (time.as_nanos() / DAY.as_nanos(), time.as_nanos() % DAY.as_nanos()) {
        (days @ 1.., 0) => writer.collect_str(&format_args!("{days}d")),
        _ => duration::serialize(time, writer),
    }
}
