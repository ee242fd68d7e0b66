//! The summary of a run for machines: `--format json`.
//!
//! | key | what it holds |
//! |---|---|
//! | `schema_version` | version of this form; a key is never given another meaning within one |
//! | `scenario`, `workload_digest`, `started_at`, `seed` | what was run |
//! | `target_url`, `target_origin`, `load` | against what, and how: stages, times, iterations |
//! | `gander` | `version`, `commit`, `optimised_build` |
//! | `stop` | `duration`, `iterations`, `interrupted`, `terminated`, `failed`, or `killed` |
//! | `validity` | `valid`, `reasons` |
//! | `verdicts` | a list of `rule`, `measured`, `ruling` (`passed`, `failed`, `unknown`) |
//! | `measured` | the measured part: `start_s`, `end_s`, `length_s` since the run's start |
//! | `total` | figures of all steps together |
//! | `steps` | a list of figures with `name`, `method`, `path` |
//! | `resources` | `target` and `generator`: CPU, memory, the most threads, files, sockets; of the generator alone `timer_lag_max_ms` |
//! | `ledger` | totals of the whole run, `balances` |
//! | `errors` | failures of the whole run by step, outcome and status, with examples |
//!
//! Figures: `count` (successes and failures due in the measured part), `ok`, `failed`,
//! `failure_share` (0 to 1), `rps` and `ok_rps` (ended in the measured part, per second),
//! `outcomes`, `bytes_sent`, `bytes_received`, `connections_opened`, and for each of
//! `response_time`, `service_time`, `first_byte`, `connect`, `tls`, `send_lag` the `count` and
//! `mean_ms`, `min_ms`, `p50_ms`, `p90_ms`, `p95_ms`, `p99_ms`, `p999_ms`, `max_ms`. They are of
//! successes of the measured part; `connections_opened`, `connect` and `tls` alone are of the whole
//! run, requests that failed included, those cut off by the stop of the run not.
//! What was not measured is `null`, never zero.

use serde_json::{Map, Value, json};

use crate::analysis::Assessment;
use crate::measure::metric::Metric;
use crate::measure::resource::Observed;
use crate::measure::sample::Outcome;
use crate::measure::summary::{Figures, Latency};
use crate::store::run::Run;

use super::resources::Resources;

/// Version of the form.
pub const SCHEMA_VERSION: u32 = 1;

/// The summary of `run`, as judged by `assessment`.
pub fn summary(run: &Run, assessment: &Assessment) -> Value {
    let (start, plan) = (&run.start, &run.start.plan);
    let window = assessment.summary.window;
    let rps = assessment.summary.total.rps;
    let used = |who| resources(&Resources::of(run, who, window, rps));
    let stop = run.end.as_ref().map_or(json!("killed"), |end| json!(end.stop));
    let steps = plan.steps.iter().zip(&assessment.summary.steps).map(|(step, of_step)| {
        let mut all = Map::new();
        all.insert("name".to_owned(), json!(step.name));
        all.insert("method".to_owned(), json!(step.method));
        all.insert("path".to_owned(), json!(step.path));
        all.extend(figures(of_step));
        Value::Object(all)
    });
    json!({
        "schema_version": SCHEMA_VERSION,
        "scenario": plan.scenario,
        "workload_digest": plan.digest,
        "started_at": start.started_at,
        "seed": plan.seed,
        "target_url": plan.target.url,
        "target_origin": plan.target.origin,
        "load": plan.load,
        "gander": {
            "version": start.environment.gander_version,
            "commit": start.environment.gander_commit,
            "optimised_build": start.environment.optimised_build,
        },
        "stop": stop,
        "validity": {
            "valid": assessment.validity.is_valid(),
            "reasons": assessment.validity.reasons,
        },
        "verdicts": assessment.verdicts,
        "measured": {
            "start_s": window.start.as_secs_f64(),
            "end_s": window.end.as_secs_f64(),
            "length_s": window.length().as_secs_f64(),
        },
        "total": figures(&assessment.summary.total),
        "steps": steps.collect::<Vec<_>>(),
        "resources": {
            "target": used(Observed::Target),
            "generator": used(Observed::Generator),
        },
        "ledger": ledger(run),
        "errors": errors(run),
    })
}

/// The name of an outcome as a key: as in the run folder.
fn key(outcome: Outcome) -> String {
    match json!(outcome) {
        Value::String(name) => name,
        other => other.to_string(),
    }
}

fn figures(figures: &Figures) -> Map<String, Value> {
    let outcomes: Map<String, Value> =
        figures.outcomes.iter().map(|(outcome, count)| (key(*outcome), json!(count))).collect();
    let mut all = Map::new();
    let mut put = |name: &str, value: Value| all.insert(name.to_owned(), value);
    put("count", json!(figures.count()));
    put("ok", json!(figures.ok()));
    put("failed", json!(figures.failed()));
    put("failure_share", json!(figures.failure_share()));
    put("rps", json!(figures.rps));
    put("ok_rps", json!(figures.ok_rps));
    put("outcomes", Value::Object(outcomes));
    put("bytes_sent", json!(figures.traffic.bytes.sent));
    put("bytes_received", json!(figures.traffic.bytes.received));
    put("connections_opened", json!(figures.traffic.connections_opened));
    for metric in Metric::ALL {
        put(metric.name(), figures.latency(metric).map_or(Value::Null, latency));
    }
    all
}

fn latency(latency: &Latency) -> Value {
    let mut all = Map::new();
    all.insert("count".to_owned(), json!(latency.count));
    for (name, ms) in [
        ("mean_ms", latency.mean_ms),
        ("min_ms", latency.min_ms),
        ("p50_ms", latency.p50_ms),
        ("p90_ms", latency.p90_ms),
        ("p95_ms", latency.p95_ms),
        ("p99_ms", latency.p99_ms),
        ("p999_ms", latency.p999_ms),
        ("max_ms", latency.max_ms),
    ] {
        all.insert(name.to_owned(), json!(whole_nanoseconds(ms)));
    }
    Value::Object(all)
}

/// Milliseconds without digits that were never measured.
fn whole_nanoseconds(ms: f64) -> f64 {
    (ms * 1e6).round() / 1e6
}

fn resources(used: &Resources) -> Value {
    if used.looks == 0 {
        return Value::Null;
    }
    json!({
        "cpu_mean_percent": used.cpu_mean_percent,
        "cpu_peak_percent": used.cpu_peak_percent,
        "cpu_s": used.cpu_seconds,
        "cpu_ms_per_request": used.cpu_ms_per_request,
        "rss_start_bytes": used.rss_start_bytes,
        "rss_peak_bytes": used.rss_peak_bytes,
        "rss_growth_bytes": used.rss_growth_bytes,
        "processes_max": used.processes,
        "threads_max": used.threads,
        "open_files_max": used.open_files,
        "sockets_max": used.sockets,
        "timer_lag_max_ms": used.timer_lag_max_ms.map(whole_nanoseconds),
    })
}

fn ledger(run: &Run) -> Value {
    let ledger = run.ledger();
    let ended: Map<String, Value> = Outcome::ALL
        .into_iter()
        .filter(|outcome| outcome.was_sent())
        .map(|outcome| (key(outcome), json!(ledger.ended_in(outcome))))
        .collect();
    json!({
        "scheduled": ledger.scheduled,
        "dropped": ledger.dropped,
        "sent": ledger.sent,
        "in_flight": ledger.in_flight,
        "ended": ended,
        "iterations_started": ledger.iterations_started,
        "iterations_ok": ledger.iterations_ok,
        "iterations_failed": ledger.iterations_failed,
        "iterations_cancelled": ledger.iterations_cancelled,
        "balances": ledger.check().is_ok(),
    })
}

fn errors(run: &Run) -> Vec<Value> {
    let steps = &run.start.plan.steps;
    let name = |index: usize| steps.get(index).map(|step| step.name.as_str());
    let listed = run.errors().into_iter().map(|(error, record)| {
        json!({
            "step": name(usize::from(error.step.0)),
            "outcome": key(error.outcome),
            "status": error.status,
            "count": record.count,
            "first_s": record.first.as_secs_f64(),
            "last_s": record.last.as_secs_f64(),
            "examples": record.examples,
        })
    });
    listed.collect()
}
