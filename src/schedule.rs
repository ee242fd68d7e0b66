//! Load models as values: how many users when. Pure: no clock, no runtime.

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

    /// The most users of any stage.
    pub fn peak_users(&self) -> u32 {
        self.stages.iter().map(|stage| stage.users).max().unwrap_or(0)
    }
}

/// How load is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadModel {
    /// Users that wait for their responses.
    Closed(ClosedLoad),
}
