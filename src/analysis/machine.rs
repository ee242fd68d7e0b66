//! From what a machine is to what it means for gander's figures, and the command that mends it.
//!
//! Nothing is looked at here: the same facts give the same findings.

mod access;
mod network;
mod processors;

use serde::Serialize;

use crate::measure::machine::{Machine, Reports};

/// Open files that gander itself needs, besides one for each connection.
const OWN_FILES: u64 = 64;
/// Threads that gander and a small target need.
const FEW_THREADS: u64 = 64;
/// Timers this late or later shift arrivals by more than the millisecond that gander promises.
const LATE_US: f64 = 1_000.0;
/// A journal is synced each second; where that takes longer than this, seconds run into each other.
const SLOW_SYNC_MS: f64 = 250.0;
/// A run of hours writes some tens of megabytes.
const LITTLE_SPACE: u64 = 1 << 30;
/// Without this, no run ends with its report.
const NO_SPACE: u64 = 16 << 20;
/// Distributions of many steps over a long run take up to a few hundred megabytes.
const LITTLE_MEMORY: u64 = 512 << 20;

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What it means for gander's figures.
    pub means: String,
    /// The command that mends it; `None` where nothing is to be mended, or nothing can be.
    pub mend: Option<String>,
}

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Good,
    /// Some things cannot be measured, or less well; also where it could not be found out.
    Limits,
    /// Not there.
    Missing,
    /// gander cannot measure at all.
    Prevents,
}

impl State {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            State::Good => "good",
            State::Limits => "limits you",
            State::Missing => "missing",
            State::Prevents => "prevents",
        }
    }
}

impl Finding {
    fn new(
        check: &'static str,
        state: State,
        found: impl Into<String>,
        means: impl Into<String>,
    ) -> Finding {
        Finding { check, state, found: found.into(), means: means.into(), mend: None }
    }

    fn good(check: &'static str, found: impl Into<String>, means: impl Into<String>) -> Finding {
        Finding::new(check, State::Good, found, means)
    }

    fn limits(check: &'static str, found: impl Into<String>, means: impl Into<String>) -> Finding {
        Finding::new(check, State::Limits, found, means)
    }

    fn unknown(check: &'static str, means: impl Into<String>) -> Finding {
        Finding::limits(check, "could not be found out", means)
    }

    fn mended_by(mut self, command: impl Into<String>) -> Finding {
        self.mend = Some(command.into());
        self
    }
}

/// What `machine` means for gander's figures, in the order of a report.
pub fn judge(machine: &Machine) -> Vec<Finding> {
    vec![
        processors::cores(machine),
        processors::busy(machine),
        processors::frequency(machine),
        processors::stolen(machine),
        memory(machine),
        groups(machine),
        network::files(machine.files),
        network::ports(&machine.network),
        network::backlog(&machine.network),
        network::loopback(&machine.network),
        network::loopback_of_six(&machine.network),
        clock(machine),
        timers(machine),
        disk(&machine.reports),
        access::perf(&machine.perf, &machine.access),
        access::counters(&machine.perf, machine.processors.is_guest),
        access::ptrace(&machine.access),
        access::py_spy(&machine.access),
        access::others(&machine.access),
    ]
}

fn memory(machine: &Machine) -> Finding {
    let check = "Memory";
    let (Some(available), Some(total)) = (machine.memory.available, machine.memory.total) else {
        return Finding::unknown(check, "whether a long run fits is not known");
    };
    let found = format!("{} MiB available of {}", available >> 20, total >> 20);
    match available < LITTLE_MEMORY {
        true => Finding::limits(
            check,
            found,
            "long runs of many steps, and a target beside them, may not fit",
        )
        .mended_by("ps --sort=-rss -eo pid,rss,comm | head   # what holds it"),
        false => Finding::good(check, found, "long runs fit"),
    }
}

fn groups(machine: &Machine) -> Finding {
    let check = "Control group";
    let Some(limits) = machine.groups else {
        return Finding::unknown(
            check,
            "whether processors, memory or threads are limited is not known",
        );
    };
    let found = [
        limits.cpus.map(|cpus| format!("{cpus:.2} processors")),
        limits.memory_bytes.map(|bytes| format!("{} MiB of memory", bytes >> 20)),
        limits.threads.map(|threads| format!("{threads} threads")),
    ];
    let found: Vec<String> = found.into_iter().flatten().collect();
    // What gander may use reflects the limit already: only the machine's own number shows that there is
    // one.
    let cpus = limits
        .cpus
        .filter(|cpus| machine.processors.online.is_none_or(|online| *cpus < online as f64));
    let memory = limits.memory_bytes.filter(|bytes| *bytes < LITTLE_MEMORY);
    let threads = limits.threads.filter(|threads| *threads < FEW_THREADS);
    let tight = [
        cpus.map(|_| {
            "at its limit of processors the group is stopped for up to 100 ms at a time, which looks like latency"
        }),
        memory.map(|_| "beyond its limit of memory a process of the group is killed"),
        threads.map(|_| "at its limit of threads none can be started: gander or its target fails"),
    ];
    let tight: Vec<&str> = tight.into_iter().flatten().collect();
    match (found.is_empty(), tight.is_empty()) {
        (true, _) => Finding::good(check, "no limits", "nothing is held back"),
        (_, true) => Finding::good(check, found.join(", "), "above what gander needs"),
        (_, false) => {
            let options = [
                cpus.map(|_| "--cpus 0"),
                memory.map(|_| "--memory 0"),
                threads.map(|_| "--pids-limit -1"),
            ];
            let options: Vec<&str> = options.into_iter().flatten().collect();
            Finding::limits(check, found.join(", "), tight.join("; ")).mended_by(format!(
                "docker run {} …   # or raise resources.limits of the pod",
                options.join(" ")
            ))
        }
    }
}

fn clock(machine: &Machine) -> Finding {
    let check = "Clock";
    let clock = &machine.clock;
    let source = clock.source.as_deref().unwrap_or("unknown source");
    let step =
        clock.step_ns.map_or("step not measured".to_owned(), |ns| format!("steps of {ns} ns"));
    let cost = clock.reading_ns.map_or(String::new(), |ns| format!(", {ns:.0} ns a reading"));
    let found = format!("{source}, {step}{cost}");
    if clock.backward > 0 {
        return Finding::new(
            check,
            State::Prevents,
            format!("{found}; went backward {} times", clock.backward),
            "no time that is measured can be trusted",
        )
        .mended_by(
            "echo hpet | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource",
        );
    }
    match (clock.step_ns, clock.reading_ns) {
        (Some(step), Some(cost)) if step <= 1_000 && cost < 500.0 => {
            Finding::good(check, found, "never went backward; far finer than any latency")
        }
        (None, _) | (_, None) => Finding::unknown(check, "how fine times are is not known"),
        _ => Finding::limits(check, found, "reading the clock costs, and times are coarse")
            .mended_by("echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource"),
    }
}

fn timers(machine: &Machine) -> Finding {
    let check = "Timers";
    let Some(late) = machine.clock.timer else {
        return Finding::limits(
            check,
            "not measured",
            "the system gives no precise timers: open load is paced to a millisecond",
        );
    };
    let found = format!(
        "{:.0} us late (median), {:.0} us at worst of {}",
        late.p50_us, late.max_us, late.timers
    );
    match (late.p50_us < LATE_US, late.max_us < LATE_US) {
        (true, true) => {
            Finding::good(check, found, "arrivals of open load leave when they are due")
        }
        (true, false) => Finding::limits(
            check,
            found,
            "single arrivals leave late; the lag is in every report, and other work is the usual cause",
        ),
        (false, _) => Finding::limits(
            check,
            found,
            "arrivals leave late as a rule: runs may be invalid, because of other work or a busy host",
        ),
    }
}

fn disk(reports: &Reports) -> Finding {
    let check = "Run folders";
    let path = &reports.path;
    let free = match reports.free_bytes {
        Some(bytes) => format!("{} MiB free", bytes >> 20),
        None => "free space unknown".to_owned(),
    };
    match &reports.sync_ms {
        None => {
            Finding::unknown(check, format!("{path}: whether it can be written to is not known"))
        }
        Some(Err(why)) => Finding::new(
            check,
            State::Prevents,
            format!("{path}: {why}"),
            "nothing that is measured could be kept",
        )
        .mended_by("gander … --reports DIR   # a folder that you may write to"),
        Some(Ok(_)) if reports.free_bytes.is_some_and(|free| free < NO_SPACE) => Finding::new(
            check,
            State::Prevents,
            format!("{path}: {free}"),
            "no run would end with its report",
        )
        .mended_by("gander … --reports DIR   # a folder on a disk with room"),
        Some(Ok(ms)) => {
            let found = format!("{path}: {free}, {ms:.1} ms to write and sync");
            if *ms > SLOW_SYNC_MS {
                let means = "a second's record takes a good part of the next second to keep";
                return Finding::limits(check, found, means)
                    .mended_by("gander … --reports DIR   # a folder on a faster disk");
            }
            if reports.free_bytes.is_some_and(|free| free < LITTLE_SPACE) {
                return Finding::limits(
                    check,
                    found,
                    "enough for short runs; a soak of days may not fit",
                )
                .mended_by("gander … --reports DIR   # a folder on a disk with room");
            }
            Finding::good(check, found, "each second of a run is safe within that time")
        }
    }
}
