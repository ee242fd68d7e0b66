//! Load models as values: how many users when. Pure: no clock, no runtime.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of users that is reached within `ramp` and then kept for `hold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Users at the end of the ramp.
    pub users: u32,
    /// Time in which the users are added or taken away, evenly.
    pub ramp: Duration,
    /// Time for which they stay.
    pub hold: Duration,
}

/// What is wrong with a written duration or stage, and how it is written right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotUnderstood(String);

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

impl Stage {
    /// Reads stages as `--stages` takes them, parted by commas: `10u:30s,50u:1m/20s` is 10 users at
    /// once for 30 s, then 50 users for a minute, reached evenly within the 20 s before that minute
    /// begins (so that these two stages take 1 m 50 s).
    ///
    /// # Errors
    ///
    /// Says which stage is wrong, and how one is written.
    pub fn parse_list(text: &str) -> Result<Vec<Stage>, NotUnderstood> {
        text.split(',').map(|stage| stage.trim().parse()).collect()
    }
}

impl FromStr for Stage {
    type Err = NotUnderstood;

    fn from_str(text: &str) -> Result<Stage, NotUnderstood> {
        let wrong = |why: String| {
            NotUnderstood(format!(
                "`{}` is not a stage: {why}; write `50u:1m` (50 users for a minute) or \
                 `50u:1m/20s` (reached within 20 s, then a minute)",
                text.escape_debug()
            ))
        };
        let (users, times) = text
            .split_once(':')
            .ok_or_else(|| wrong("a colon between users and time is missing".to_owned()))?;
        let users = users
            .trim()
            .strip_suffix('u')
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| wrong("the number of users ends in `u`, as in `50u`".to_owned()))?;
        if users == 0 {
            return Err(wrong("a stage has at least one user".to_owned()));
        }
        let (hold, ramp) = times.split_once('/').unwrap_or((times, "0"));
        let hold = parse_duration(hold).map_err(|error| wrong(error.0))?;
        let ramp = parse_duration(ramp).map_err(|error| wrong(error.0))?;
        // The driver of users counts the times of stages in whole seconds.
        if ramp.subsec_nanos() > 0 || hold.subsec_nanos() > 0 {
            return Err(wrong("the times of stages are whole seconds".to_owned()));
        }
        if (ramp + hold).is_zero() {
            return Err(wrong("it takes no time".to_owned()));
        }
        Ok(Stage { users, ramp, hold })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}u:{}", self.users, show_duration(self.hold))?;
        if self.ramp.is_zero() { Ok(()) } else { write!(f, "/{}", show_duration(self.ramp)) }
    }
}

/// Closed load: a number of users, each of which waits for its response before it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedLoad {
    /// Numbers of users over time, at least one stage.
    pub stages: Vec<Stage>,
    /// At the start, recorded apart.
    pub warm_up: Duration,
    /// At the end, recorded apart.
    pub cool_down: Duration,
    /// The run ends after this many iterations over all users, if that is before its time is over.
    pub iterations: Option<u64>,
    /// How long requests in flight may take to end once no more are started.
    pub drain: Duration,
}

impl ClosedLoad {
    /// From the first user to the end of the last stage.
    pub fn duration(&self) -> Duration {
        self.stages.iter().map(|stage| stage.ramp + stage.hold).sum()
    }

    /// The fewest users planned at any moment from `from` to `to` after the first user's start.
    pub fn fewest_users(&self, from: Duration, to: Duration) -> u32 {
        const STEP: Duration = Duration::from_millis(100);
        let mut fewest = self.users_at(to);
        let mut moment = from;
        while moment < to {
            fewest = fewest.min(self.users_at(moment));
            moment += STEP;
        }
        fewest
    }

    /// Users planned at `moment`, rounded down.
    fn users_at(&self, moment: Duration) -> u32 {
        let (mut before, mut begin) = (0, Duration::ZERO);
        for stage in &self.stages {
            let into = moment.saturating_sub(begin);
            if into < stage.ramp {
                let share = into.as_secs_f64() / stage.ramp.as_secs_f64();
                let change = (f64::from(stage.users) - f64::from(before)) * share;
                return (f64::from(before) + change).floor() as u32;
            }
            begin += stage.ramp + stage.hold;
            before = stage.users;
            if moment < begin {
                return stage.users;
            }
        }
        before
    }

    /// The most users of any stage.
    pub fn peak_users(&self) -> u32 {
        self.stages.iter().map(|stage| stage.users).max().unwrap_or(0)
    }
}

/// When iterations are due in the open model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Rates over time.
    Rates {
        /// At least one stage.
        stages: Vec<RateStage>,
        /// How arrivals are spread at a rate.
        spread: Spread,
    },
    /// At recorded moments.
    Recorded {
        /// Where they were read from, as given.
        file: String,
        /// Since the start, in rising order, at least one.
        moments: Vec<Duration>,
    },
}

/// A rate that is reached within `ramp`, changing evenly, and then kept for `hold`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RateStage {
    /// Iterations per second at the end of the ramp.
    pub rate: f64,
    /// Time in which the rate changes.
    pub ramp: Duration,
    /// Time for which it stays.
    pub hold: Duration,
}

/// How arrivals are spread at a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// Evenly: one after each 1/rate.
    #[default]
    Constant,
    /// Independently of each other: a Poisson process, drawn from the seed.
    Poisson,
}

/// Open load: iterations start when they are due, whether earlier ones have ended or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenLoad {
    /// When they are due.
    pub arrivals: Arrivals,
    /// From the first moment to the last, warm-up and cool-down included.
    pub duration: Duration,
    /// At the start, recorded apart.
    pub warm_up: Duration,
    /// At the end, recorded apart.
    pub cool_down: Duration,
    /// The run ends after this many iterations, if that is before its time is over.
    pub iterations: Option<u64>,
    /// Most iterations at the same time; what is due beyond them is dropped, and recorded as such.
    pub max_in_flight: u32,
    /// How long requests in flight may take to end once no more are started.
    pub drain: Duration,
}

/// How load is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadModel {
    /// Users that wait for their responses.
    Closed(ClosedLoad),
    /// Iterations that start when they are due.
    Open(OpenLoad),
}

impl LoadModel {
    /// `closed` or `open`.
    pub fn name(&self) -> &'static str {
        match self {
            LoadModel::Closed(_) => "closed",
            LoadModel::Open(_) => "open",
        }
    }

    /// From the start to the planned end.
    pub fn duration(&self) -> Duration {
        match self {
            LoadModel::Closed(load) => load.duration(),
            LoadModel::Open(load) => load.duration,
        }
    }

    /// At the start, recorded apart.
    pub fn warm_up(&self) -> Duration {
        match self {
            LoadModel::Closed(load) => load.warm_up,
            LoadModel::Open(load) => load.warm_up,
        }
    }

    /// At the end, recorded apart.
    pub fn cool_down(&self) -> Duration {
        match self {
            LoadModel::Closed(load) => load.cool_down,
            LoadModel::Open(load) => load.cool_down,
        }
    }

    /// How long requests in flight may take to end once no more are started.
    pub fn drain(&self) -> Duration {
        match self {
            LoadModel::Closed(load) => load.drain,
            LoadModel::Open(load) => load.drain,
        }
    }

    /// The run ends after this many iterations.
    pub fn iterations(&self) -> Option<u64> {
        match self {
            LoadModel::Closed(load) => load.iterations,
            LoadModel::Open(load) => load.iterations,
        }
    }

    /// The most iterations at the same time: users, or the cap.
    pub fn most_in_flight(&self) -> u32 {
        match self {
            LoadModel::Closed(load) => load.peak_users(),
            LoadModel::Open(load) => load.max_in_flight,
        }
    }
}
