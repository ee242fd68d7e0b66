//! Load models as values: how many users when, or when iterations are due. Pure: no clock, no
//! runtime.

mod closed;
mod durations;
mod open;
mod rate;
mod recorded;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use closed::{ClosedLoad, Stage};
pub use durations::{parse_duration, show_duration};
pub use open::{Arrivals, OpenLoad, Recorded, Spread};
pub use rate::{Rate, RateSpan, RateStage, Stages};

/// What is wrong with a written duration or stage, and how it is written right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotUnderstood(String);

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
