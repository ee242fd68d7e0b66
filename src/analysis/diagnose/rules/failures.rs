//! Rules on requests that do not succeed: which way, and what the target says.

use crate::analysis::diagnose::evidence::{Evidence, Facts};
use crate::analysis::diagnose::words::{count as whole, millis, number, percent};
use crate::measure::metric::Metric;
use crate::measure::sample::Outcome;
use crate::measure::summary::Latency;

use super::{Found, Judgement};

/// Share of requests from which on failures are a finding …
const SOME: f64 = 0.01;
/// … that many at least.
const FEWEST: f64 = 3.0;
/// Attempts that are made again, for each request.
const STORM: f64 = 0.25;
/// Times of failures that are all alike, as a share of the longest.
const ALIKE: f64 = 0.15;
/// A server that closes at once does not wait for anything, in milliseconds.
const AT_ONCE_MS: f64 = 500.0;

/// The statuses that ask for less load.
const TOO_MANY: [u16; 2] = [429, 529];
/// Words of a service that has no model.
const NO_MODEL: [&str; 4] =
    ["model not loaded", "model is not loaded", "model_not_loaded", "loading model"];

/// Counts of failures of one kind, where there are enough of them.
struct Share {
    count: f64,
    of: f64,
}

impl Share {
    fn of(facts: &Facts<'_, '_>, outcomes: &[Outcome]) -> Share {
        let count = outcomes.iter().map(|outcome| facts.sums.of(*outcome)).sum();
        Share { count, of: facts.sums.finished() }
    }

    /// The same with a part of the count.
    fn part(self, share: f64) -> Share {
        Share { count: self.count * share, ..self }
    }

    fn is_some(&self) -> bool {
        self.count >= FEWEST && self.count >= SOME * self.of
    }

    fn sentence(&self, what: &str) -> String {
        format!(
            "{} of {} requests ({}) {what}.",
            whole(self.count),
            whole(self.of),
            percent(self.count / self.of)
        )
    }
}

/// Errors that make a finding together.
struct Kind<'k> {
    outcomes: &'k [Outcome],
    /// By status and by what the target said.
    is_it: fn(Option<u16>, &[String]) -> bool,
}

impl<'k> Kind<'k> {
    fn all_of(outcomes: &'k [Outcome]) -> Kind<'k> {
        Kind { outcomes, is_it: |_, _| true }
    }
}

/// The share of errors with this outcome that `is_it` holds for, over the whole run.
fn part(
    evidence: &Evidence<'_>,
    outcome: Outcome,
    is_it: impl Fn(Option<u16>, &[String]) -> bool,
) -> f64 {
    let of_outcome = || evidence.messages.iter().filter(|((of, _), _)| *of == outcome);
    let all: u64 = of_outcome().map(|(_, (count, _))| count).sum();
    let hits: u64 = of_outcome()
        .filter(|((_, status), (_, said))| is_it(*status, said))
        .map(|(_, (count, _))| count)
        .sum();
    if all == 0 { 0.0 } else { hits as f64 / all as f64 }
}

/// What the target said, once, of errors with one of the outcomes that `is_it` holds for.
fn said(evidence: &Evidence<'_>, kind: &Kind<'_>) -> Option<String> {
    let mut errors = evidence.messages.iter().filter(|((of, status), (_, said))| {
        kind.outcomes.contains(of) && (kind.is_it)(*status, said)
    });
    let (_, (_, examples)) = errors.next()?;
    Some(format!("The first says: {}", examples.first()?))
}

/// The finding that a share of requests, `what`, is too large.
fn found(
    facts: &Facts<'_, '_>,
    share: &Share,
    kind: &Kind<'_>,
    [what, advice]: [&str; 2],
) -> Judgement {
    if facts.sums.finished() <= 0.0 {
        return Judgement::NotJudged("no request ended".to_owned());
    }
    if !share.is_some() {
        return Judgement::Clear;
    }
    let mut evidence = vec![share.sentence(what)];
    evidence.extend(said(facts.evidence, kind));
    Judgement::Found(Found {
        advice: advice.to_owned(),
        gain: format!(
            "Successes for up to {} of the requests more: failures of this kind over requests.",
            percent(share.count / share.of)
        ),
        ..Found::with(evidence)
    })
}

fn is_no_model(said: &[String]) -> bool {
    said.iter().any(|text| {
        let text = text.to_lowercase();
        NO_MODEL.iter().any(|words| text.contains(words))
    })
}

/// The service has no model.
pub(super) fn model_not_loaded(facts: &Facts<'_, '_>) -> Judgement {
    let outcomes = [Outcome::HttpStatus, Outcome::RateLimited, Outcome::Retried];
    let count = outcomes.map(|outcome| {
        facts.sums.of(outcome) * part(facts.evidence, outcome, |_, said| is_no_model(said))
    });
    let share = Share { count: count.iter().sum(), of: facts.sums.attempts() };
    let text = [
        "were answered that there is no model",
        "Keep traffic away until the model is loaded: a readiness check that fails without it, not a health check of the process alone.",
    ];
    let kind = Kind { outcomes: &outcomes, is_it: |_, said| is_no_model(said) };
    found(facts, &share, &kind, text)
}

/// A rate limit.
pub(super) fn rate_limited(facts: &Facts<'_, '_>) -> Judgement {
    let is_it = |status: Option<u16>, _: &[String]| status.is_some_and(|it| TOO_MANY.contains(&it));
    let again = part(facts.evidence, Outcome::Retried, is_it);
    let limited = part(facts.evidence, Outcome::RateLimited, |_, said| !is_no_model(said));
    let status = part(facts.evidence, Outcome::HttpStatus, is_it);
    let count = facts.sums.of(Outcome::RateLimited) * limited
        + facts.sums.of(Outcome::Retried) * again
        + facts.sums.of(Outcome::HttpStatus) * status;
    let share = Share { count, of: facts.sums.attempts() };
    let outcomes = [Outcome::RateLimited, Outcome::Retried, Outcome::HttpStatus];
    if let Some(rows) = limited_rows(facts.evidence).filter(|_| !share.is_some()) {
        return rows;
    }
    let text = [
        "were told to come more slowly",
        "Ask for less: a limit on what is in flight, delays that grow with each refusal and honour Retry-After; or a higher quota.",
    ];
    let mut judgement = found(facts, &share, &Kind { outcomes: &outcomes, is_it: is_limit }, text);
    if let Judgement::Found(found) = &mut judgement {
        let accepted = (facts.sums.attempts() - share.count) / facts.sums.seconds;
        found.gain = format!(
            "At most the quota: {} requests/s were accepted. A client that asks for no more wastes none of {}.",
            number(accepted),
            whole(share.count)
        );
    }
    judgement
}

/// Rows that failed behind an answer that says so.
fn limited_rows(evidence: &Evidence<'_>) -> Option<Judgement> {
    const CLASSES: [&str; 5] =
        ["rate_limited", "capacity_exhausted", "retry_timeout", "status 429", "Too Many Requests"];
    let mut limited = 0.0;
    for interval in &evidence.run.intervals {
        for (class, record) in &interval.rows.failures {
            let mut texts = record.examples.iter().chain([class]);
            if texts.any(|text| CLASSES.iter().any(|known| text.contains(known))) {
                limited += record.count as f64;
            }
        }
    }
    let all = evidence.assessment.summary.rows.as_ref().map_or(0, |rows| rows.count()) as f64;
    let share = Share { count: limited, of: all };
    (all > 0.0 && share.is_some()).then(|| {
        Judgement::Found(Found {
            advice: "The limit is behind the service: let it ask for less, and try refused calls again with growing delays.".to_owned(),
            gain: "At most the quota of what stands behind: rows that are refused there are work done in vain.".to_owned(),
            ..Found::with(vec![format!(
                "{} of {} rows ({}) failed because a service behind refused a call.",
                whole(limited),
                whole(all),
                percent(limited / all)
            )])
        })
    })
}

/// Whether a status asks for less load; 503 does where it counts as such an outcome.
fn is_limit(status: Option<u16>, said: &[String]) -> bool {
    const UNAVAILABLE: u16 = 503;
    status.is_some_and(|it| TOO_MANY.contains(&it) || it == UNAVAILABLE) && !is_no_model(said)
}

/// Retries that are much of the load.
pub(super) fn retry_storm(facts: &Facts<'_, '_>) -> Judgement {
    let (again, requests) = (facts.sums.of(Outcome::Retried), facts.sums.finished());
    if requests <= 0.0 {
        return Judgement::NotJudged("no request ended".to_owned());
    }
    if again < FEWEST || again < STORM * requests {
        return Judgement::Clear;
    }
    let each = (requests + again) / requests;
    Judgement::Found(Found {
        advice: "Bound what is made again: a budget of a tenth of all requests, growing delays with jitter, and none where the target asks for less.".to_owned(),
        gain: format!(
            "{} of the load is gone: attempts a request are 1 / (1 - p) = {} where a share p = {} of attempts fails.",
            percent(again / (requests + again)),
            number(each),
            percent(1.0 - 1.0 / each)
        ),
        ..Found::with(vec![format!(
            "{} attempts were made for {} requests: {} each.",
            whole(requests + again),
            whole(requests),
            number(each)
        )])
    })
}

/// No connection.
pub(super) fn refused(facts: &Facts<'_, '_>) -> Judgement {
    let outcomes = [Outcome::Connect];
    let text = [
        "found nobody to connect to",
        "See whether the service restarts, and whether its queue of connections is long enough.",
    ];
    found(facts, &Share::of(facts, &outcomes), &Kind::all_of(&outcomes), text)
}

/// No answer in time.
pub(super) fn hanging(facts: &Facts<'_, '_>) -> Judgement {
    let outcomes = [Outcome::Timeout];
    let text = [
        "had no whole answer within the step's timeout",
        "Give calls inside the service a timeout of their own, shorter than the client's, and answer with an error then.",
    ];
    found(facts, &Share::of(facts, &outcomes), &Kind::all_of(&outcomes), text)
}

const BROKEN: [Outcome; 2] = [Outcome::Reset, Outcome::Incomplete];

/// How long requests took whose connection broke, where all took the same.
fn alike(evidence: &Evidence<'_>) -> Option<Latency> {
    let broken =
        evidence.assessment.merged.distributions.iter().filter(|((_, metric, outcome), _)| {
            *metric == Metric::ServiceTime && BROKEN.contains(outcome)
        });
    let mut all = crate::measure::distribution::Distribution::default();
    broken.for_each(|(_, times)| all.merge(times));
    let times = Latency::of(&all)?;
    let is_alike =
        times.min_ms >= AT_ONCE_MS && times.max_ms - times.min_ms <= ALIKE * times.max_ms;
    (is_alike && times.count as f64 >= FEWEST).then_some(times)
}

/// Connections closed after a fixed time.
pub(super) fn idle_timeout(facts: &Facts<'_, '_>) -> Judgement {
    let Some(times) = alike(facts.evidence) else {
        return match facts.sums.finished() > 0.0 {
            true => Judgement::Clear,
            false => Judgement::NotJudged("no request ended".to_owned()),
        };
    };
    let text = [
        "ended with a closed connection after the same time",
        "Raise the idle timeout of the proxy or load balancer in between above the longest answer, or send something while the answer is made (a stream, keep-alive probes).",
    ];
    let mut judgement = found(facts, &Share::of(facts, &BROKEN), &Kind::all_of(&BROKEN), text);
    if let Judgement::Found(found) = &mut judgement {
        found.evidence.push(format!(
            "All of them took {} to {}: somebody counts the time.",
            millis(times.min_ms),
            millis(times.max_ms)
        ));
    }
    judgement
}

/// Connections that break.
pub(super) fn broken_connections(facts: &Facts<'_, '_>) -> Judgement {
    if alike(facts.evidence).is_some() {
        return Judgement::Clear;
    }
    let text = [
        "lost their connection before the answer was whole",
        "See whether workers of the service crash or are restarted, and what stands between.",
    ];
    found(facts, &Share::of(facts, &BROKEN), &Kind::all_of(&BROKEN), text)
}

/// Answers that are wrong.
pub(super) fn bad_answers(facts: &Facts<'_, '_>) -> Judgement {
    let outcomes = [Outcome::CheckFailed, Outcome::Malformed];
    let text = [
        "had an answer with the expected status that was not what it should be",
        "The service says success where it failed: let it check what it sends, and answer with an error.",
    ];
    found(facts, &Share::of(facts, &outcomes), &Kind::all_of(&outcomes), text)
}

/// Errors of the service.
pub(super) fn server_errors(facts: &Facts<'_, '_>) -> Judgement {
    let is_it = |status: Option<u16>, said: &[String]| {
        status.is_some_and(|it| it >= 500 && !TOO_MANY.contains(&it)) && !is_no_model(said)
    };
    let outcomes = [Outcome::HttpStatus];
    let share = Share::of(facts, &outcomes).part(part(facts.evidence, Outcome::HttpStatus, is_it));
    let text =
        ["were answered with a status of 500 or above", "Read the service's log at these times."];
    found(facts, &share, &Kind { outcomes: &outcomes, is_it }, text)
}

/// Requests that the service does not take.
pub(super) fn rejected(facts: &Facts<'_, '_>) -> Judgement {
    let is_it = |status: Option<u16>, _: &[String]| {
        status.is_some_and(|it| (300..500).contains(&it) && !TOO_MANY.contains(&it))
    };
    let outcomes = [Outcome::HttpStatus];
    let share = Share::of(facts, &outcomes).part(part(facts.evidence, Outcome::HttpStatus, is_it));
    let text = [
        "were answered with a status of 300 to 499",
        "The scenario and the service do not agree on path, key or body: see the errors below.",
    ];
    found(facts, &share, &Kind { outcomes: &outcomes, is_it }, text)
}
