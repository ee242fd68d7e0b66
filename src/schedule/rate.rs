//! Rates of arrivals as people write them, and rates over time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{NotUnderstood, Stage, parse_duration, show_duration};

/// More arrivals a second than any one machine can make: a slip of the pen.
const MOST: f64 = 1_000_000.0;
/// What a rate may be counted by, with its length in seconds.
const PER: [(&str, f64); 3] = [("/s", 1.0), ("/m", 60.0), ("/h", 3600.0)];

/// A rate of arrivals.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate {
    /// Iterations that are due in a second: 0 or more, a finite number.
    pub per_second: f64,
}

impl FromStr for Rate {
    type Err = NotUnderstood;

    /// Reads `50` and `50/s` (a second), `300/m` (a minute), `90/h` (an hour).
    fn from_str(text: &str) -> Result<Rate, NotUnderstood> {
        let wrong = |why: &str| {
            NotUnderstood(format!(
                "`{}` is not a rate: {why}; write `50` or `50/s` (a second), `300/m` (a minute)",
                text.escape_debug()
            ))
        };
        let trimmed = text.trim();
        let counted_by = PER.iter().find_map(|(end, s)| Some((trimmed.strip_suffix(end)?, s)));
        let (number, seconds) = counted_by.unwrap_or((trimmed, &1.0));
        let is_plain = |c: char| c.is_ascii_digit() || c == '.';
        let number: f64 = Some(number.trim_end())
            .filter(|number| number.chars().all(is_plain))
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| wrong("a number is expected"))?;
        let per_second = number / seconds;
        if per_second > MOST {
            return Err(wrong("more than 1,000,000 a second"));
        }
        Ok(Rate { per_second })
    }
}

/// `50/s`, or `300/m` where that is the shorter way to write it.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_minute = self.per_second * 60.0;
        let is_rounder = |a: f64, b: f64| a.to_string().len() < b.to_string().len();
        match self.per_second < 1.0 && is_rounder(per_minute, self.per_second) {
            true => write!(f, "{per_minute}/m"),
            false => write!(f, "{}/s", self.per_second),
        }
    }
}

/// `50`, or `10..100` for a rate that changes evenly from one to the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateSpan {
    /// At the start of the measured time.
    pub from: Rate,
    /// At its end.
    pub to: Rate,
}

impl FromStr for RateSpan {
    type Err = NotUnderstood;

    fn from_str(text: &str) -> Result<RateSpan, NotUnderstood> {
        let span = match text.split_once("..") {
            None => {
                let rate = text.parse()?;
                RateSpan { from: rate, to: rate }
            }
            Some((from, to)) => RateSpan { from: from.parse()?, to: to.parse()? },
        };
        if span.from.per_second + span.to.per_second <= 0.0 {
            return Err(NotUnderstood(format!(
                "at a rate of `{}` nothing ever happens: it must be more than 0",
                text.escape_debug()
            )));
        }
        Ok(span)
    }
}

impl RateSpan {
    /// This rate during `measured`, with its first value for `before` and its last for `after`.
    pub fn stages(&self, before: Duration, measured: Duration, after: Duration) -> Vec<RateStage> {
        let stage = |rate: Rate, ramp, hold| RateStage { rate, ramp, hold };
        if self.from == self.to {
            return vec![stage(self.from, Duration::ZERO, before + measured + after)];
        }
        vec![stage(self.from, Duration::ZERO, before), stage(self.to, measured, after)]
    }
}

/// A rate that is reached within `ramp`, changing evenly, and then kept for `hold`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RateStage {
    /// At the end of the ramp, and from then on.
    pub rate: Rate,
    /// Time in which the rate changes.
    pub ramp: Duration,
    /// Time for which it stays.
    pub hold: Duration,
}

impl FromStr for RateStage {
    type Err = NotUnderstood;

    fn from_str(text: &str) -> Result<RateStage, NotUnderstood> {
        let wrong = |why: String| {
            NotUnderstood(format!(
                "`{}` is not a stage: {why}; write `50/s:1m` (50 iterations a second for a minute) \
                 or `50/s:1m/20s` (reached within 20 s, then a minute)",
                text.escape_debug()
            ))
        };
        let (rate, times) = text
            .split_once(':')
            .ok_or_else(|| wrong("a colon between rate and time is missing".to_owned()))?;
        let rate = rate.parse().map_err(|NotUnderstood(why)| wrong(why))?;
        let (hold, ramp) = times.split_once('/').unwrap_or((times, "0"));
        let hold = parse_duration(hold).map_err(|NotUnderstood(why)| wrong(why))?;
        let ramp = parse_duration(ramp).map_err(|NotUnderstood(why)| wrong(why))?;
        if (ramp + hold).is_zero() {
            return Err(wrong("it takes no time".to_owned()));
        }
        Ok(RateStage { rate, ramp, hold })
    }
}

impl fmt::Display for RateStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.rate, show_duration(self.hold))?;
        if self.ramp.is_zero() { Ok(()) } else { write!(f, "/{}", show_duration(self.ramp)) }
    }
}

/// What `--stages` says: numbers of users or rates, never both.
#[derive(Debug, Clone, PartialEq)]
pub enum Stages {
    /// Closed load.
    Users(Vec<Stage>),
    /// Open load.
    Rates(Vec<RateStage>),
}

impl Stages {
    /// Reads stages parted by commas: of users, `10u:30s,50u:1m/20s`, as [`Stage::parse_list`] does,
    /// or of rates, `50/s:30s,200/s:1m/20s`: 50 iterations a second for 30 s, then 200 for a minute,
    /// reached evenly within the 20 s before it.
    ///
    /// # Errors
    ///
    /// Says which stage is wrong and how one is written; where users and rates are mixed; where all
    /// rates are 0.
    pub fn parse(text: &str) -> Result<Stages, NotUnderstood> {
        let is_rate = |stage: &&str| stage.split(':').next().is_some_and(|rate| rate.contains('/'));
        let parts = || text.split(',').map(str::trim);
        let Some(rate) = parts().find(is_rate) else {
            return Stage::parse_list(text).map(Stages::Users);
        };
        if let Some(users) = parts().find(|stage| !is_rate(stage)) {
            return Err(NotUnderstood(format!(
                "`{}` has a rate, and `{}` has none: give every stage a rate, as in `50/s:1m` (open \
                 load), or a number of users, as in `50u:1m` (closed load)",
                rate.escape_debug(),
                users.escape_debug()
            )));
        }
        let stages: Vec<RateStage> = parts().map(str::parse).collect::<Result<_, _>>()?;
        if stages.iter().all(|stage| stage.rate.per_second <= 0.0) {
            return Err(NotUnderstood("at rates of 0 nothing ever happens".to_owned()));
        }
        Ok(Stages::Rates(stages))
    }
}
