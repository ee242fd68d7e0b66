//! What a sweep found, in sentences.

use crate::analysis::capacity::search::{Of, Outcome};
use crate::analysis::capacity::{Capacity, Gain, Group, PointFigures};
use crate::report::format;
use crate::report::model::{Text, Tone};
use crate::scenario::slo::{Measure, Slo};
use crate::stats::bootstrap::Interval;
use crate::stats::usl::Fit;
use crate::store::sweep::{Dimension, SweepEnd, SweepRecord};

/// Below this share of explained variance, or with a residual beyond [`ROUGH_RESIDUAL`], the law only
/// sketches the points.
const ROUGH_R_SQUARED: f64 = 0.95;
/// As a share of what the law says.
const ROUGH_RESIDUAL: f64 = 0.1;

/// The dimension of the first axis.
fn dimension(record: &SweepRecord) -> Option<&Dimension> {
    record.axes.first().map(|axis| &axis.dimension)
}

/// A value of the first axis in words.
pub fn value(record: &SweepRecord, value: &str) -> String {
    dimension(record).map_or_else(|| value.to_owned(), |dimension| dimension.in_words(value))
}

fn load(record: &SweepRecord, load: f64) -> String {
    value(record, &load.to_string())
}

fn loads(record: &SweepRecord, all: &[f64]) -> String {
    all.iter().map(|one| load(record, *one)).collect::<Vec<_>>().join(", ")
}

fn rules(record: &SweepRecord) -> String {
    record.until.iter().map(|slo| format!("`{slo}`")).collect::<Vec<_>>().join(" and ")
}

fn trials(of: &Of) -> String {
    format!("{} of {}", of.did, format::counted(u64::from(of.all), "trial", "trials"))
}

/// How sure it is that a load holds.
fn tone(held: &Of) -> Tone {
    if held.did == held.all { Tone::Good } else { Tone::Warning }
}

/// Loads that held in some runs and broke in others, where there are any.
fn not_sharp(record: &SweepRecord, mixed: &[f64]) -> Option<Text> {
    (!mixed.is_empty()).then(|| {
        Text::emphasis(Tone::Warning, "Not sharp:")
            .plain(format!(" {} held in some runs and broke in others.", loads(record, mixed)))
    })
}

/// Adds to the answer `safe` what share of the requests failed at that load, where any did: the rules
/// may say nothing of it.
fn with_failures(answer: Text, record: &SweepRecord, capacity: &Capacity, safe: f64) -> Text {
    let mut levels = capacity.groups.iter().flat_map(|group| &group.levels);
    let level = levels.find(|level| level.number == Some(safe) && level.figures.failed > 0);
    let Some(PointFigures { failed, count, .. }) = level.map(|level| level.figures) else {
        return answer;
    };
    let share = format::share(failed as f64 / count as f64);
    let bounds =
        |slo: &Slo| matches!(slo.measure, Measure::Failures | Measure::FailedRows | Measure::Good);
    let why = match record.until.iter().any(bounds) {
        true => "",
        false => ": no rule of this search bounds failures",
    };
    answer.plain("; ").strong(Tone::Warning, format!("{share} of its requests failed")).plain(why)
}

/// The largest load below the answer that always held, and the smallest that always broke.
fn interval(always_held: Option<f64>, always_broke: Option<f64>) -> Text {
    Text::from(match (always_held, always_broke) {
        (Some(low), Some(high)) => format!(
            "Its interval: [{low}, {high}], from the largest load that held in all its runs to the \
             smallest that broke in all of them."
        ),
        (Some(low), None) => format!(
            "Its interval begins at {low}; no load broke in all its runs, so that it has no upper end."
        ),
        (None, Some(high)) => format!(
            "Its interval ends at {high}; no load held in all its runs, so that it has no lower end."
        ),
        (None, None) => {
            "It has no interval: no load held in all its runs, or broke in all of them.".to_owned()
        }
    })
}

/// The answer of a search in a line, and what else must be known of it.
pub fn answer(record: &SweepRecord, capacity: &Capacity) -> Vec<Text> {
    let Some(outcome) = &capacity.answer else { return Vec::new() };
    match outcome {
        Outcome::Limit { safe, held, next, broke, always_held, always_broke, mixed, above } => {
            let answer = Text::from("Max safe load: ")
                .strong(tone(held), load(record, *safe))
                .plain(format!(
                    " (confirmed in {}; {} broke {} in {})",
                    trials(held),
                    load(record, *next),
                    rules(record),
                    trials(broke),
                ));
            let mut lines = vec![
                with_failures(answer, record, capacity, *safe),
                interval(*always_held, *always_broke),
            ];
            lines.extend(not_sharp(record, mixed));
            if !above.is_empty() {
                lines.push(Text::emphasis(Tone::Warning, "Not monotone:").plain(format!(
                    " {} held in at least one run, although a smaller load broke.",
                    loads(record, above)
                )));
            }
            lines
        }
        Outcome::NoLimit { safe, held, mixed } => {
            let answer = Text::from("No limit found: ")
                .strong(tone(held), load(record, *safe))
                .plain(format!(", the largest load of this sweep, held in {}", trials(held)));
            let mut lines = vec![with_failures(answer, record, capacity, *safe)];
            lines.extend(not_sharp(record, mixed));
            lines
        }
        Outcome::NoneSafe { smallest, broke } => {
            vec![Text::emphasis(Tone::Bad, "No safe load:").plain(format!(
                " even {} broke {} in {}.",
                load(record, *smallest),
                rules(record),
                trials(broke),
            ))]
        }
        Outcome::Unclear { why, safe } => {
            let text = Text::emphasis(Tone::Warning, "Inconclusive:").plain(format!(" {why}."));
            vec![match safe {
                Some(safe) => text.plain(format!(
                    " The largest load that held, with none below it that broke, is {}, unconfirmed.",
                    load(record, *safe)
                )),
                None => text.plain(" Run longer: --duration."),
            }]
        }
    }
}

/// Why the sweep is not whole; `None` where it is.
pub fn end(record: &SweepRecord) -> Option<Text> {
    let points = format::counted(record.points.len() as u64, "point", "points");
    let text = match record.end.as_ref() {
        Some(SweepEnd::Done) => return None,
        Some(SweepEnd::Dead(seen)) => {
            Text::emphasis(Tone::Bad, "Stopped early, the target is dead:")
                .plain(format!(" {seen}"))
        }
        Some(SweepEnd::Budget(why)) => {
            Text::emphasis(Tone::Warning, "Ended by its budget:").plain(format!(" {why}"))
        }
        Some(SweepEnd::Failed(why)) => {
            Text::emphasis(Tone::Bad, "Stopped early:").plain(format!(" {why}"))
        }
        Some(SweepEnd::Interrupted) => Text::emphasis(Tone::Warning, "Interrupted"),
        Some(SweepEnd::Terminated) => Text::emphasis(Tone::Warning, "Terminated"),
        None => Text::emphasis(Tone::Warning, "Killed, or still running"),
    };
    Some(text.plain(format!("; {points} measured")))
}

/// What is worth changing; only where it gains much.
pub fn gain(record: &SweepRecord, gain: &Gain) -> Text {
    let Gain { from, to, times, largest } = gain;
    let by = format!("{} times", format::rate(*times));
    let more = match to == largest {
        true => " It is the largest that was measured: more may gain more.".to_owned(),
        false => " More adds less than 5%.".to_owned(),
    };
    match dimension(record) {
        Some(Dimension::Service(_)) => Text::from("Recommended: ")
            .strong(Tone::Good, value(record, to))
            .plain(format!(" serves {by} as many requests as {}.{more}", value(record, from))),
        _ => Text::from("Throughput: ").strong(Tone::Neutral, value(record, to)).plain(format!(
            " get {by} as many requests answered as {}.{more}",
            value(record, from)
        )),
    }
}

/// What the law says, in words; or why it was not fitted.
pub fn fit(record: &SweepRecord, group: &Group) -> Vec<Text> {
    let fit = match &group.fit {
        Ok(fit) => fit,
        Err(why) => return vec![Text::from(format!("Not fitted: {why}."))],
    };
    let one = match dimension(record) {
        Some(Dimension::Service(key)) => format!("one more of {key}"),
        _ => "each added user".to_owned(),
    };
    let Fit { law, .. } = fit;
    let mut lines = vec![
        Text::from(format!(
            "Alone (\u{3bb}): {} requests/s ({}).",
            format::rate(law.lambda),
            range(fit.lambda, format::rate),
        )),
        Text::from(format!(
            "Contention (\u{3c3}): {} ({}): {one} makes every request wait for what only one can use, for this share of the time that it takes alone.",
            format::share(law.sigma),
            range(fit.sigma, format::share),
        )),
        Text::from(format!(
            "Coherency (\u{3ba}): {} ({}): {one} also costs this share for each that is there already, for having to agree.",
            format::share(law.kappa),
            range(fit.kappa, format::share),
        )),
        peak(fit),
    ];
    let explained = match fit.r_squared {
        Some(r) => format!("R\u{b2} {r:.3}"),
        None => "R\u{b2} does not exist, for all points are the same".to_owned(),
    };
    let is_rough =
        fit.r_squared.is_none_or(|r| r < ROUGH_R_SQUARED) || fit.worst_residual > ROUGH_RESIDUAL;
    let quality = Text::from(format!(
        "Fitted to {}: {explained}, largest distance of a point from the law {}.",
        format::counted(fit.points as u64, "run", "runs"),
        format::share(fit.worst_residual),
    ));
    lines.push(match is_rough {
        false => quality,
        true => quality.plain(" ").strong(
            Tone::Warning,
            "The law only sketches these figures: read the points, not the curve.",
        ),
    });
    lines
}

fn peak(fit: &Fit) -> Text {
    let ceiling = format::rate(fit.law.ceiling());
    let peak = fit.law.peak();
    Text::from(match (peak.is_finite(), fit.law.ceiling().is_finite()) {
        (true, _) => format!(
            "Throughput is highest at N* = {} ({}), with {ceiling} requests/s, and falls beyond.",
            format::rate(peak),
            range(fit.peak, format::rate),
        ),
        (false, true) => format!(
            "Throughput never falls, and comes no higher than {ceiling} requests/s (\u{3bb}/\u{3c3})."
        ),
        (false, false) => "Throughput grows with the load, without a limit in sight.".to_owned(),
    })
}

fn range(interval: Interval, shown: fn(f64) -> String) -> String {
    match interval.high.is_finite() {
        true => format!("95%: {} to {}", shown(interval.low), shown(interval.high)),
        false if interval.low.is_finite() => format!("95%: {} or more", shown(interval.low)),
        false => "95%: no bound".to_owned(),
    }
}
