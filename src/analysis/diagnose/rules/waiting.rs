//! Rules on where requests wait: for one loop, for a place in a pool, for a processor, or outside.
//!
//! Little's law (Little 1961, L = lambda W): of requests that end at X a second and take S alone, X S
//! are in service on average; of those that take R, X R are in flight. The difference waits.

use std::collections::BTreeMap;

use crate::analysis::diagnose::cause::Cause;
use crate::analysis::diagnose::evidence::{Facts, StepEvidence};
use crate::analysis::diagnose::words::{count, millis, number, percent, processors as in_words};
use crate::analysis::profile::Waiting;

use super::{Found, Judgement};

/// Requests wait where they take so many times as long as alone …
const STRETCHED: f64 = 2.0;
/// … and even the quickest of them that many times: times that differ by nature have quick ones left.
const EVEN_THE_QUICKEST: f64 = 1.5;
/// So few requests in service are one at a time: times that differ make it look like fewer.
const ONE: (f64, f64) = (0.6, 1.3);
/// Where the health check waits too: a loop that reads several requests before it answers the first
/// makes each seem to take as long as two.
const ABOUT_ONE: f64 = 2.5;
/// A health check waits with the others if it takes so much of their time, and so many milliseconds:
/// by itself it takes next to none.
const WAITS_TOO: (f64, f64) = (0.3, 50.0);
/// Responses of a step that say how long it takes.
const FEWEST: f64 = 3.0;
/// Health checks that say whether they wait: two that take as long as the others are no chance.
const FEWEST_CHECKS: f64 = 2.0;
/// A place with so much of the time in service is one to look at.
const MUCH: f64 = 0.1;
/// The target computes if it uses so much of the processors that it may use …
pub(super) const BUSY: f64 = 0.7;
/// … or one of its threads so much of one.
const ONE_THREAD: f64 = 0.9;
/// Requests that wait for so much of their time (S0-10).
const OUTSIDE: f64 = 0.7;
/// Of the time in flight, so much must be of steps whose time alone is known.
const KNOWN: f64 = 0.5;

/// How requests of closed load wait.
struct Wait {
    in_service: f64,
    /// The same, by the shortest time of each step: no more can be said of steps that were first asked
    /// for when others waited already.
    least_in_service: f64,
    in_flight: f64,
    stretch: f64,
    quickest: f64,
    rps: f64,
    /// What else ended meanwhile: steps whose time alone is not known.
    is_part: bool,
    /// The places that take the most time, the first one first, and the share of each.
    places: Vec<(String, f64)>,
    /// Health checks that ended; `None` where the scenario has none.
    checks: Option<f64>,
    /// Median of health checks over the mean of the others; `None` without any.
    health: Option<(String, f64, f64)>,
}

impl Wait {
    fn of(facts: &Facts<'_, '_>) -> Result<Wait, String> {
        if facts.evidence.is_open() {
            return Err("arrivals of open load do not wait for each other".to_owned());
        }
        if facts.sums.seconds <= 0.0 {
            return Err("the measured part is too short".to_owned());
        }
        let rate = |count: f64| count / facts.sums.seconds;
        let steps = || facts.evidence.steps.iter().zip(&facts.sums.steps);
        let working = || steps().filter(|(step, (count, _))| !step.is_health && *count >= FEWEST);
        let flying = |sum_ms: f64| rate(sum_ms) / 1000.0;
        let all: f64 = working().map(|(_, (_, sum_ms))| flying(*sum_ms)).sum();
        let known = || {
            working().filter_map(|(step, (count, sum_ms))| {
                Some((step, step.alone_ms?, step.low_ms?, *count, *sum_ms))
            })
        };
        let in_flight: f64 = known().map(|(.., sum_ms)| flying(sum_ms)).sum();
        if all <= 0.0 || in_flight < KNOWN * all {
            return Err("no response tells how long a request takes alone: the first ones came when others waited already".to_owned());
        }
        let served = |ms: f64, count: f64| rate(count) * ms / 1000.0;
        let in_service: f64 = known().map(|(_, alone, _, n, _)| served(alone, n)).sum();
        let low: f64 = known().map(|(_, _, low, n, _)| served(low, n)).sum();
        let least = |step: &StepEvidence, alone: f64| step.least_ms.unwrap_or(alone).min(alone);
        let least_in_service =
            known().map(|(step, alone, _, n, _)| served(least(step, alone), n)).sum();
        let mut shares: BTreeMap<String, f64> = BTreeMap::new();
        for (step, alone, _, n, _) in known() {
            *shares.entry(step.place.clone()).or_default() += served(alone, n) / in_service;
        }
        let mut places: Vec<(String, f64)> = shares.into_iter().collect();
        places.sort_by(|a, b| b.1.total_cmp(&a.1));
        let much = places.iter().filter(|(_, share)| *share >= MUCH).count().max(1);
        places.truncate(much);
        let mean: f64 = known().map(|(.., sum_ms)| sum_ms).sum::<f64>()
            / known().map(|(_, _, _, n, _)| n).sum::<f64>();
        let checks = steps().filter(|(step, _)| step.is_health).map(|(_, (count, _))| *count);
        let health = steps()
            .filter(|(step, (count, _))| step.is_health && *count >= FEWEST_CHECKS)
            .find_map(|(step, _)| Some((step.place.clone(), step.p50_ms?, step.p50_ms? / mean)));
        Ok(Wait {
            in_service,
            least_in_service,
            in_flight,
            stretch: in_flight / in_service,
            quickest: low / in_service,
            rps: known().map(|(_, _, _, n, _)| rate(n)).sum(),
            is_part: known().count()
                < facts.evidence.steps.iter().filter(|it| !it.is_health).count(),
            places,
            checks: checks.reduce(|a, b| a + b),
            health,
        })
    }

    /// A health check that waits is a queue by itself, whatever is known of the times alone.
    fn queues(&self) -> bool {
        let by_least = self.in_flight / self.least_in_service;
        if self.health_waits() == Some(true) {
            return by_least >= STRETCHED && self.in_flight >= 2.0;
        }
        self.stretch >= STRETCHED && self.quickest >= EVEN_THE_QUICKEST && self.in_flight >= 2.0
    }

    /// Whether health checks wait as long as the others; `None` where there are none.
    fn health_waits(&self) -> Option<bool> {
        let waits = |p50: f64, share: f64| share >= WAITS_TOO.0 && p50 >= WAITS_TOO.1;
        self.health.as_ref().map(|(_, p50, share)| waits(*p50, *share))
    }

    fn is_one_at_a_time(&self) -> bool {
        match self.health_waits() {
            Some(waits) => waits && self.least_in_service <= ABOUT_ONE,
            None => (ONE.0..=ONE.1).contains(&self.in_service),
        }
    }

    fn sentences(&self) -> Vec<String> {
        let waits = self.health_waits() == Some(true);
        // Where the health check waits, the shortest times tell more than the first ones.
        let (in_service, of) = match waits {
            true => (self.least_in_service, "at least "),
            false => (self.in_service, ""),
        };
        let which = match (self.is_part, self.checks.is_some()) {
            (true, _) => " (of steps whose time alone is known)",
            (false, true) => " (without health checks)",
            (false, false) => "",
        };
        let mut said = vec![format!(
            "{} requests/s{which} that take {of}{} alone are {} in service (Little's law, X S), and {} are in flight (X R): each takes {} times as long as alone.",
            number(self.rps),
            millis(in_service / self.rps * 1000.0),
            number(in_service),
            number(self.in_flight),
            number(self.in_flight / in_service),
        )];
        if !waits {
            said.push(format!(
                "Even the quickest take {} times as long: they all wait.",
                number(self.quickest)
            ));
        }
        if let Some((place, p50, share)) = &self.health {
            said.push(format!(
                "{place} takes {} in the median, {} of what the others take.",
                millis(*p50),
                percent(*share)
            ));
        }
        said
    }
}

/// `a, b and c`.
fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    match items.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => items.concat(),
    }
}

/// The processors that the target used, of those that it may use; `None` where not measured.
fn processors(facts: &Facts<'_, '_>) -> Option<(f64, Waiting)> {
    facts.sums.processors().zip(facts.evidence.waiting)
}

/// Time that threads waited for a processor, over the time that they had one.
fn in_line(waiting: &Waiting) -> f64 {
    waiting.runnable_seconds.unwrap_or(0.0) / waiting.cpu_seconds.max(f64::MIN_POSITIVE)
}

/// Whether the target's threads have or want most of the processors: whether others take them away
/// makes no difference to who waits for one.
fn are_busy(facts: &Facts<'_, '_>) -> bool {
    processors(facts).is_some_and(|(used, waiting)| {
        used * (1.0 + in_line(&waiting)) >= BUSY * waiting.processors.processors
    })
}

/// One request at a time.
pub(super) fn serialised(facts: &Facts<'_, '_>) -> Judgement {
    let wait = match Wait::of(facts) {
        Ok(wait) => wait,
        Err(why) => return Judgement::NotJudged(why),
    };
    if !wait.queues() || !wait.is_one_at_a_time() || are_busy(facts) {
        return Judgement::Clear;
    }
    let place = listed(wait.places.iter().map(|(place, _)| place.clone()));
    let shares = wait.places.iter().map(|(place, share)| format!("{place} {}", percent(*share)));
    let mut evidence = wait.sentences();
    evidence.push(format!("Of the time in service: {}.", listed(shares)));
    evidence.extend(super::profiles::blocked_loop(facts.evidence));
    let is_sure = wait.health_waits() == Some(true);
    Judgement::Found(Found {
        advice: format!(
            "Take the work of {place} off the thread that accepts requests: an executor, more worker processes, or an asynchronous call."
        ),
        gain: format!(
            "With n at a time, throughput up to min(n, {}) times as high, and response time as much shorter: R = N S / n for N users that do not think.",
            number(wait.in_flight / wait.in_service.min(wait.least_in_service.max(f64::MIN_POSITIVE)))
        ),
        or_else: if is_sure { Vec::new() } else { vec![Cause::PoolTooSmall] },
        tell_apart: (!is_sure).then(|| {
            let how = match wait.checks {
                Some(checks) => format!(
                    "Health checks tell them apart (they wait only where the loop is blocked), and {} ended here: run for longer, or use gander profile.",
                    match checks {
                        0.0 => "none".to_owned(),
                        checks => format!("only {}", count(checks)),
                    }
                ),
                None => "A step that asks a health check tells them apart (it waits only where the loop is blocked), and so does gander profile.".to_owned(),
            };
            format!("A pool with one place looks the same from outside. {how}")
        }),
        ..Found::with(evidence)
    })
}

/// Too few places.
pub(super) fn pool_too_small(facts: &Facts<'_, '_>) -> Judgement {
    let wait = match Wait::of(facts) {
        Ok(wait) => wait,
        Err(why) => return Judgement::NotJudged(why),
    };
    if !wait.queues() || wait.is_one_at_a_time() || are_busy(facts) {
        return Judgement::Clear;
    }
    let mut evidence = wait.sentences();
    let is_cpu_known = processors(facts).is_some();
    if let Some((used, waiting)) = processors(facts) {
        evidence.push(format!(
            "The target uses {} of one processor, and may use {}: it does not wait for them.",
            percent(used),
            in_words(waiting.processors.processors)
        ));
    }
    let places = wait.in_service.round().max(1.0);
    Judgement::Found(Found {
        advice: format!(
            "About {} requests are worked on at a time: raise the number of workers, threads or connections behind the service towards {}, as far as what stands behind it allows.",
            count(places),
            count(wait.in_flight)
        ),
        gain: format!(
            "Throughput up to {} times as high (L / (X S)), while nothing else gives out first.",
            number(wait.stretch)
        ),
        or_else: if is_cpu_known { Vec::new() } else { vec![Cause::CpuBound] },
        tell_apart: (!is_cpu_known).then(|| {
            "Processors that are used up look the same from outside: name the target's process with --pid.".to_owned()
        }),
        ..Found::with(evidence)
    })
}

/// More arrives than is served.
pub(super) fn queueing(facts: &Facts<'_, '_>) -> Judgement {
    /// Share of what is due that is not served.
    const UNMET: f64 = 0.1;
    const FEWEST_DUE: f64 = 20.0;
    if !facts.evidence.is_open() {
        return Judgement::NotJudged(
            "in closed load users wait for their answers: more than is served never arrives"
                .to_owned(),
        );
    }
    let (due, served) = (facts.sums.due, facts.sums.finished());
    if due < FEWEST_DUE {
        return Judgement::NotJudged("too few requests were due".to_owned());
    }
    let unmet = 1.0 - served / due;
    if unmet < UNMET {
        return Judgement::Clear;
    }
    let capacity = served / facts.sums.seconds;
    let mut evidence = vec![format!(
        "{} requests/s were due and {} ended: {} of them wait, or were dropped.",
        number(due / facts.sums.seconds),
        number(capacity),
        percent(unmet)
    )];
    let slowed = |step: &StepEvidence| {
        let (alone, p50) = step.alone_ms.zip(step.p50_ms)?;
        Some(format!(
            "{} took {} at first, and {} in the median.",
            step.place,
            millis(alone),
            millis(p50)
        ))
    };
    evidence.extend(facts.evidence.steps.iter().filter(|step| !step.is_health).find_map(slowed));
    Judgement::Found(Found {
        advice: format!(
            "Ask for less than {} requests/s, refuse early what finds no place, or add capacity.",
            number(capacity)
        ),
        gain: format!(
            "Below the capacity the queue is bounded: at a share rho of {}/s a request waits about rho / (1 - rho) service times (M/M/1).",
            number(capacity)
        ),
        ..Found::with(evidence)
    })
}

/// Bound by processors.
pub(super) fn cpu_bound(facts: &Facts<'_, '_>) -> Judgement {
    let Some((used, waiting)) = processors(facts) else {
        return Judgement::NotJudged(NO_CPU.to_owned());
    };
    let most = waiting.processors.processors;
    let thread = waiting.processors.busiest_thread;
    let one_thread = thread.is_some_and(|share| share >= ONE_THREAD);
    if !are_busy(facts) && !one_thread {
        return Judgement::Clear;
    }
    if facts.sums.attempts() <= 0.0 {
        return Judgement::NotJudged("no request ended".to_owned());
    }
    let rps = facts.sums.attempts() / facts.sums.seconds;
    let mut evidence = vec![format!(
        "The target uses {} of {} processors, {} of CPU time a request.",
        number(used),
        number(most),
        millis(used / rps * 1000.0)
    )];
    evidence
        .extend(thread.map(|share| format!("Its busiest thread uses {} of one.", percent(share))));
    let line = in_line(&waiting);
    if waiting.runnable_seconds.is_some() {
        evidence.push(format!(
            "Its threads waited for a processor for {} times the time that they had one.",
            number(line)
        ));
    }
    let is_spread = are_busy(facts);
    let (advice, room) = match is_spread {
        true => (
            "Make a request cost less CPU time (gander profile says where it goes), or add processors.",
            most / used,
        ),
        false => (
            "One thread never rests, and others wait for it: spread its work over processes or threads.",
            most,
        ),
    };
    Judgement::Found(Found {
        advice: advice.to_owned(),
        gain: format!(
            "Throughput at most processors / CPU time a request (utilisation law): {} requests/s now, and {} times as many are left of the processors that it has.",
            number(rps),
            number(room)
        ),
        ..Found::with(evidence)
    })
}

const NO_CPU: &str = "the processor time of the target is not known: name its process with --pid";

/// Bound by what is outside.
pub(super) fn io_bound(facts: &Facts<'_, '_>) -> Judgement {
    let Some((used, waiting)) = processors(facts) else {
        return Judgement::NotJudged(NO_CPU.to_owned());
    };
    let flying: f64 = facts.sums.steps.iter().map(|(_, sum_ms)| sum_ms / 1000.0).sum();
    if flying <= 0.0 {
        return Judgement::NotJudged("no request succeeded".to_owned());
    }
    let share = 1.0 - used * (1.0 + in_line(&waiting)) * facts.sums.seconds / flying;
    let one_thread = waiting.processors.busiest_thread.is_some_and(|it| it >= ONE_THREAD);
    if share < OUTSIDE || are_busy(facts) || one_thread {
        return Judgement::Clear;
    }
    Judgement::Found(Found {
        advice: "Look at what it waits for: calls to other services, disks, locks, timers. More processors change nothing.".to_owned(),
        gain: "Work that waits can be done at the same time: with n at a time up to n times the throughput.".to_owned(),
        ..Found::with(vec![format!(
            "Requests wait for {} of their time (1 - CPU time / service times); the target uses {} of one processor, and may use {}.",
            percent(share),
            percent(used),
            in_words(waiting.processors.processors)
        )])
    })
}
