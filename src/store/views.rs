//! The files of a run folder that other tools read: each is a view of the journal.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::Error;
use crate::measure::summary::Summary;
use crate::measure::validity::Validity;

use super::entry::SCHEMA_VERSION;
use super::folder::RunFolder;
use super::run::Run;

/// Writes `run.json`, `latency.hlog`, `ledger.json`, `resources.jsonl` and `errors.jsonl`.
pub fn write(
    folder: &RunFolder,
    run: &Run,
    summary: &Summary,
    validity: &Validity,
) -> Result<(), Error> {
    folder.write("latency.hlog", interval_log(run).as_bytes())?;
    folder.write("ledger.json", pretty(&run.ledger()).as_bytes())?;
    folder.write("resources.jsonl", lines(&run.resources).as_bytes())?;
    folder.write("errors.jsonl", errors(run).as_bytes())?;
    // Last, for it says that the others are there.
    folder.write("run.json", pretty(&run_json(run, summary, validity)).as_bytes())
}

fn run_json(run: &Run, summary: &Summary, validity: &Validity) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "started_at": run.start.started_at,
        "plan": run.start.plan,
        "environment": run.start.environment,
        "end": run.end,
        "events": run.events,
        "summary": summary,
        "validity": validity,
    })
}

fn pretty(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value);
    text.expect("invariant: our own types serialise: string keys, no failing serialisers") + "\n"
}

fn lines<T: Serialize>(values: &[T]) -> String {
    values.iter().map(line).collect()
}

fn line(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value);
    text.expect("invariant: our own types serialise: string keys, no failing serialisers") + "\n"
}

fn errors(run: &Run) -> String {
    let name = |step: crate::measure::sample::StepId| {
        run.start.plan.steps.get(usize::from(step.0)).map(|step| step.name.as_str())
    };
    run.errors()
        .iter()
        .map(|(key, record)| {
            line(&json!({
                "step": name(key.step),
                "outcome": key.outcome,
                "status": key.status,
                "count": record.count,
                "first_seconds": record.first.as_secs_f64(),
                "last_seconds": record.last.as_secs_f64(),
                "examples": record.examples,
            }))
        })
        .collect()
}

/// The HDR interval log: one line for each second, step, metric, outcome and phase. Values are
/// nanoseconds; the tag is `step/metric/outcome/phase`, with what the format forbids replaced.
fn interval_log(run: &Run) -> String {
    let mut log = String::from("#[Histogram log format version 1.3]\n#[Values are nanoseconds]\n");
    log.push_str("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n");
    for interval in &run.intervals {
        for (key, stored) in &interval.distributions {
            let step = run.start.plan.steps.get(usize::from(key.step.0));
            let tag: String = format!(
                "{}/{}/{}/{:?}",
                step.map_or("unknown", |step| step.name.as_str()),
                key.metric.name(),
                key.outcome.name(),
                key.phase
            )
            .chars()
            .map(|c| if c == ',' || c.is_whitespace() || c.is_control() { '_' } else { c })
            .collect();
            let start = interval.start.as_secs_f64();
            let length = interval.end.since(interval.start).as_secs_f64();
            writeln!(log, "Tag={tag},{start:.3},{length:.3},{},{}", stored.max_ns, stored.hdr)
                .expect("invariant: writing to a String does not fail");
        }
    }
    log
}
