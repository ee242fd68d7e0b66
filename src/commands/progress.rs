//! What a person sees while a run goes on: a bar in a terminal, a plain line every few seconds
//! elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::flow::Halt;
use crate::measure::recorder::Recorder;
use crate::measure::sample::Offset;
use crate::observe::monitor::Snapshot;
use crate::plan::Stop;
use crate::report::format;
use crate::schedule::LoadModel;

/// Between two looks at the snapshot.
const LOOK: Duration = Duration::from_millis(100);
/// Snapshots (seconds) between two plain lines.
const PLAIN_EVERY: u64 = 5;

/// What tells that a run winds down: no more requests start, and those in flight may end.
#[derive(Debug)]
pub struct WindDown {
    /// Says when it begins.
    pub halt: Halt,
    /// The run's clock.
    pub clock: Clock,
    /// Knows what is in flight.
    pub recorder: Arc<Recorder>,
}

impl WindDown {
    /// Whether no more requests start.
    fn has_begun(&self) -> bool {
        self.halt.draining().is_some()
    }

    /// What is waited for, in words; `None` where nothing is.
    fn told(&self) -> Option<String> {
        let (stop, drain) = self.halt.draining()?;
        let in_flight = u64::try_from(self.recorder.in_flight()).ok().filter(|count| *count > 0)?;
        let why = match stop {
            Stop::Duration => "time is over",
            Stop::Iterations => "the iterations are done",
            Stop::Budget => "the budget is used up",
            Stop::Interrupted | Stop::Terminated => "interrupted",
            Stop::TargetEnded => "the target has ended",
            Stop::Failed => "the run failed",
        };
        let drain = format::duration(drain);
        let requests = format::counted(in_flight, "request", "requests");
        Some(format!("{why}; waiting up to {drain} for {requests} in flight"))
    }
}

/// Shows snapshots until it is told to stop.
#[derive(Debug)]
pub struct Progress {
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Progress {
    /// Begins to show `snapshots` of a run of `load`, and how it ends.
    pub fn start(
        mut snapshots: watch::Receiver<Snapshot>,
        load: &LoadModel,
        wind_down: WindDown,
    ) -> Progress {
        let (planned, iterations) = (load.duration(), load.iterations());
        // In open load there are no users.
        let active = match load {
            LoadModel::Closed(_) => "users",
            LoadModel::Open(_) => "in flight",
        };
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut view = View::new(planned, iterations);
            while !is_over.load(Ordering::Relaxed) {
                if let Some(told) = wind_down.told() {
                    view.wait(wind_down.clock.now(), told);
                } else if !wind_down.has_begun() && snapshots.has_changed().unwrap_or(false) {
                    view.show(&snapshots.borrow_and_update(), active);
                }
                std::thread::sleep(LOOK);
            }
            view.clear();
        });
        Progress { over, thread }
    }

    /// Stops, and leaves a clean line.
    pub fn finish(self) {
        self.over.store(true, Ordering::Relaxed);
        // A progress display that failed is no reason to fail the run.
        let _ = self.thread.join();
    }
}

enum View {
    /// The bar's length is in seconds, or in iterations.
    Bar { bar: ProgressBar, counts_iterations: bool },
    Lines {
        seconds: u64,
        /// Whether it was said that the run waits.
        has_waited: bool,
    },
}

impl View {
    fn new(planned: Duration, iterations: Option<u64>) -> View {
        if !std::io::stderr().is_terminal() {
            return View::Lines { seconds: 0, has_waited: false };
        }
        let bar = ProgressBar::new(iterations.unwrap_or(planned.as_secs()));
        let style = ProgressStyle::with_template("{elapsed} [{bar:24}] {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("=> "));
        View::Bar { bar, counts_iterations: iterations.is_some() }
    }

    fn show(&mut self, snapshot: &Snapshot, active: &str) {
        match self {
            View::Bar { bar, counts_iterations } => {
                let ledger = &snapshot.ledger;
                let done =
                    ledger.iterations_ok + ledger.iterations_failed + ledger.iterations_dropped;
                let seconds = snapshot.at.as_secs_f64() as u64;
                bar.set_position(if *counts_iterations { done } else { seconds });
                bar.set_message(line(snapshot, active));
            }
            View::Lines { seconds, .. } => {
                if *seconds % PLAIN_EVERY == 0 {
                    let at = snapshot.at.as_secs_f64();
                    // Standard error that is closed must not end the run.
                    let _ = writeln!(std::io::stderr(), "{at:>6.0} s  {}", line(snapshot, active));
                }
                *seconds += 1;
            }
        }
    }

    /// Says that no more requests start: figures of the last seconds would read as a target that has
    /// stopped answering.
    fn wait(&mut self, at: Offset, told: String) {
        match self {
            View::Bar { bar, .. } => bar.set_message(told),
            View::Lines { has_waited, .. } if !*has_waited => {
                *has_waited = true;
                let at = at.as_secs_f64();
                // Standard error that is closed must not end the run.
                let _ = writeln!(std::io::stderr(), "{at:>6.0} s  {told}");
            }
            View::Lines { .. } => {}
        }
    }

    fn clear(&self) {
        if let View::Bar { bar, .. } = self {
            bar.finish_and_clear();
        }
    }
}

fn line(snapshot: &Snapshot, active: &str) -> String {
    let failed = snapshot.ledger.failed();
    let latency = snapshot.latency.as_ref().map_or_else(
        || "no response yet".to_owned(),
        |latency| {
            let [p50, p95, p99] =
                [latency.p50_ms, latency.p95_ms, latency.p99_ms].map(format::millis);
            format!("p50 {p50}  p95 {p95}  p99 {p99} ms")
        },
    );
    let dropped = match snapshot.ledger.iterations_dropped {
        0 => String::new(),
        dropped => format!(" ({dropped} arrivals dropped)"),
    };
    let cpu = |processors: Option<f64>| {
        processors.map_or_else(|| "CPU ?".to_owned(), |n| format!("CPU {:.0}%", n * 100.0))
    };
    let memory =
        snapshot.target_rss.map_or_else(String::new, |rss| format!(" {}", format::bytes(rss)));
    let rows = snapshot
        .rows_per_second
        .map_or_else(String::new, |rate| format!("{} rows/s  ", format::rate(rate)));
    format!(
        "{} {active}  {rows}{:.1} RPS  {latency}  {failed} failed{dropped}  target {}{memory}  gander {}",
        snapshot.users,
        snapshot.rps,
        cpu(snapshot.target_cpu),
        cpu(snapshot.generator_cpu),
    )
}
