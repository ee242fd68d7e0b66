//! CPU, memory, threads, files and sockets of a process tree.

use std::collections::{BTreeMap, BTreeSet};

use procfs::process::{FDTarget, Process};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::measure::resource::{Observed, ResourceSample};
use crate::measure::sample::Offset;
use crate::measure::summary::ms;

use super::lag::TimerLag;

/// Looks at a process and, if asked, at everything it started.
#[derive(Debug)]
pub struct Observer {
    who: Observed,
    root: u32,
    with_children: bool,
    /// None where this system shows no processes: then nothing is measured.
    system: Option<System>,
    /// CPU seconds last seen of every process, the ended ones included: the sum never falls.
    cpu_seconds: BTreeMap<u32, f64>,
    timer_lag: Option<TimerLag>,
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
        let (system, cpu_seconds) = (System::new().ok(), BTreeMap::new());
        Observer { who, root, with_children, system, cpu_seconds, timer_lag: None }
    }

    /// The same observer, which also says how late the timers of `gauge` were between its looks.
    pub fn with_timer_lag(mut self, gauge: TimerLag) -> Self {
        self.timer_lag = Some(gauge);
        self
    }

    /// What the tree uses now. `None` for what the system does not let us see.
    pub fn sample(&mut self, at: Offset) -> ResourceSample {
        let pids = if self.with_children { tree(self.root) } else { BTreeSet::from([self.root]) };
        let seen = self.look_at(&pids);
        for (pid, process) in &seen {
            self.cpu_seconds.insert(*pid, process.cpu_seconds);
        }
        let is_there = !seen.is_empty();
        let counts: Vec<Option<Counts>> = pids.iter().map(|pid| Counts::of(*pid)).collect();
        let sum = |count: fn(&Counts) -> Option<u32>| -> Option<u32> {
            let known = counts.iter().flatten().map(count);
            is_there.then(|| known.sum::<Option<u32>>()).flatten()
        };
        ResourceSample {
            at,
            who: self.who,
            cpu_seconds: is_there.then(|| self.cpu_seconds.values().sum()),
            rss_bytes: is_there.then(|| seen.values().map(|process| process.rss_bytes).sum()),
            processes: is_there.then_some(seen.len() as u32),
            threads: sum(|counts| counts.threads),
            open_files: sum(|counts| counts.open_files),
            sockets: sum(|counts| counts.sockets),
            timer_lag_max_ms: self.timer_lag.as_ref().and_then(TimerLag::take).map(ms),
        }
    }

    /// Those of `pids` that are there.
    fn look_at(&mut self, pids: &BTreeSet<u32>) -> BTreeMap<u32, Used> {
        let Some(system) = &mut self.system else { return BTreeMap::new() };
        let wanted: Vec<Pid> = pids.iter().map(|pid| Pid::from_u32(*pid)).collect();
        system.refresh_processes_specifics(
            ProcessesToUpdate::Some(&wanted),
            true,
            ProcessRefreshKind::nothing().with_memory().with_cpu().without_tasks(),
        );
        let used = |process: &sysinfo::Process| Used {
            cpu_seconds: process.accumulated_cpu_time() as f64 / 1000.0,
            rss_bytes: process.memory(),
        };
        pids.iter()
            .filter_map(|pid| Some((*pid, used(system.process(Pid::from_u32(*pid))?))))
            .collect()
    }
}

/// What one process used.
struct Used {
    cpu_seconds: f64,
    rss_bytes: u64,
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

/// What only the system's process files tell.
struct Counts {
    threads: Option<u32>,
    open_files: Option<u32>,
    sockets: Option<u32>,
}

impl Counts {
    fn of(pid: u32) -> Option<Counts> {
        let process = Process::new(pid as i32).ok()?;
        let threads = process.stat().ok().and_then(|stat| u32::try_from(stat.num_threads).ok());
        let Ok(files) = process.fd() else {
            return Some(Counts { threads, open_files: None, sockets: None });
        };
        let (mut open_files, mut sockets) = (0, 0);
        for file in files.flatten() {
            open_files += 1;
            sockets += u32::from(matches!(file.target, FDTarget::Socket(_)));
        }
        Some(Counts { threads, open_files: Some(open_files), sockets: Some(sockets) })
    }
}
