//! Rules on time that is lost: on connections, in batches, in pauses, and by gander itself.

use crate::analysis::diagnose::Confidence;
use crate::analysis::diagnose::evidence::Facts;
use crate::analysis::diagnose::words::{count as whole, millis, number, percent};
use crate::analysis::leak::Leakage;
use crate::measure::metric::Metric;
use crate::measure::sample::Outcome;
use crate::stats::normal;
use crate::stats::slope::Z_95;

use super::{Found, Judgement};

/// Words of validity's reasons that speak of gander.
const OF_GENERATOR: [&str; 2] = ["the generator was ", "the arrivals differ from the plan"];

/// gander set the figures.
pub(super) fn generator_bound(facts: &Facts<'_, '_>) -> Judgement {
    let reasons = &facts.evidence.assessment.validity.reasons;
    let of_generator: Vec<String> = reasons
        .iter()
        .filter(|reason| OF_GENERATOR.iter().any(|words| reason.starts_with(words)))
        .cloned()
        .collect();
    if of_generator.is_empty() {
        return Judgement::Clear;
    }
    Judgement::Found(Found {
        advice: "Use more --threads, less load, or another machine than the target's; then measure again.".to_owned(),
        gain: "None for the target: its figures are not known.".to_owned(),
        confidence: Some(Confidence::Seen),
        ..Found::with(of_generator)
    })
}

/// Connections that are opened for a request, or for few.
pub(super) fn connection_churn(facts: &Facts<'_, '_>) -> Judgement {
    /// Connections for each request.
    const OFTEN: f64 = 0.5;
    const FEWEST: f64 = 20.0;
    let sums = &facts.sums;
    if sums.attempts() < FEWEST {
        return Judgement::NotJudged("too few requests ended".to_owned());
    }
    let broken = [
        Outcome::Reset,
        Outcome::Incomplete,
        Outcome::Timeout,
        Outcome::Connect,
        Outcome::Malformed,
        Outcome::Retried,
    ];
    // A connection that broke has to be opened anew, whoever would share it.
    let forced: f64 = broken.into_iter().map(|outcome| sums.of(outcome)).sum();
    let each = (sums.opened - forced) / sums.attempts();
    if each < OFTEN {
        return Judgement::Clear;
    }
    let total = &facts.evidence.assessment.summary.total;
    let mean = |metric| total.latency(metric).map(|latency| latency.mean_ms);
    let opening = mean(Metric::Connect).unwrap_or(0.0) + mean(Metric::Tls).unwrap_or(0.0);
    let service = mean(Metric::ServiceTime).unwrap_or(0.0);
    let share = each * opening / (each * opening + service).max(f64::MIN_POSITIVE);
    Judgement::Found(Found {
        advice: "Keep connections open: no Connection: close on either side, a longer keep-alive than the pauses between requests, and a pool in the client.".to_owned(),
        gain: format!(
            "{} less a request: connections a request x (connect + TLS handshake), {} of the time of a request with it.",
            millis(each * opening),
            percent(share)
        ),
        ..Found::with(vec![format!(
            "{} connections were opened for {} requests ({} each); opening one takes {}.",
            whole(sums.opened),
            whole(sums.attempts()),
            number(each),
            millis(opening)
        )])
    })
}

/// A line through points, by least squares.
struct Line {
    at_zero: f64,
    slope: f64,
}

impl Line {
    fn through(points: &[(f64, f64)]) -> Option<Line> {
        let n = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
        let shared: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
        let slope = shared / spread;
        slope.is_finite().then_some(Line { at_zero: y - slope * x, slope })
    }

    fn at(&self, x: f64) -> f64 {
        self.at_zero + self.slope * x
    }
}

/// Batches that take as long as their items one after another.
pub(super) fn batch_not_vectorised(facts: &Facts<'_, '_>) -> Judgement {
    /// Share of the largest batch's time that its items take.
    const ITEMS_TAKE: f64 = 0.3;
    /// How far the time of a single item may lie off the line through the batches.
    const ON_THE_LINE: f64 = 0.2;
    const FEWEST: f64 = 5.0;
    /// The largest batch over the smallest: sizes that are alike show no slope.
    const SPAN: f64 = 2.0;
    let steps = || facts.evidence.steps.iter().zip(&facts.sums.steps);
    let batches: Vec<(f64, f64, f64)> = steps()
        .filter(|(_, (count, _))| *count >= FEWEST)
        .filter_map(|(step, (count, sum_ms))| Some((step.items?, sum_ms / count, step.sent_bytes?)))
        .filter(|(items, ..)| *items > 1.0)
        .collect();
    let smallest = batches.iter().map(|batch| batch.2).fold(f64::INFINITY, f64::min);
    let single = steps()
        .filter(|(step, (count, _))| {
            !step.is_health && *count >= FEWEST && step.items.is_none_or(|n| n == 1.0)
        })
        .find(|(step, _)| step.sent_bytes.is_some_and(|bytes| bytes < smallest));
    let sizes = || batches.iter().map(|batch| batch.0);
    let largest = sizes().fold(0.0, f64::max);
    let (Some((single, (count, sum_ms))), true) = (single, sizes().any(|n| n * SPAN <= largest))
    else {
        return Judgement::NotJudged(
            "no steps send batches of two sizes and a single item: a number in the name of a step is its size"
                .to_owned(),
        );
    };
    let points: Vec<(f64, f64)> = batches.iter().map(|batch| (batch.0, batch.1)).collect();
    let Some(line) = Line::through(&points) else { return Judgement::Clear };
    let alone = sum_ms / count;
    let in_items = line.slope * (largest - 1.0) / line.at(largest);
    let off = (line.at(1.0) - alone).abs() / alone;
    if in_items < ITEMS_TAKE || off > ON_THE_LINE {
        return Judgement::Clear;
    }
    let times = points.iter().map(|(items, ms)| format!("{} for {items}", millis(*ms)));
    Judgement::Found(Found {
        advice:
            "Give the model a batch in one pass (padded, as one tensor), and not item after item."
                .to_owned(),
        gain: format!(
            "Of {} for {largest} items, what items take one after another is {}: (n - 1) x {} an item. One pass saves at most that.",
            millis(line.at(largest)),
            millis(line.slope * (largest - 1.0)),
            millis(line.slope)
        ),
        ..Found::with(vec![
            format!(
                "A single item ({}) takes {}, and batches take {}.",
                single.place,
                millis(alone),
                times.collect::<Vec<_>>().join(", ")
            ),
            format!(
                "That is a straight line: {} and {} for each item. A single item lies {} off it, so that nothing is saved by sending items together but the first {}.",
                millis(line.at_zero),
                millis(line.slope),
                percent(off),
                millis(line.at_zero)
            ),
        ])
    })
}

/// Everything stands still now and then.
pub(super) fn pauses(facts: &Facts<'_, '_>) -> Judgement {
    /// What is so in more of the time than this is how the service is.
    const NOW_AND_THEN: f64 = 0.7;
    let cells = facts.evidence.cells.len();
    if cells < 4 {
        return Judgement::NotJudged(
            "the measured part is too short to see a pause in it".to_owned(),
        );
    }
    let paused = facts.sums.pauses;
    if paused < 1.0 || paused > NOW_AND_THEN * cells as f64 {
        return Judgement::Clear;
    }
    let total = &facts.evidence.assessment.summary.total;
    let times = total.latency(Metric::ServiceTime);
    let longest = times.map_or(0.0, |times| times.max_ms - times.p50_ms);
    Judgement::Found(Found {
        advice: "Look for what stops all threads at once: a garbage collector (its log, a smaller or larger heap), a snapshot or fork, a throttled control group, a lock that everything takes.".to_owned(),
        gain: format!(
            "The slowest requests are up to {} quicker: without pauses they take the median.",
            millis(longest)
        ),
        ..Found::with(vec![format!(
            "In {} of {cells} stretches of time hardly anything ended, and requests in flight came late all together: by up to {} over the median.",
            whole(paused),
            millis(longest)
        )])
    })
}

/// A resource that grows.
pub(super) fn leak(facts: &Facts<'_, '_>) -> Judgement {
    let leaks = &facts.evidence.leaks;
    let judged = leaks.iter().filter(|it| matches!(it.verdict, Leakage::Leak | Leakage::NoLeak));
    let leaking: Vec<_> = leaks.iter().filter(|it| it.verdict == Leakage::Leak).collect();
    if leaking.is_empty() {
        return match judged.count() {
            0 => Judgement::NotJudged(
                "the run is too short, or the target's process is not known: gander soak tells"
                    .to_owned(),
            ),
            _ => Judgement::Clear,
        };
    }
    // How far the slope lies above what a run of this length can be sure of, in standard errors.
    let share = leaking.iter().filter_map(|it| {
        let growth = it.growth?;
        let error = (growth.interval.high - growth.interval.low) / (2.0 * Z_95);
        let margin = growth.slope - it.resource.threshold(growth.seconds, 1.0);
        Some(if error > 0.0 { normal::below(margin / error) } else { 1.0 })
    });
    let share = share.fold(0.0, f64::max);
    let said = leaking.iter().map(|it| {
        let rate = it.growth.map_or(0.0, |growth| growth.slope * 60.0);
        format!("{} grows by {} a minute. {}", it.resource.name(), number(rate), it.why)
    });
    Judgement::Found(Found {
        advice: "Take two heap profiles some minutes apart, and compare them; of sockets and files: close them in the path that fails, too.".to_owned(),
        gain: "No restarts: what there is, over the slope, is the time until it is used up.".to_owned(),
        confidence: Some(Confidence::Sampled { share }),
        ..Found::with(said.collect())
    })
}
