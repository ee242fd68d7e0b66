//! Closed load: how many users when.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{NotUnderstood, parse_duration, show_duration};

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

/// Rounded.
fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs_f64().round() as u64)
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

    /// The stages that lie ahead once the time `passed` is over: of the one under way its users at that
    /// moment, at once, and its rest. Their times are whole seconds, as those of stages are, so that they
    /// may begin up to half a second early or late. A load of one stage that has ramped up has one stage
    /// again; one that is over keeps its last users.
    pub fn stages_after(&self, passed: Duration) -> Vec<Stage> {
        if passed.is_zero() {
            return self.stages.clone();
        }
        let mut ahead = Vec::new();
        let (mut begin, mut before) = (Duration::ZERO, None);
        for stage in &self.stages {
            let (ramped, over) = (begin + stage.ramp, begin + stage.ramp + stage.hold);
            let now = Stage { users: stage.users, ramp: Duration::ZERO, hold: Duration::ZERO };
            match () {
                () if begin >= passed => {
                    // It begins at this very moment, with the users of the one before.
                    ahead.extend(before.filter(|_| ahead.is_empty()));
                    ahead.push(*stage);
                }
                () if ramped > passed => {
                    let users = self.users_at(passed);
                    ahead.extend((users > 0).then_some(Stage { users, ..now }));
                    ahead.push(Stage { ramp: whole_seconds(ramped - passed), ..*stage });
                }
                () if over > passed => {
                    ahead.push(Stage { hold: whole_seconds(over - passed), ..now });
                }
                () => {}
            }
            (begin, before) = (over, Some(now));
        }
        if ahead.is_empty() {
            let last = self.stages.last().map(|stage| Stage { ramp: Duration::ZERO, ..*stage });
            ahead.extend(last);
        }
        ahead
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_lies_ahead_has_the_users_that_were_planned(
            parts in prop::collection::vec((1..90_u32, 0..9_u64, 0..9_u64), 1..5),
            passed in 0..70_u64,
        ) {
            let seconds = Duration::from_secs;
            let stage = |(users, ramp, hold)| Stage { users, ramp: seconds(ramp), hold: seconds(hold + 1) };
            let load = |stages| ClosedLoad {
                stages,
                warm_up: Duration::ZERO,
                cool_down: Duration::ZERO,
                iterations: None,
                drain: Duration::ZERO,
            };
            let whole = load(parts.into_iter().map(stage).collect());
            let ahead = load(whole.stages_after(seconds(passed)));
            for second in 0..70 {
                let (planned, had) = (whole.users_at(seconds(passed + second)), ahead.users_at(seconds(second)));
                // A ramp begins with a whole number of users.
                prop_assert!(planned.abs_diff(had) <= 1, "{planned} and {had}: {ahead:?}");
            }
        }

        #[test]
        fn what_lies_ahead_is_in_whole_seconds(passed_ms in 1..20_000_u64) {
            let stages = Stage::parse_list("10u:3s,50u:4s/5s,20u:2s/2s").expect("stages");
            let load = ClosedLoad {
                stages,
                warm_up: Duration::ZERO,
                cool_down: Duration::ZERO,
                iterations: None,
                drain: Duration::ZERO,
            };
            for stage in load.stages_after(Duration::from_millis(passed_ms)) {
                prop_assert_eq!(stage.ramp.subsec_nanos() + stage.hold.subsec_nanos(), 0);
            }
        }
    }
}
