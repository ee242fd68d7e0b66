//! What the threads of processes did: read a thread at a time, which costs more than the rest.

use std::collections::BTreeMap;
use std::fs::read_to_string;

use procfs::process::Process;

use crate::measure::sample::Offset;

/// Sums over all threads that were seen. They never fall: what a thread that ended had is kept.
#[derive(Debug, Default)]
pub struct Threads {
    /// The threads of the look before, by process and thread.
    before: Option<(Offset, BTreeMap<(u32, i32), Thread>)>,
    sums: Thread,
}

/// Totals of a thread since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Thread {
    cpu_ns: u64,
    run_delay_ns: u64,
    voluntary: u64,
    involuntary: u64,
}

/// What a look at all threads says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Time ready to run, but waiting for a processor, in seconds.
    pub runnable_seconds: f64,
    /// CPU time of the busiest thread over the time since the look before; `None` in the first.
    pub busiest: Option<f64>,
    /// Times that a thread gave the processor up.
    pub voluntary_switches: u64,
    /// Times that the processor was taken from one.
    pub involuntary_switches: u64,
}

impl Threads {
    /// Looks at all threads of `pids`; `None` where none can be seen.
    pub fn look(&mut self, at: Offset, pids: impl Iterator<Item = u32>) -> Option<Seen> {
        let now: BTreeMap<_, _> = pids.flat_map(threads).collect();
        self.update(at, now)
    }

    fn update(&mut self, at: Offset, now: BTreeMap<(u32, i32), Thread>) -> Option<Seen> {
        if now.is_empty() {
            return None;
        }
        let (before_at, before) = match &self.before {
            Some((at, threads)) => (Some(*at), threads),
            None => (None, &BTreeMap::new()),
        };
        let mut most_ns = 0;
        for (id, thread) in &now {
            // A number that is used again is a new thread, which starts at 0.
            let earlier = before.get(id).filter(|earlier| earlier.cpu_ns <= thread.cpu_ns);
            let earlier = earlier.copied().unwrap_or_default();
            let used = thread.cpu_ns - earlier.cpu_ns;
            most_ns = most_ns.max(used);
            self.sums.run_delay_ns += thread.run_delay_ns.saturating_sub(earlier.run_delay_ns);
            self.sums.voluntary += thread.voluntary.saturating_sub(earlier.voluntary);
            self.sums.involuntary += thread.involuntary.saturating_sub(earlier.involuntary);
        }
        let elapsed_ns = before_at.map(|before| at.since(before).as_nanos() as f64);
        self.before = Some((at, now));
        Some(Seen {
            runnable_seconds: self.sums.run_delay_ns as f64 / 1e9,
            busiest: elapsed_ns.filter(|ns| *ns > 0.0).map(|ns| most_ns as f64 / ns),
            voluntary_switches: self.sums.voluntary,
            involuntary_switches: self.sums.involuntary,
        })
    }
}

/// The threads of a process that can be read.
fn threads(pid: u32) -> Vec<((u32, i32), Thread)> {
    let tasks = Process::new(pid as i32).and_then(|process| process.tasks());
    let thread = |task: procfs::process::Task| {
        let schedule = task.schedstat().ok()?;
        let status = read_to_string(format!("/proc/{pid}/task/{}/status", task.tid)).ok()?;
        let (voluntary, involuntary) = switches(&status)?;
        Some((
            (pid, task.tid),
            Thread {
                cpu_ns: schedule.sum_exec_runtime,
                run_delay_ns: schedule.run_delay,
                voluntary,
                involuntary,
            },
        ))
    };
    tasks.into_iter().flatten().flatten().filter_map(thread).collect()
}

/// Voluntary and involuntary switches of `/proc/PID/task/TID/status`: its last two lines, so that
/// nothing else of the file has to be taken apart.
fn switches(status: &str) -> Option<(u64, u64)> {
    let of = |name: &str| {
        let line = status.lines().rev().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    Some((of("voluntary_ctxt_switches:")?, of("nonvoluntary_ctxt_switches:")?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn thread(cpu_ms: u64, waits: u64) -> Thread {
        let run_delay_ns = waits * 1_000_000_000;
        Thread { cpu_ns: cpu_ms * 1_000_000, run_delay_ns, voluntary: waits, involuntary: 1 }
    }

    #[test]
    fn sums_keep_what_ended_threads_had() {
        let at = |seconds| Offset::from(Duration::from_secs(seconds));
        let mut threads = Threads::default();
        let first = BTreeMap::from([((1, 1), thread(100, 2)), ((1, 2), thread(500, 3))]);
        let seen = threads.update(at(0), first).unwrap();
        assert_eq!((seen.runnable_seconds, seen.busiest, seen.voluntary_switches), (5.0, None, 5));
        // One ended, one went on, and one whose number was used before began.
        let second = BTreeMap::from([((1, 1), thread(600, 3)), ((1, 2), thread(200, 1))]);
        let seen = threads.update(at(2), second).unwrap();
        assert_eq!((seen.runnable_seconds, seen.voluntary_switches), (7.0, 7));
        assert_eq!(seen.busiest, Some(0.25), "500 ms in 2 s");
        assert_eq!(threads.update(at(3), BTreeMap::new()), None);
    }

    #[test]
    fn the_lines_of_switches_are_found() {
        let text = "Name:\tx\nvoluntary_ctxt_switches:\t15\nnonvoluntary_ctxt_switches:\t7\n";
        assert_eq!(switches(text), Some((15, 7)));
        assert_eq!(switches("Name:\tx\n"), None);
    }

    #[test]
    fn threads_of_this_process_are_seen() {
        let mut threads = Threads::default();
        let this = || [std::process::id()].into_iter();
        let first = threads.look(Offset(0), this()).expect("this process");
        std::thread::sleep(Duration::from_millis(5));
        let second = threads.look(Offset(5_000_000), this()).expect("this process");
        assert!(second.voluntary_switches > first.voluntary_switches, "it slept in between");
    }
}
