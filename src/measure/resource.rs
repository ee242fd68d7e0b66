//! What a process tree used: one line of the resource series.

use serde::{Deserialize, Serialize};

use super::sample::Offset;

/// Whose resources these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    /// The target's process tree.
    Target,
    /// gander itself.
    Generator,
}

/// One look at a process tree. What could not be read is `None`, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ResourceSample {
    /// When.
    pub at: Offset,
    /// Whose.
    pub who: Observed,
    /// CPU time since the processes started, in seconds, user and system, all threads.
    pub cpu_seconds: Option<f64>,
    /// Resident memory in bytes; pages shared between processes count for each.
    pub rss_bytes: Option<u64>,
    /// Processes in the tree.
    pub processes: Option<u32>,
    /// Threads.
    pub threads: Option<u32>,
    /// Open file descriptors.
    pub open_files: Option<u32>,
    /// Open file descriptors that are sockets.
    pub sockets: Option<u32>,
    /// How late, at most, a timer on the generator's runtime fired since the look before, in
    /// milliseconds. Of the generator alone; runs of earlier versions do not have it.
    #[serde(default)]
    pub timer_lag_max_ms: Option<f64>,
}
