//! `gander doctor`: looks at the machine, judges what was found, and shows it.

use std::path::Path;
use std::time::Duration;

use crate::analysis::machine::{self as judgement, State};
use crate::clock::Clock;
use crate::engine::alarm::Alarm;
use crate::error::{Error, Exit};
use crate::measure::machine::Lateness;
use crate::observe::machine;
use crate::report;

use super::output::{Format, Output};

/// Between two timers.
const EVERY: Duration = Duration::from_millis(2);
/// Timers that are set.
const TIMERS: u32 = 200;

/// Looks at this machine, with `reports` as the folder for run folders.
pub fn doctor(reports: &Path, output: &Output) -> Result<Exit, Error> {
    // First, while nothing else that gander does keeps the processors busy.
    let timer = lateness();
    let mut found = machine::look(reports);
    found.clock.timer = timer;
    let findings = judgement::judge(&found);
    match output.format {
        Format::Text => {
            let report = report::doctor::build(&findings);
            output.print(&report::terminal::render(&report, output.width(), output.colour()))?;
        }
        Format::Json => {
            output.print(&format!("{:#}\n", report::doctor::json(&found, &findings)))?;
        }
    }
    match findings.iter().any(|finding| finding.state == State::Prevents) {
        true => Ok(Exit::CannotRun),
        false => Ok(Exit::Passed),
    }
}

/// How late the timers are that arrivals of open load wait on; `None` where the system gives none.
fn lateness() -> Option<Lateness> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let clock = Clock::start();
        let mut alarm = Alarm::new(clock).ok()?;
        let mut late_us = Vec::new();
        for _ in 0..TIMERS {
            let due = clock.now() + EVERY;
            alarm.until(due).await.ok()?;
            late_us.push(clock.now().since(due).as_secs_f64() * 1e6);
        }
        late_us.sort_by(f64::total_cmp);
        let p50_us = *late_us.get(late_us.len() / 2)?;
        Some(Lateness { p50_us, max_us: *late_us.last()?, timers: TIMERS })
    })
}
