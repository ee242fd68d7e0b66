//! The rules by which a run's figures may not be trusted.

use std::time::Duration;

use crate::measure::metric::Metric;
use crate::measure::resource::Observed;
use crate::measure::sample::{Offset, Outcome};
use crate::measure::summary::{Summary, ms};
use crate::measure::validity::Validity;
use crate::plan::Stop;
use crate::schedule::LoadModel;
use crate::store::entry::StoredInterval;
use crate::store::run::Run;

use super::{Ruling, Verdict};

/// Share of its worker threads' time beyond which the generator is the bottleneck: at 90% its own
/// queueing multiplies what it measures.
const BUSY: f64 = 0.9;
/// The generator was late if one request in twenty was later than this …
const LATE: Duration = Duration::from_millis(10);
/// … and than this share of the median response time.
const LATE_SHARE: f64 = 0.1;
/// By this share the arrivals of open load may differ from those that were planned.
const OTHER_RATE: f64 = 0.005;
/// The wall clock and the monotonic clock may drift apart this far, in seconds.
const CLOCK_SHIFT: f64 = 1.0;

/// Everything that speaks against the figures of `run`.
pub fn of(run: &Run, summary: &Summary, verdicts: &[Verdict]) -> Validity {
    let mut reasons = Vec::new();
    reasons.extend(no_success(summary, verdicts));
    reasons.extend(unbalanced(run));
    reasons.extend(miscounted(run));
    reasons.extend(busy(run, summary));
    reasons.extend(late(summary));
    reasons.extend(starved(run, summary));
    reasons.extend(other_load(run, summary));
    reasons.extend(other_arrivals(run, summary));
    reasons.extend(cut_off(run, summary));
    reasons.extend(damaged(run));
    reasons.extend(out_of_resources(run));
    reasons.extend(clock_jumped(run));
    reasons.extend(ended_early(run));
    for verdict in verdicts.iter().filter(|verdict| verdict.ruling == Ruling::Unknown) {
        reasons.push(format!("{}: {}", verdict.rule, verdict.measured));
    }
    Validity { reasons }
}

/// Without a success there is nothing to report, unless a rule says that this very thing is a failure:
/// that is a result, and no doubt about one.
fn no_success(summary: &Summary, verdicts: &[Verdict]) -> Option<String> {
    let fails = |verdict: &Verdict| verdict.ruling == Ruling::Failed;
    let is_judged = summary.total.failed() > 0 && verdicts.iter().any(fails);
    (summary.total.ok() == 0 && !is_judged).then(|| {
        "no request of the measured part succeeded: there is no latency to report".to_owned()
    })
}

/// Checks the ledger identity at each checkpoint.
fn unbalanced(run: &Run) -> Option<String> {
    let imbalance = run.intervals.iter().find_map(|interval| {
        interval.ledger.check().err().map(|imbalance| (interval.end, imbalance))
    });
    if let Some((at, imbalance)) = imbalance {
        return Some(format!(
            "the ledger does not balance at {:.0} s: {imbalance}",
            at.as_secs_f64()
        ));
    }
    let ledger = run.ledger();
    let (in_flight, under_way) = (ledger.in_flight, ledger.iterations_under_way.unwrap_or(0));
    match run.end.is_some() {
        true if in_flight != 0 => {
            Some(format!("{in_flight} requests were in flight when the run had ended"))
        }
        true if under_way != 0 => {
            Some(format!("{under_way} iterations were under way when the run had ended"))
        }
        _ => None,
    }
}

/// The histograms and the ledger count the same requests in two ways. A stored count that its
/// histogram does not hold is damage, found when the figures were made.
fn miscounted(run: &Run) -> Option<String> {
    let mut recorded = [0u64; Outcome::ALL.len()];
    for (key, stored) in run.intervals.iter().flat_map(StoredInterval::response_times) {
        recorded[key.outcome.index()] += stored.count;
    }
    let ledger = run.ledger();
    Outcome::ALL.into_iter().filter(|outcome| outcome.was_sent()).find_map(|outcome| {
        let (in_histograms, in_ledger) = (recorded[outcome.index()], ledger.ended_in(outcome));
        (in_histograms != in_ledger).then(|| {
            format!(
                "{in_histograms} requests are in the histograms as {:?}, and {in_ledger} in the ledger",
                outcome.name()
            )
        })
    })
}

/// Judges the busiest stretch, for an average hides a short overload.
fn busy(run: &Run, summary: &Summary) -> Option<String> {
    const STRETCH: Duration = Duration::from_secs(5);
    let inside = |at| summary.window.start <= at && at <= summary.window.end;
    let looks: Vec<_> =
        run.resources_of(Observed::Generator).filter(|sample| inside(sample.at)).collect();
    let stretch = STRETCH.min(summary.window.length() / 2);
    let share = looks.iter().enumerate().filter_map(|(index, first)| {
        let last = looks[index + 1..].iter().find(|last| last.at.since(first.at) >= stretch)?;
        let wall = last.at.since(first.at).as_secs_f64() * run.start.plan.threads as f64;
        Some((last.cpu_seconds? - first.cpu_seconds?) / wall)
    });
    let share = share.max_by(f64::total_cmp)?;
    (share > BUSY).then(|| {
        format!(
            "the generator was the bottleneck: gander kept its {} worker thread(s) {:.0}% busy for \
             {:.0} s, more than {:.0}%; use more --threads, less load, or another machine",
            run.start.plan.threads,
            share * 100.0,
            stretch.as_secs_f64(),
            BUSY * 100.0
        )
    })
}

fn late(summary: &Summary) -> Option<String> {
    let lag = summary.total.latency(Metric::SendLag)?;
    let response = summary.total.latency(Metric::ResponseTime)?;
    let allowed = ms(LATE).max(response.p50_ms * LATE_SHARE);
    (lag.p95_ms > allowed).then(|| {
        format!(
            "the generator was late: the 95th percentile of its send lag is {:.1} ms, more than \
             {allowed:.1} ms; the machine is crowded, or --threads too few",
            lag.p95_ms
        )
    })
}

/// A request without think time is never late by its own clock; a timer beside it is. Judged by the
/// median of the seconds, for each tells only its worst.
fn starved(run: &Run, summary: &Summary) -> Option<String> {
    let inside = |at| summary.window.start <= at && at <= summary.window.end;
    let looks = run.resources_of(Observed::Generator).filter(|sample| inside(sample.at));
    let mut worst: Vec<f64> = looks.filter_map(|sample| sample.timer_lag_max_ms).collect();
    worst.sort_by(f64::total_cmp);
    let typical = *worst.get(worst.len() / 2)?;
    let allowed = ms(LATE).max(summary.total.latency(Metric::ResponseTime)?.p50_ms * LATE_SHARE);
    (typical > allowed).then(|| {
        format!(
            "the generator was starved: in half of the seconds its timers were late by {typical:.1} ms \
             or more, and {allowed:.1} ms are allowed; the machine is crowded, or --threads too few"
        )
    })
}

/// A run must have had its users, as far as it went: in each second at least the fewest that were
/// planned around it. Goose looks twice a second whether a stage is over, hence the slack.
fn other_load(run: &Run, summary: &Summary) -> Option<String> {
    const SLACK: Duration = Duration::from_secs(1);
    let LoadModel::Closed(load) = &run.start.plan.load else { return None };
    let slack = SLACK + SLACK / 2 * load.stages.len() as u32;
    let began = Duration::from_nanos(summary.window.start.0).saturating_sub(load.warm_up);
    let first = Offset::from(began);
    // Users of a run that goes on need their time to come back.
    let returns =
        |at: Offset| run.resumed.iter().any(|part| part.at <= at && at <= part.at + 3 * SLACK);
    let seconds = run.intervals.iter().filter(|second| {
        first < second.end && second.end <= summary.window.end && !returns(second.end)
    });
    let short = seconds.filter_map(|second| {
        let at = Duration::from_nanos(second.end.0).saturating_sub(began);
        let planned = load.fewest_users(at.saturating_sub(slack), at + slack);
        (second.users < planned).then_some((at, planned, second.users))
    });
    let (at, planned, active) = short.max_by_key(|(_, planned, active)| planned - active)?;
    Some(format!(
        "the load differs from the plan: {active} users were active {:.0} s after the start, and at \
         least {planned} were planned",
        at.as_secs_f64()
    ))
}

/// Arrivals must have come as they were planned, begun or dropped: the drops are the target's doing,
/// or the cap's, and do not speak against the figures. Judged at the last second inside the measured
/// part; what was due within [`LATE`] of it may still be on its way. Of recorded arrivals only their
/// number in each second is known, so that any of the second under way may have come.
fn other_arrivals(run: &Run, summary: &Summary) -> Option<String> {
    let LoadModel::Open(load) = &run.start.plan.load else { return None };
    let began = Duration::from_nanos(summary.window.start.0).saturating_sub(load.warm_up);
    let last = run.intervals.iter().rfind(|second| second.end <= summary.window.end)?;
    let at = Duration::from_nanos(last.end.0).saturating_sub(began);
    // What was cut off by a kill or an interruption was begun a second time.
    let again = last.ledger.iterations_lost
        + last_before_going_on(run).map_or(0, |before| before.ledger.iterations_cancelled);
    let begun = last.ledger.iterations_started - again.min(last.ledger.iterations_started);
    let delivered = begun + last.ledger.iterations_dropped;
    let planned = |at| load.due_before(at, run.start.plan.seed);
    let fewest = *planned(at.saturating_sub(LATE)).start() as f64 * (1.0 - OTHER_RATE) - 1.0;
    let most = *planned(at + LATE).end() as f64 * (1.0 + OTHER_RATE) + 1.0;
    let came = delivered as f64;
    (came < fewest || came > most).then(|| {
        format!(
            "the arrivals differ from the plan: {delivered} had come {:.0} s after the start, and {} \
             were due; the generator was too slow for this rate: use more --threads, a lower rate, or \
             another machine",
            at.as_secs_f64(),
            planned(at).end()
        )
    })
}

/// The last second before the run went on for the last time; `None` where it never did.
fn last_before_going_on(run: &Run) -> Option<&StoredInterval> {
    let part = run.resumed.last()?;
    run.intervals.iter().rfind(|second| second.end <= part.at)
}

/// What the end of the run cut off would have been the slowest.
fn cut_off(run: &Run, summary: &Summary) -> Option<String> {
    let cut = summary.total.outcomes.get(&Outcome::Cancelled).copied().unwrap_or(0);
    // What an interruption cut off was done again when the run went on.
    let before = last_before_going_on(run);
    let cut = cut.saturating_sub(before.map_or(0, |last| last.ledger.ended_in(Outcome::Cancelled)));
    let by_itself = run.end.as_ref()?.stop.is_planned();
    (by_itself && cut > 0).then(|| {
        format!(
            "{cut} requests of the measured part had not ended when the run did, and are in no \
             latency: give them more time with --drain"
        )
    })
}

/// Several unreadable lines are no torn end of a run that was killed.
fn damaged(run: &Run) -> Option<String> {
    (run.lost_lines > 1).then(|| {
        format!(
            "the journal is damaged: {} lines from the first unreadable one on are left out",
            run.lost_lines
        )
    })
}

fn out_of_resources(run: &Run) -> Option<String> {
    let count = run.ledger().ended_in(Outcome::ClientResource);
    (count > 0).then(|| {
        format!(
            "{count} requests failed because this machine ran out of file descriptors, ports or \
             memory: raise the limit (`ulimit -n`) or use fewer users"
        )
    })
}

fn clock_jumped(run: &Run) -> Option<String> {
    let shift = run.end.as_ref()?.clock_shift_seconds;
    (shift.is_nan() || shift.abs() > CLOCK_SHIFT).then(|| {
        format!("the clock jumped by {shift:.1} s during the run, or the machine was suspended")
    })
}

fn ended_early(run: &Run) -> Option<String> {
    let end = run.end.as_ref()?;
    let reason = end.reason.as_deref().unwrap_or("no reason is known");
    match end.stop {
        Stop::Failed => Some(format!("the run failed inside gander: {reason}")),
        Stop::TargetEnded => Some(reason.to_owned()),
        Stop::Duration | Stop::Iterations | Stop::Budget | Stop::Interrupted | Stop::Terminated => {
            None
        }
    }
}
