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
    /// CPU time since the processes started, in seconds, user and system, all threads; that of ended
    /// children included, as soon as their parents have waited for them.
    pub cpu_seconds: Option<f64>,
    /// Resident memory in bytes; pages shared between processes count for each.
    pub rss_bytes: Option<u64>,
    /// Processes in the tree.
    pub processes: Option<u32>,
    /// Threads.
    pub threads: Option<u32>,
    /// Open file descriptors.
    pub open_files: Option<u32>,
    /// Open sockets; one that several processes share counts once.
    pub sockets: Option<u32>,
    /// How late, at most, a timer on the generator's runtime fired since the look before, in
    /// milliseconds. Of the generator alone; runs of earlier versions do not have it.
    #[serde(default)]
    pub timer_lag_max_ms: Option<f64>,
    /// What is looked at once a second at most, for it costs more; `None` in looks between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
    /// Limits that the system sets for it: in the first look alone, for they seldom change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// CPU time of gander that this look took, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_us: Option<u64>,
}

impl ResourceSample {
    /// A look that saw nothing.
    pub fn nothing(at: Offset, who: Observed) -> Self {
        ResourceSample {
            at,
            who,
            cpu_seconds: None,
            rss_bytes: None,
            processes: None,
            threads: None,
            open_files: None,
            sockets: None,
            timer_lag_max_ms: None,
            detail: None,
            limits: None,
            cost_us: None,
        }
    }
}

/// What is looked at once a second at most. What could not be read is `None`, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Detail {
    /// Memory in bytes, where a page that several processes share counts in parts for each: the
    /// proportional set size of `smaps_rollup`.
    pub pss_bytes: Option<u64>,
    /// Time that threads were ready to run and waited for a processor, in seconds, since the
    /// processes started: the run delay of `schedstat`. It never falls; a thread that came and went
    /// between two looks is not in it.
    pub runnable_seconds: Option<f64>,
    /// CPU time of the busiest thread since the detail before, as a share of one processor.
    pub busiest_thread: Option<f64>,
    /// Times that threads gave the processor up, to wait. Counted as `runnable_seconds` is.
    pub voluntary_switches: Option<u64>,
    /// Times that the processor was taken from a thread.
    pub involuntary_switches: Option<u64>,
    /// Its TCP sockets by state.
    pub tcp: Option<TcpSockets>,
    /// Time in which its control group was not let run, for it had used up its share, in seconds,
    /// since the group was made.
    pub throttled_seconds: Option<f64>,
}

/// TCP sockets that processes hold, by state. A socket that waits after its end (TIME_WAIT) belongs
/// to no process any more, and is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TcpSockets {
    /// Connections.
    pub established: u32,
    /// Connections that the other side has closed and this side has not: the mark of a leak.
    pub close_wait: u32,
    /// Sockets that wait for connections.
    pub listening: u32,
    /// All others: being opened or closed.
    pub other: u32,
}

impl TcpSockets {
    /// The more of each state.
    pub fn most(self, other: TcpSockets) -> TcpSockets {
        TcpSockets {
            established: self.established.max(other.established),
            close_wait: self.close_wait.max(other.close_wait),
            listening: self.listening.max(other.listening),
            other: self.other.max(other.other),
        }
    }
}

/// What a process may use at most. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Processors: quota over period.
    pub cpus: Option<f64>,
    /// Processors that the scheduler may place it on; `None` in records of earlier versions.
    #[serde(default)]
    pub affinity: Option<u32>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Threads, of all processes together.
    pub threads: Option<u64>,
    /// Open files, of each process.
    pub open_files: Option<u64>,
}
