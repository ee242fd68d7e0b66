//! What is seen while services run: one line each, once a second on a terminal, and elsewhere only
//! when something has changed.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, MissedTickBehavior};

use crate::config::ServiceName;
use crate::ledger::Ledger;
use crate::ledger::totals::Totals;

/// From one look at the ledgers to the next.
const LOOK: Duration = Duration::from_secs(1);

/// Between two lines of one service where there is no terminal, at least.
const PAUSE: Duration = Duration::from_secs(10);

/// Where the counters go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Live {
    /// Nowhere: whoever started the services reads their ledgers.
    Quiet,
    /// Line after line.
    Lines,
    /// Lines that are written over.
    Terminal,
}

impl Live {
    /// As it suits standard error, which the counters go to.
    pub(super) fn of_process() -> Live {
        if stderr().is_terminal() { Live::Terminal } else { Live::Lines }
    }

    /// Shows the counters for as long as this is polled.
    pub(super) async fn show(self, ledgers: Vec<(ServiceName, Arc<Ledger>)>) {
        if self == Live::Quiet {
            return std::future::pending().await;
        }
        let mut screen = Screen::new(self, &ledgers);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, when there is nothing to see.
        look.tick().await;
        loop {
            look.tick().await;
            screen.update(&ledgers);
        }
    }
}

struct Screen {
    /// None where lines are printed one after another.
    bars: Option<(MultiProgress, Vec<ProgressBar>)>,
    seen: Vec<Seen>,
}

/// What was seen of a service last.
struct Seen {
    totals: Totals,
    at: Instant,
    shown: Option<Instant>,
}

impl Screen {
    fn new(live: Live, ledgers: &[(ServiceName, Arc<Ledger>)]) -> Screen {
        let bars = (live == Live::Terminal).then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = |_| all.add(ProgressBar::new_spinner().with_style(style.clone()));
            let bars = ledgers.iter().map(bar).collect();
            (all, bars)
        });
        let at = Instant::now();
        let seen =
            ledgers.iter().map(|(_, ledger)| Seen { totals: ledger.totals(), at, shown: None });
        Screen { bars, seen: seen.collect() }
    }

    fn update(&mut self, ledgers: &[(ServiceName, Arc<Ledger>)]) {
        let now = Instant::now();
        for (at, (service, ledger)) in ledgers.iter().enumerate() {
            let (seen, totals) = (&mut self.seen[at], ledger.totals());
            if let Some((_, bars)) = &self.bars {
                bars[at].set_message(line(*service, &totals, &seen.totals, now - seen.at));
            } else {
                if totals == seen.totals {
                    // A rate is one of the time in which something happened.
                    seen.at = now;
                    continue;
                }
                if seen.shown.is_some_and(|shown| now - shown < PAUSE) {
                    continue;
                }
                let line = line(*service, &totals, &seen.totals, now - seen.at);
                // Nobody may be there to read it; the service goes on.
                let _ = writeln!(stderr(), "{line}");
                seen.shown = Some(now);
            }
            (seen.totals, seen.at) = (totals, now);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some((all, bars)) = &self.bars {
            bars.iter().for_each(ProgressBar::finish_and_clear);
            // A terminal that is gone needs no clearing.
            let _ = all.clear();
        }
    }
}

/// The counters of a service, and its rate since it was seen last.
fn line(service: ServiceName, now: &Totals, before: &Totals, elapsed: Duration) -> String {
    let requests = now.requests;
    // After a reset there are fewer.
    let answered = requests.answered.saturating_sub(before.requests.answered);
    let rate = answered as f64 / elapsed.as_secs_f64().max(1e-3);
    let mut text = format!(
        "{service}: {} answered, {rate:.1}/s, {} in flight, {} connections",
        requests.answered, requests.in_flight, now.open_sockets
    );
    for (count, what) in [
        (now.client_errors, "4xx"),
        (now.server_errors, "5xx"),
        (requests.broken, "broken"),
        (requests.abandoned, "abandoned"),
        (now.faults, "faults injected"),
        (now.upstream_calls, "upstream calls"),
    ] {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Requests;

    #[test]
    fn a_line_has_the_rate_and_what_went_wrong() {
        let requests = |answered| Requests { answered, in_flight: 2, ..Requests::default() };
        let before = Totals { requests: requests(10), ..Totals::default() };
        let now = Totals {
            requests: requests(40),
            server_errors: 3,
            open_sockets: 5,
            ..Totals::default()
        };
        let shown = line(ServiceName::Llm, &now, &before, Duration::from_secs(2));
        assert_eq!(shown, "llm: 40 answered, 15.0/s, 2 in flight, 5 connections, 3 5xx");
        let after_a_reset = line(ServiceName::Llm, &before, &now, Duration::from_secs(1));
        assert!(after_a_reset.contains(" 0.0/s"), "{after_a_reset}");
    }
}
