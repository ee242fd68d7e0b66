//! The summary of a run for machines: `--format json`.
//!
//! | key | what it holds |
//! |---|---|
//! | `schema_version` | version of this form; a key is never given another meaning within one |
//! | `scenario`, `workload_digest`, `started_at`, `seed` | what was run |
//! | `variant`, `settings` | what was laid over the scenario: `null` or a name, and a list of `KEY=VALUE` |
//! | `target_url`, `target_origin`, `load` | against what, and how: stages, times, iterations |
//! | `http` | `version` (`http1`, `http2`), `shared` (connections that all users shared, or `null`), `insecure` |
//! | `gander` | `version`, `commit`, `optimised_build` |
//! | `stop` | `duration`, `iterations`, `interrupted`, `terminated`, `failed`, or `killed` |
//! | `validity` | `valid`, `reasons` |
//! | `verdicts` | a list of `rule`, `measured`, `ruling` (`passed`, `failed`, `unknown`) |
//! | `measured` | the measured part: `start_s`, `end_s`, `length_s` since the run's start |
//! | `total` | figures of all steps together |
//! | `steps` | a list of figures with `name`, `method`, `path` |
//! | `rows` | rows or iterations of the measured part: how they ended, rates, time, requests, waste, failures; `null` where none was due |
//! | `resources` | `target` and `generator`: CPU, memory, the most threads, files, sockets; of the generator alone `timer_lag_max_ms`; `limits`, and what is looked at once a second at most |
//! | `leaks` | for each resource of the target: verdict, and growth in units a second |
//! | `profile` | `taken` (profiles: quality, functions, modules), `missing`, `waiting`; `null` where the run was not profiled. Commands add it from the profiles beside the journal (`report::profile::json`); shares in it are from 0 to 1 |
//! | `diagnosis` | `findings` (`cause`, `is_fault`, `confidence`, `evidence`, `advice`, `gain`, `or_else`, `tell_apart`), causes that are `clear`, and `not_judged` with why; commands add it, for profiles are evidence too (`report::diagnosis::json`) |
//! | `ledger` | totals of the whole run, `balances` |
//! | `alerts` | a list of `name`, `severity` (`warning`, `critical`), `rule`, `measured`, `fired`: `yes`, `no` or `unknown`, of the whole run, and of a soak `windows`: `judged`, `not_judged`, `fired`, `first_s`, `last_s` |
//! | `soak` | of a soak: `windows`, `drifts`, `resources` (verdicts on leaks), `returned`, `service`, `settled_seconds`; `null` otherwise |
//! | `resumed` | where a run went on after a kill: a list of `at_s`, `resumed_at`, `away_s`, `killed` |
//! | `errors` | failures of the whole run by step, outcome and status, with examples |
//! | `sizing` | where the scenario has a `[sizing]`: `resources` (CPU in processors, memory in bytes: `request`, `limit`, `mean`, `peak`, `headroom`, `word`, `utilization`, `target`, `replicas`), and `replicas`: `wanted` by them, and `desired`, as far as there may be so many |
//! | `server` | the target's own numbers (`looks`, `seconds`, `every_seconds`, `measured_seconds`, `series`, `states`, `grids`, `times`), those `compared` with gander's, and what was to be compared and is `missing`; left out where it was not asked (`--scrape`, `[scrape]`) or did not answer |
//!
//! Figures: `count` (successes and failures due in the measured part), `ok`, `failed`,
//! `failure_share` (0 to 1), `rps` and `ok_rps` (ended in the measured part, per second),
//! `outcomes`, `bytes_sent`, `bytes_received`, `connections_opened`, and for each of
//! `response_time`, `service_time`, `first_byte`, `connect`, `tls`, `send_lag`, and of streams `ttft`,
//! `ttft_from_send`, `first_reasoning`, `inter_chunk`, `tpot`, `tpot_to_end`, `tpot_from_send`, the `count` and
//! `mean_ms`, `min_ms`, `p50_ms`, `p90_ms`, `p95_ms`, `p99_ms`, `p999_ms`, `max_ms`. They are of
//! successes of the measured part; `connections_opened`, `connect` and `tls` alone are of the whole
//! run, requests that failed included, those cut off by the stop of the run not.
//! `tokens` holds `reported` and `not_reported` (responses), `input`, `cached`, `output`, `reasoning`
//! (tokens of requests due in the measured part, each `null` where no response reported that kind),
//! `input_per_s`, `output_per_s` (of responses that
//! ended in it), and `cost`: `currency`, `priced` (requests), `total`, `per_1000_requests`. `goodput`
//! holds `judged`, `good`, `share` (0 to 1), `per_s`. `error_adjusted` holds `response_time` and `ttft`
//! with `succeeded`, `failed` and the percentiles, a failure counting as infinitely slow: such a
//! percentile is a number or `"infinite"`; it is `null` where nothing failed.
//! What was not measured is `null`, never zero.

use serde_json::{Map, Value, json};

use crate::analysis::alerts::AlertVerdict;
use crate::analysis::sizing::{desired, size};
use crate::analysis::{Assessment, Ruling};
use crate::measure::metric::Metric;
use crate::measure::resource::Observed;
use crate::measure::sample::{Offset, Outcome, StepId};
use crate::measure::summary::{Adjusted, Figures, Latency, Merged};
use crate::plan::PlanRecord;
use crate::store::entry::Resumed;
use crate::store::run::Run;

use crate::analysis::leak::judge;
use crate::analysis::resources::Resources;

/// Version of the form.
pub const SCHEMA_VERSION: u32 = 1;

/// The summary of `run`, as judged by `assessment`.
pub fn summary(run: &Run, assessment: &Assessment) -> Value {
    let (start, plan) = (&run.start, &run.start.plan);
    let window = assessment.summary.window;
    let rps = assessment.summary.total.rps;
    let used = |who| resources(&Resources::of(run, who, window, rps));
    let stop = run.end.as_ref().map_or(json!("killed"), |end| json!(end.stop));
    let about = About { plan, merged: &assessment.merged };
    let steps = plan.steps.iter().zip(&assessment.summary.steps).zip(0..);
    let steps = steps.map(|((step, of_step), id)| {
        let mut all = Map::new();
        all.insert("name".to_owned(), json!(step.name));
        all.insert("method".to_owned(), json!(step.method));
        all.insert("path".to_owned(), json!(step.path));
        all.extend(about.figures(of_step, Some(StepId(id))));
        Value::Object(all)
    });
    let mut all = json!({
        "schema_version": SCHEMA_VERSION,
        "scenario": plan.scenario,
        "workload_digest": plan.digest,
        "started_at": start.started_at,
        "seed": plan.seed,
        "variant": plan.variant,
        "settings": plan.settings,
        "target_url": plan.target.url,
        "target_origin": plan.target.origin,
        "load": plan.load,
        "http": plan.http,
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
        "total": about.figures(&assessment.summary.total, None),
        "steps": steps.collect::<Vec<_>>(),
        "leaks": judge(run),
        "resources": {
            "target": used(Observed::Target),
            "generator": used(Observed::Generator),
        },
        "rows": super::run::rows_json(run, assessment),
        "ledger": ledger(run),
        "alerts": assessment.alerts.iter().map(alert).collect::<Vec<_>>(),
        "soak": assessment.soak,
        "resumed": run.resumed.iter().map(resumed).collect::<Vec<_>>(),
        "errors": errors(run),
    });
    if let Some(server) = crate::analysis::server::server(run, &assessment.summary) {
        all["server"] = json!(server);
    }
    if let Some(sizing) = &plan.sizing {
        let used = Resources::of(run, Observed::Target, window, rps).used();
        let sized = size(sizing, &used);
        let replicas = desired(sizing, &sized)
            .map(|(allowed, wanted)| json!({ "desired": allowed, "wanted": wanted }));
        all["sizing"] = json!({ "resources": sized, "replicas": replicas });
    }
    all
}

/// The name of an outcome as a key: as in the run folder.
fn key(outcome: Outcome) -> String {
    match json!(outcome) {
        Value::String(name) => name,
        other => other.to_string(),
    }
}

/// What figures are made from, beside themselves.
struct About<'a> {
    plan: &'a PlanRecord,
    merged: &'a Merged,
}

impl About<'_> {
    /// All figures of one step, or of all of them.
    fn figures(&self, of: &Figures, step: Option<StepId>) -> Map<String, Value> {
        let mut all = figures(of);
        all.insert("tokens".to_owned(), self.tokens(of));
        all.insert("goodput".to_owned(), goodput(of));
        all.insert("error_adjusted".to_owned(), self.adjusted(of, step));
        all
    }

    fn tokens(&self, of: &Figures) -> Value {
        let tokens = of.traffic.tokens;
        if tokens.reported == 0 {
            return Value::Null;
        }
        let cost = tokens.cost().map(|cost| {
            json!({
                "currency": self.plan.prices.currency,
                "priced": tokens.priced,
                "total": cost,
                "per_1000_requests": cost / tokens.priced as f64 * 1000.0,
            })
        });
        json!({
            "reported": tokens.reported,
            "not_reported": of.count().saturating_sub(tokens.reported),
            "input": tokens.input,
            "cached": tokens.cached,
            "output": tokens.output,
            "reasoning": tokens.reasoning,
            "input_per_s": of.input_tokens_per_s,
            "output_per_s": of.output_tokens_per_s,
            "cost": cost,
        })
    }

    fn adjusted(&self, of: &Figures, step: Option<StepId>) -> Value {
        if of.failed() == 0 {
            return Value::Null;
        }
        let is_it = |of: StepId| step.is_none_or(|step| step == of);
        let streams =
            |of: StepId| self.plan.steps.get(usize::from(of.0)).is_some_and(|step| step.streams);
        let response_time = self.merged.adjusted(Metric::ResponseTime, is_it);
        let ttft = self.merged.adjusted(Metric::Ttft, |of| is_it(of) && streams(of));
        json!({
            "response_time": response_time.as_ref().map(adjusted),
            "ttft": ttft.as_ref().map(adjusted),
        })
    }
}

fn adjusted(adjusted: &Adjusted) -> Value {
    let percentile =
        |ms: Option<f64>| ms.map_or_else(|| json!("infinite"), |ms| json!(whole_nanoseconds(ms)));
    json!({
        "succeeded": adjusted.succeeded,
        "failed": adjusted.failed,
        "p50_ms": percentile(adjusted.p50_ms),
        "p90_ms": percentile(adjusted.p90_ms),
        "p95_ms": percentile(adjusted.p95_ms),
        "p99_ms": percentile(adjusted.p99_ms),
        "p999_ms": percentile(adjusted.p999_ms),
    })
}

fn goodput(of: &Figures) -> Value {
    let (judged, good) = (of.traffic.judged, of.traffic.good);
    if judged == 0 {
        return Value::Null;
    }
    json!({
        "judged": judged,
        "good": good,
        "share": of.good_share(),
        "per_s": of.good_per_s,
    })
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
        "pss_peak_bytes": used.detail.pss_peak_bytes,
        "tcp_sockets_max": used.detail.tcp,
        "waiting_threads": used.detail.waiting_threads,
        "busiest_thread_percent": used.detail.busiest_thread_percent,
        "voluntary_switches_per_s": used.detail.voluntary_per_s,
        "involuntary_switches_per_s": used.detail.involuntary_per_s,
        "throttled_s": used.detail.throttled_seconds,
        "limits": used.limits,
        "cost_percent": used.cost_percent,
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
        "lost": ledger.lost,
        "ended": ended,
        "iterations_started": ledger.iterations_started,
        "iterations_ok": ledger.iterations_ok,
        "iterations_partial": ledger.iterations_partial,
        "iterations_failed": ledger.iterations_failed,
        "iterations_cancelled": ledger.iterations_cancelled,
        "iterations_dropped": ledger.iterations_dropped,
        "iterations_lost": ledger.iterations_lost,
        "balances": ledger.check().is_ok(),
    })
}

fn alert(alert: &AlertVerdict) -> Value {
    let fired = match alert.ruling {
        Ruling::Failed => "yes",
        Ruling::Passed => "no",
        Ruling::Unknown => "unknown",
    };
    let windows = alert.windows.map(|windows| {
        json!({
            "judged": windows.judged,
            "not_judged": windows.not_judged,
            "fired": windows.fired,
            "first_s": windows.first.map(Offset::as_secs_f64),
            "last_s": windows.last.map(Offset::as_secs_f64),
        })
    });
    json!({
        "name": alert.name,
        "severity": alert.severity,
        "rule": alert.rule,
        "measured": alert.measured,
        "fired": fired,
        "windows": windows,
    })
}

fn resumed(resumed: &Resumed) -> Value {
    json!({
        "at_s": resumed.at.as_secs_f64(),
        "resumed_at": resumed.resumed_at,
        "away_s": resumed.away_seconds,
        "killed": resumed.killed,
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
