//! Distributions and latencies as they are written in settings.

use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{Distribution, Latency};
use crate::duration::{self, Time};

const FORMS: &str = "a time such as 50ms, or 20ms..80ms, 50ms +- 20ms, normal(100ms, 20ms), \
                     lognormal(100ms, 0.5), exponential(50ms), or a list of times";

impl std::str::FromStr for Distribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some((low, high)) = text.split_once("..") {
            let (low, high) = (duration::parse(low.trim())?, duration::parse(high.trim())?);
            if low > high {
                return Err(format!("the range {text} ends before it begins"));
            }
            return Ok(Distribution::Uniform { low, high });
        }
        if let Some((mean, jitter)) = text.split_once("+-") {
            let (mean, jitter) = (duration::parse(mean.trim())?, duration::parse(jitter.trim())?);
            return Distribution::around(mean, jitter)
                .ok_or_else(|| format!("{text} would be negative at times"));
        }
        match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((name, arguments)) => named(name.trim(), arguments),
            None => duration::parse(text)
                .map(Distribution::Fixed)
                .map_err(|error| format!("{error}; a distribution is {FORMS}")),
        }
    }
}

fn named(name: &str, arguments: &str) -> Result<Distribution, String> {
    let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
    match (name, arguments.as_slice()) {
        ("normal", [mean, deviation]) => Ok(Distribution::Normal {
            mean: duration::parse(mean)?,
            deviation: duration::parse(deviation)?,
        }),
        ("lognormal", [median, sigma]) => {
            let sigma = sigma.parse().ok().filter(|sigma: &f64| (0.0..=5.0).contains(sigma));
            Ok(Distribution::Lognormal {
                median: duration::parse(median)?,
                sigma: sigma.ok_or("the second number of lognormal is from 0 to 5")?,
            })
        }
        ("exponential", [mean]) => Ok(Distribution::Exponential { mean: duration::parse(mean)? }),
        _ => Err(format!("expected {FORMS}")),
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = duration::show;
        match self {
            Distribution::Fixed(time) => f.write_str(&show(*time)),
            Distribution::Uniform { low, high } => write!(f, "{}..{}", show(*low), show(*high)),
            Distribution::Normal { mean, deviation } => {
                write!(f, "normal({}, {})", show(*mean), show(*deviation))
            }
            Distribution::Lognormal { median, sigma } => {
                write!(f, "lognormal({}, {sigma})", show(*median))
            }
            Distribution::Exponential { mean } => write!(f, "exponential({})", show(*mean)),
            Distribution::Empirical(times) => write!(f, "one of {} times", times.len()),
        }
    }
}

impl Serialize for Distribution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Distribution::Empirical(times) => {
                serializer.collect_seq(times.iter().map(|time| duration::show(*time)))
            }
            other => serializer.collect_str(other),
        }
    }
}

impl<'de> Deserialize<'de> for Distribution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Distribution;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(FORMS)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Distribution, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Distribution, E> {
                duration::zero(number, &self).map(Distribution::Fixed)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Distribution, E> {
                duration::zero(number, &self).map(Distribution::Fixed)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Distribution, A::Error> {
                empirical(list)
            }
        }
        deserializer.deserialize_any(Written)
    }
}

fn empirical<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Distribution, A::Error> {
    let mut times: Vec<Duration> = Vec::new();
    while let Some(Time(time)) = list.next_element()? {
        times.push(time);
    }
    if times.is_empty() {
        return Err(A::Error::custom("a list of times needs at least one"));
    }
    Ok(Distribution::Empirical(times.into()))
}

/// The fields of a latency that is written as a table.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default = "zero")]
    base: Distribution,
    #[serde(default, with = "duration")]
    per_item: Duration,
    first_token: Option<Distribution>,
    #[serde(default = "zero")]
    per_token: Distribution,
}

fn zero() -> Distribution {
    Distribution::ZERO
}

/// Reads a latency: a distribution or a table.
pub(super) fn latency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Latency, D::Error> {
    struct Written;
    impl<'de> Visitor<'de> for Written {
        type Value = Latency;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{FORMS}, or a table of base, per_item, first_token and per_token")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Latency, E> {
            text.parse().map(Latency::of).map_err(E::custom)
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Latency, E> {
            duration::zero(number, &self).map(|time| Latency::of(Distribution::Fixed(time)))
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Latency, E> {
            duration::zero(number, &self).map(|time| Latency::of(Distribution::Fixed(time)))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Latency, A::Error> {
            empirical(list).map(Latency::of)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Latency, A::Error> {
            let table = Table::deserialize(MapAccessDeserializer::new(map))?;
            let Table { base, per_item, first_token, per_token } = table;
            Ok(Latency { base, per_item, first_token, per_token })
        }
    }
    deserializer.deserialize_any(Written)
}
