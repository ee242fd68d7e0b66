//! What a reader wants first: title, verdict, key figures.

use std::time::Duration;

use crate::analysis::{Ruling, Verdict};
use crate::measure::metric::Metric;
use crate::measure::resource::Observed;
use crate::measure::sample::Outcome;
use crate::measure::summary::Latency;
use crate::plan::{Purpose, Stop};
use crate::report::format;
use crate::report::model::{Block, Column, Section, Table, Text, Tone};
use crate::schedule::{LoadModel, OpenLoad};

use super::{Source, leak, load};

/// The title says it where a run is not valid or not whole.
pub fn title(source: &Source<'_>) -> String {
    let what = match source.plan().purpose {
        Purpose::Soak => "Soak",
        Purpose::Load | Purpose::Profile => "Load run",
    };
    let title = format!("{what}: {}", source.plan().scenario);
    match source.flag() {
        Some(flag) => format!("{title} ({flag})"),
        None => title,
    }
}

/// The verdict in a line; why the run is partial; what the scenario is.
pub fn subtitle(source: &Source<'_>) -> Vec<Text> {
    let mut lines = vec![verdict(source)];
    lines.extend(leak::in_short(source));
    lines.push(what(source));
    if let Some(why) = source.partial() {
        lines.push(Text::emphasis(Tone::Warning, "partial:").plain(format!(" {why}")));
    }
    let summary = &source.plan().summary;
    if !summary.is_empty() {
        lines.push(summary.as_str().into());
    }
    lines
}

/// The load and the target, by which one report is told from another.
fn what(source: &Source<'_>) -> Text {
    let target = &source.plan().target;
    Text::from(format!("{}, against ", load::in_words(source.load())))
        .code(&target.url)
        .plain(format!(", {}", target.origin))
}

fn verdict(source: &Source<'_>) -> Text {
    let text = match source.is_valid() {
        true => Text::emphasis(Tone::Good, "Valid").plain(" run"),
        false => Text::emphasis(Tone::Bad, "INVALID")
            .plain(format!(": {}", source.assessment.validity.reasons.join("; "))),
    };
    let total = &source.summary().total;
    let text = match total.failure_share().filter(|_| total.failed() > 0) {
        None => text,
        Some(share) => text
            .plain(" \u{b7} ")
            .strong(Tone::Bad, format!("{} of requests failed", format::share(share))),
    };
    let ledger = source.run.ledger();
    let text = match ledger.iterations_dropped {
        0 => text,
        dropped => {
            let due = ledger.iterations_started + dropped;
            let share = format::share(dropped as f64 / due as f64);
            text.plain(" \u{b7} ").strong(
                Tone::Bad,
                format!(
                    "{} of {} arrivals dropped ({share}): no place in flight",
                    format::count(dropped),
                    format::count(due)
                ),
            )
        }
    };
    let verdicts = &source.assessment.verdicts;
    if verdicts.is_empty() {
        return text.plain(" \u{b7} no SLOs set: nothing was judged");
    }
    let text = text.plain(" \u{b7} SLOs: ");
    let of = |ruling| verdicts.iter().filter(|verdict| verdict.ruling == ruling).count();
    let all = verdicts.len();
    let (passed, failed, unknown) = (of(Ruling::Passed), of(Ruling::Failed), of(Ruling::Unknown));
    let text = match (failed, unknown) {
        (0, 0) if source.is_valid() => text.strong(Tone::Good, format!("{passed} of {all} passed")),
        (0, 0) => text.strong(Tone::Warning, format!("{passed} of {all} held, in an invalid run")),
        (0, _) => text.strong(Tone::Warning, format!("{unknown} of {all} undecided")),
        (_, 0) => text.strong(Tone::Bad, format!("{failed} of {all} failed")),
        _ => text.strong(Tone::Bad, format!("{failed} of {all} failed, {unknown} undecided")),
    };
    match source.is_valid() {
        true => text,
        false => text.plain("; none of them counts as a pass"),
    }
}

fn in_short(latency: Option<&Latency>) -> String {
    match latency {
        Some(latency) => format!(
            "mean {} ms, p50 {} ms, p95 {} ms, p99 {} ms, max {} ms",
            format::millis(latency.mean_ms),
            format::millis(latency.p50_ms),
            format::millis(latency.p95_ms),
            format::millis(latency.p99_ms),
            format::millis(latency.max_ms),
        ),
        None => "no request succeeded".to_owned(),
    }
}

/// What was due, what was begun of it, and how late.
fn arrivals(source: &Source<'_>, load: &OpenLoad) -> String {
    let ledger = source.run.ledger();
    let began = Duration::from_nanos(source.window().start.0).saturating_sub(load.warm_up);
    let lasted = Duration::from_nanos(source.window().end.0).saturating_sub(began);
    let lasted = match source.partial() {
        None if load.iterations.is_none() => load.duration,
        _ => lasted + load.cool_down,
    };
    let planned = match (load.iterations, source.run.end.as_ref().map(|end| end.stop)) {
        (Some(iterations), Some(Stop::Iterations)) => iterations..=iterations,
        _ => load.due_before(lasted, source.plan().seed),
    };
    let (fewest, planned) = planned.into_inner();
    let in_words = match fewest == planned {
        true => format::count(planned),
        false => format!("{} to {}", format::count(fewest), format::count(planned)),
    };
    let begun = format!(
        "{in_words} planned, {} begun, {} dropped",
        format::count(ledger.iterations_started),
        format::count(ledger.iterations_dropped)
    );
    let delivered = ledger.iterations_started + ledger.iterations_dropped;
    let seconds = lasted.as_secs_f64();
    let rates = match seconds > 0.0 {
        true => format!(
            " ({} a second planned, {} delivered)",
            format::rate(planned as f64 / seconds),
            format::rate(delivered as f64 / seconds)
        ),
        false => String::new(),
    };
    let lag = source.summary().total.latency(Metric::SendLag);
    let lag = lag.map_or_else(
        || format::NOT_MEASURED.to_owned(),
        |lag| format!("{} ms", format::millis(lag.p99_ms)),
    );
    format!("{begun}{rates}; send lag p99 {lag}")
}

/// The figures of the whole run in a few lines.
pub fn key_figures(source: &Source<'_>) -> Section {
    let section = Section::new("Key figures");
    let total = &source.summary().total;
    if total.count() == 0 {
        return section.with(
            "No request ended in the measured part of the run: there are no figures for latency or throughput.",
        );
    }
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), Text::from(value)));
    if let Some((rps, ok)) = total.rps.zip(total.ok_rps) {
        let of_which = if total.failed() > 0 {
            format!(", {} successful", format::rate(ok))
        } else {
            String::new()
        };
        fact("Throughput", format!("{} requests/s{of_which}", format::rate(rps)));
    }
    fact("Response time", in_short(total.latency(Metric::ResponseTime)));
    if let LoadModel::Open(load) = source.load() {
        fact("Service time", in_short(total.latency(Metric::ServiceTime)));
        fact("Arrivals", arrivals(source, load));
    }
    let share = total.failure_share().map(format::share).unwrap_or_default();
    let of_all = format::counted(total.count(), "request", "requests");
    fact("Failures", format!("{} of {of_all} ({share})", format::count(total.failed())));
    let again = total.outcomes.get(&Outcome::Retried).copied().unwrap_or(0);
    if again > 0 {
        let attempts = format::count(total.count() + again);
        fact("Attempts", format!("{attempts} for {of_all} ({} made again)", format::count(again)));
    }
    fact("Load", {
        let size = load::size(source.load());
        format!("{size}, measured for {}", format::duration(source.window().length()))
    });
    for (who, name) in [(Observed::Target, "Target"), (Observed::Generator, "Generator")] {
        let used = source.resources(who);
        let cpu = used.cpu_mean_percent.map_or(format::NOT_MEASURED.to_owned(), |percent| {
            format!("{} of one processor", format::cpu(percent))
        });
        let peak = used.rss_peak_bytes.map_or(format::NOT_MEASURED.to_owned(), format::bytes);
        fact(
            name,
            match used.looks {
                0 => format::NOT_MEASURED.to_owned(),
                _ => format!("CPU {cpu}, memory at most {peak}"),
            },
        );
    }
    section.with(Block::Facts(facts))
}

/// What the scenario demands, and whether it held.
pub fn verdicts(source: &Source<'_>) -> Section {
    let section = Section::new("Verdicts").brief(!source.assessment.verdicts.is_empty());
    if source.assessment.verdicts.is_empty() {
        return section.with("The scenario sets no SLOs.");
    }
    let mut table =
        Table::new([Column::words("Rule"), Column::words("Measured"), Column::words("Verdict")]);
    for Verdict { rule, measured, ruling } in &source.assessment.verdicts {
        let ruling = match ruling {
            Ruling::Passed if source.is_valid() => Text::emphasis(Tone::Good, "passed"),
            Ruling::Passed => Text::emphasis(Tone::Warning, "held, but the run is invalid"),
            Ruling::Failed => Text::emphasis(Tone::Bad, "FAILED"),
            Ruling::Unknown => Text::emphasis(Tone::Warning, "undecided"),
        };
        table.rows.push(vec![Text::literal(rule).into(), measured.as_str().into(), ruling.into()]);
    }
    section.with(table)
}
