//! What a machine is and allows, as far as it decides which figures can be measured on it.
//!
//! What could not be found out is `None`: it is said to be unknown, and never taken for good or bad.

use serde::Serialize;

use super::resource::Limits;

/// What is said of a program that had to be ended.
pub const DID_NOT_END: &str = "it did not end within 10 s";

/// Everything that `gander doctor` looks at.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Machine {
    /// Processors and what else keeps them busy.
    pub processors: Processors,
    /// Memory of the machine.
    pub memory: Memory,
    /// Limits of the control groups that gander runs in; `None` where they cannot be seen.
    pub groups: Option<Limits>,
    /// Open files that a process may have.
    pub files: Option<Files>,
    /// What the network stack allows.
    pub network: Network,
    /// The clock, and how well timers keep to it.
    pub clock: ClockFacts,
    /// The folder for run folders.
    pub reports: Reports,
    /// perf.
    pub perf: Perf,
    /// Who may look into other processes.
    pub access: Access,
}

/// Processors.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Processors {
    /// How many gander may use, by its affinity and its control group.
    pub usable: usize,
    /// How many the machine has; `None` where the kernel does not say.
    pub online: Option<usize>,
    /// What decides on their frequency; `None` where the system does not let it be seen.
    pub governor: Option<String>,
    /// Whether they may run faster than their rated frequency for a while.
    pub boost: Option<Boost>,
    /// Whether the machine is a guest of another.
    pub is_guest: Option<bool>,
    /// Processors kept busy over the time looked at, gander not counted.
    pub busy: Option<f64>,
    /// Those that keep most busy: name, process, processors.
    pub busiest: Vec<Busy>,
    /// Time that a hypervisor gave to others while the guest wanted it, as a share (0 to 1).
    pub stolen: Option<f64>,
}

/// A switch of the kernel by which processors may run faster than their rated frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Boost {
    /// Whether they may.
    pub is_on: bool,
    /// Which it is.
    pub switch: BoostSwitch,
}

/// Where the switch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BoostSwitch {
    /// `cpufreq/boost`: 0 is off.
    Cpufreq,
    /// `intel_pstate/no_turbo`: 1 is off.
    IntelPstate,
}

/// A process that keeps processors busy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Busy {
    /// Its name.
    pub name: String,
    /// Its id.
    pub pid: u32,
    /// How many processors it keeps busy.
    pub processors: f64,
}

/// Memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Memory {
    /// All of it.
    pub total: Option<u64>,
    /// What can be had without swapping.
    pub available: Option<u64>,
}

/// Open files that a process may have; `None` for any number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Files {
    /// As it starts.
    pub soft: Option<u64>,
    /// As far as it may raise that itself, which gander does.
    pub hard: Option<u64>,
}

/// What the network stack allows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Network {
    /// First and last port that the system gives to outgoing connections.
    pub ports: Option<(u16, u16)>,
    /// `tcp_tw_reuse`: 0 never, 1 always, 2 on loopback.
    pub reuses_waiting: Option<u8>,
    /// Longest queue of connections that a service has not accepted.
    pub backlog: Option<u32>,
    /// Whether `127.0.0.1` can be listened on.
    pub ipv4_loopback: bool,
    /// Whether `::1` can be listened on.
    pub ipv6_loopback: bool,
}

/// The clock.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ClockFacts {
    /// What the kernel reads, such as `tsc`.
    pub source: Option<String>,
    /// Smallest step seen between two readings that differ, in nanoseconds.
    pub step_ns: Option<u64>,
    /// Mean cost of one reading, in nanoseconds.
    pub reading_ns: Option<f64>,
    /// Readings that were earlier than the one before.
    pub backward: u32,
    /// How late the timers are that arrivals of open load wait on.
    pub timer: Option<Lateness>,
}

/// How late timers were, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Lateness {
    /// Half of them were not later.
    pub p50_us: f64,
    /// The worst.
    pub max_us: f64,
    /// How many were set.
    pub timers: u32,
}

/// The folder for run folders.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Reports {
    /// Its path as given.
    pub path: String,
    /// Bytes that may still be written.
    pub free_bytes: Option<u64>,
    /// Median time in which 64 KiB were written and on the disk, in milliseconds; or why they could
    /// not be.
    pub sync_ms: Option<Result<f64, String>>,
}

/// perf.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Perf {
    /// Its version; `None` where the command is not there.
    pub version: Option<String>,
    /// `perf_event_paranoid`.
    pub paranoid: Option<i32>,
    /// Samples of a short record of gander itself at 99 a second, or what perf said instead.
    pub record: Option<Result<u64, String>>,
    /// Whether the processor's own counters (cycles, cache misses) can be had.
    pub hardware_counters: Option<bool>,
}

/// Who may look into other processes.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Access {
    /// Whether gander runs as root.
    pub is_root: bool,
    /// Whether it has `CAP_SYS_PTRACE`.
    pub may_trace: Option<bool>,
    /// `ptrace_scope` of Yama; `None` where the kernel has no Yama, which restricts nothing.
    pub ptrace_scope: Option<u8>,
    /// Version of py-spy; `None` where the command is not there.
    pub py_spy: Option<String>,
    /// Processes of others whose files could be read, and how many there are.
    pub readable: Option<(usize, usize)>,
}
