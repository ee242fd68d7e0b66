//! What a person sees while a run goes on: a bar in a terminal, a plain line every few seconds
//! elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

use crate::observe::monitor::Snapshot;
use crate::report::format;
use crate::schedule::LoadModel;

/// Between two looks at the snapshot.
const LOOK: Duration = Duration::from_millis(100);
/// Snapshots (seconds) between two plain lines.
const PLAIN_EVERY: u64 = 5;

/// Shows snapshots until it is told to stop.
#[derive(Debug)]
pub struct Progress {
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Progress {
    /// Begins to show `snapshots` of a run of `load`.
    pub fn start(mut snapshots: watch::Receiver<Snapshot>, load: &LoadModel) -> Progress {
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
                if snapshots.has_changed().unwrap_or(false) {
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
    Bar {
        bar: ProgressBar,
        counts_iterations: bool,
    },
    Lines {
        seconds: u64,
    },
}

impl View {
    fn new(planned: Duration, iterations: Option<u64>) -> View {
        if !std::io::stderr().is_terminal() {
            return View::Lines { seconds: 0 };
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
            View::Lines { seconds } => {
                if *seconds % PLAIN_EVERY == 0 {
                    let at = snapshot.at.as_secs_f64();
                    // Standard error that is closed must not end the run.
                    let _ = writeln!(std::io::stderr(), "{at:>6.0} s  {}", line(snapshot, active));
                }
                *seconds += 1;
            }
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
