//! CPU, memory, threads, files and sockets of a process tree.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use procfs::process::{FDTarget, LimitValue, Process, Status};
use rustix::time::{ClockId, clock_gettime};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::measure::resource::{Detail, Limits, Observed, ResourceSample};
use crate::measure::sample::Offset;
use crate::measure::summary::ms;

use super::cgroup::Groups;
use super::cpu::{CpuTime, Used};
use super::lag::TimerLag;
use super::tcp;
use super::threads::Threads;

/// From one detail to the next. Looks a second apart, of which one came a little early, each have
/// theirs.
const DETAIL_EVERY: Duration = Duration::from_millis(900);

/// Looks at a process and, if asked, at everything it started.
#[derive(Debug)]
pub struct Observer {
    who: Observed,
    root: u32,
    with_children: bool,
    /// None where this system shows no processes: then nothing is measured.
    system: Option<System>,
    cpu_time: CpuTime,
    timer_lag: Option<TimerLag>,
    /// When the last detail was taken.
    detailed: Option<Offset>,
    threads: Threads,
    /// `None` before the first look, and where there are none.
    groups: Option<Groups>,
}

impl Observer {
    /// Watches the tree below `root`.
    pub fn tree(who: Observed, root: u32) -> Self {
        Observer::new(who, root, true)
    }

    /// Watches this process alone: what it started is the target's.
    pub fn this_process() -> Self {
        Observer::new(Observed::Generator, std::process::id(), false)
    }

    fn new(who: Observed, root: u32, with_children: bool) -> Self {
        Observer {
            who,
            root,
            with_children,
            system: System::new().ok(),
            cpu_time: CpuTime::default(),
            timer_lag: None,
            detailed: None,
            threads: Threads::default(),
            groups: None,
        }
    }

    /// The same observer, which also says how late the timers of `gauge` were between its looks.
    pub fn with_timer_lag(mut self, gauge: TimerLag) -> Self {
        self.timer_lag = Some(gauge);
        self
    }

    /// What the tree uses now. `None` for what the system does not let us see.
    pub fn sample(&mut self, at: Offset) -> ResourceSample {
        let before = thread_cpu();
        let pids = if self.with_children { tree(self.root) } else { BTreeSet::from([self.root]) };
        let seen = self.look_at(&pids);
        let mut sample = ResourceSample {
            timer_lag_max_ms: self.timer_lag.as_ref().and_then(TimerLag::take).map(ms),
            ..ResourceSample::nothing(at, self.who)
        };
        if seen.is_empty() {
            return sample;
        }
        let counts: BTreeMap<u32, Counts> =
            seen.keys().filter_map(|pid| Some((*pid, Counts::of(*pid)?))).collect();
        let files: Option<Vec<&Files>> = counts.values().map(|c| c.files.as_ref()).collect();
        let used = counts.iter().filter_map(|(pid, counts)| Some((*pid, counts.used?)));
        // What this process alone started is the target's, and so is what it used.
        let of = |used: Used| match self.with_children {
            true => used,
            false => Used { inherited: 0.0, ..used },
        };
        let used = used.map(|(pid, used)| (pid, of(used))).collect();
        sample.cpu_seconds = Some(self.cpu_time.add(&used, is_alive));
        sample.rss_bytes = Some(seen.values().sum());
        sample.processes = Some(seen.len() as u32);
        sample.threads = counts.values().map(|counts| counts.threads).sum();
        sample.open_files = files.as_ref().map(|files| files.iter().map(|f| f.open).sum());
        // Processes that were forked share sockets: each counts once.
        let sockets: Option<BTreeSet<u64>> =
            files.map(|files| files.iter().flat_map(|f| f.sockets.iter().copied()).collect());
        sample.sockets = sockets.as_ref().map(|inodes| inodes.len() as u32);
        if self.detailed.is_none() {
            self.groups = Groups::of(self.root);
            sample.limits = limits(self.root, self.groups.as_ref());
        }
        if self.detailed.is_none_or(|last| at.since(last) >= DETAIL_EVERY) {
            self.detailed = Some(at);
            sample.detail = Some(self.detail(at, &seen, sockets.as_ref()));
        }
        let cost = thread_cpu().saturating_sub(before);
        sample.cost_us = u64::try_from(cost.as_micros()).ok();
        sample
    }

    fn detail(
        &mut self,
        at: Offset,
        seen: &BTreeMap<u32, u64>,
        sockets: Option<&BTreeSet<u64>>,
    ) -> Detail {
        let threads = self.threads.look(at, seen.keys().copied());
        Detail {
            pss_bytes: seen.keys().map(|pid| pss(*pid)).sum(),
            runnable_seconds: threads.map(|seen| seen.runnable_seconds),
            busiest_thread: threads.and_then(|seen| seen.busiest),
            voluntary_switches: threads.map(|seen| seen.voluntary_switches),
            involuntary_switches: threads.map(|seen| seen.involuntary_switches),
            tcp: sockets.and_then(|inodes| tcp::states(self.root, inodes)),
            throttled_seconds: self.groups.as_ref().and_then(Groups::throttled_seconds),
        }
    }

    /// Those of `pids` that are there, and their resident memory in bytes.
    fn look_at(&mut self, pids: &BTreeSet<u32>) -> BTreeMap<u32, u64> {
        let Some(system) = &mut self.system else { return BTreeMap::new() };
        let wanted: Vec<Pid> = pids.iter().map(|pid| Pid::from_u32(*pid)).collect();
        system.refresh_processes_specifics(
            ProcessesToUpdate::Some(&wanted),
            true,
            ProcessRefreshKind::nothing().with_memory().without_tasks(),
        );
        pids.iter()
            .filter_map(|pid| Some((*pid, system.process(Pid::from_u32(*pid))?.memory())))
            .collect()
    }
}

/// Processor time of the process `pid` by its own clock, which counts nanoseconds, where `/proc` counts
/// hundredths of a second: of a service that works for 1% of the time, a few seconds have only a few of
/// these. `None` where the system does not show the clock.
fn exact_seconds(pid: i32) -> Option<f64> {
    let clock = nix::time::clock_getcpuclockid(nix::unistd::Pid::from_raw(pid)).ok()?;
    let time = nix::time::clock_gettime(clock).ok()?;
    Some(time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

/// Whether the process `pid` that began at `started` is still there.
fn is_alive(pid: u32, started: u64) -> bool {
    let stat = Process::new(pid as i32).and_then(|process| process.stat());
    stat.is_ok_and(|stat| stat.starttime == started)
}

/// `root` and everything below it that can be seen.
pub fn tree(root: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([root]);
    let mut unvisited = vec![root];
    while let Some(pid) = unvisited.pop() {
        for child in children(pid) {
            if found.insert(child) {
                unvisited.push(child);
            }
        }
    }
    found
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = Process::new(pid as i32).and_then(|process| process.tasks()) else {
        return Vec::new();
    };
    tasks.flatten().filter_map(|task| task.children().ok()).flatten().collect()
}

/// CPU time of this thread.
fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Proportional set size in bytes. About a millisecond for a process; another user's may not be read.
fn pss(pid: u32) -> Option<u64> {
    let rollup = Process::new(pid as i32).and_then(|process| process.smaps_rollup()).ok()?;
    rollup.memory_map_rollup.0.first()?.extension.map.get("Pss").copied()
}

/// Those of the control groups, and those of the process itself; `None` where neither can be read.
fn limits(pid: u32, groups: Option<&Groups>) -> Option<Limits> {
    let process = Process::new(pid as i32).ok();
    let own = process.as_ref().and_then(|process| process.limits().ok());
    let affinity = process.as_ref().and_then(|process| allowed(process.status().ok()?));
    if own.is_none() && affinity.is_none() && groups.is_none() {
        return None;
    }
    let open_files = own.and_then(|limits| match limits.max_open_files.soft_limit {
        LimitValue::Value(most) => Some(most),
        LimitValue::Unlimited => None,
    });
    Some(Limits { open_files, affinity, ..groups.map(Groups::limits).unwrap_or_default() })
}

/// Processors that a process may run on, by its affinity.
fn allowed(status: Status) -> Option<u32> {
    let words = status.cpus_allowed?;
    Some(words.iter().map(|word| word.count_ones()).sum())
}

/// What only the system's process files tell.
struct Counts {
    /// CPU time.
    used: Option<Used>,
    threads: Option<u32>,
    /// None of another user's process.
    files: Option<Files>,
}

/// Open file descriptors.
struct Files {
    open: u32,
    /// Inodes of those that are sockets.
    sockets: Vec<u64>,
}

impl Counts {
    fn of(pid: u32) -> Option<Counts> {
        let process = Process::new(pid as i32).ok()?;
        let stat = process.stat().ok();
        let threads = stat.as_ref().and_then(|stat| u32::try_from(stat.num_threads).ok());
        let ticks = procfs::ticks_per_second() as f64;
        let used = stat.as_ref().map(|stat| Used {
            started: stat.starttime,
            parent: stat.ppid.cast_unsigned(),
            own: exact_seconds(stat.pid).unwrap_or((stat.utime + stat.stime) as f64 / ticks),
            inherited: stat.cutime.saturating_add(stat.cstime).max(0) as f64 / ticks,
        });
        let files = process.fd().ok().map(|files| {
            let (mut open, mut sockets) = (0, Vec::new());
            for file in files.flatten() {
                open += 1;
                if let FDTarget::Socket(inode) = file.target {
                    sockets.push(inode);
                }
            }
            Files { open, sockets }
        });
        Some(Counts { used, threads, files })
    }
}
