//! The figures of a self-test for machines: `summary` of `selftest.json`, and `--format json`.
//!
//! | key | what it holds |
//! |---|---|
//! | `passed` | whether counts are exact and the smallest load of each kind holds |
//! | `counts_exact` | whether every count of every run is the service's |
//! | `holds_up_to` | `users` and `rate` (arrivals a second); `null` where the smallest does not hold, or none was tried |
//! | `fails_at` | the same, of the smallest load that does not hold; `null` where all hold |
//! | `largest_p99_error_ms` | among the loads that hold |
//! | `bounds` | `time_ms`, `time_share` (the larger counts), `send_lag_p99_ms`, `rate_share` |
//! | `runs` | every run, in order |
//!
//! Runs: `work` (`answers`, `streams`), `load` (`users` or `rate`), `exact`, `holds`, `problems`,
//! `valid`, `reasons`; `counts`: by name `gander` and `ledger`; `times`: by metric (`service_time`,
//! `ttft_from_send`, `inter_chunk`) `count`, `holds` and for `p50`, `p95` and `p99` each `gander_ms`,
//! `ledger_ms`, `error_ms`, `allowed_ms`; `arrivals` (`null` under users): `due`, `begun`, `dropped`,
//! `send_lag_p50_ms`, `send_lag_p99_ms`, `send_lag_max_ms`; `rps`, `cpu_ms_per_request`, `threads_busy`
//! (0 to 1). What was not measured is `null`, never zero.

use serde_json::{Map, Value, json};

use crate::analysis::accuracy::{
    ALLOWED_MS, ALLOWED_SHARE, Accuracy, Pair, Punctuality, RATE_SHARE, Reach, SEND_LAG_MS, Time,
    Trial,
};

/// The figures of the self-test.
pub fn summary(accuracy: &Accuracy) -> Value {
    let (users, rate) = (accuracy.users(), accuracy.rate());
    let of = |pick: fn(Reach) -> Option<f64>| {
        let whole = users.and_then(pick).map(|users| users as u64);
        json!({ "users": whole, "rate": rate.and_then(pick) })
    };
    json!({
        "passed": accuracy.passes(),
        "counts_exact": accuracy.is_exact(),
        "holds_up_to": of(|reach| reach.up_to),
        "fails_at": of(|reach| reach.fails_at),
        "largest_p99_error_ms": accuracy.worst_p99_ms().map(rounded),
        "bounds": {
            "time_ms": ALLOWED_MS,
            "time_share": ALLOWED_SHARE,
            "send_lag_p99_ms": SEND_LAG_MS,
            "rate_share": RATE_SHARE,
        },
        "runs": accuracy.trials.iter().map(run).collect::<Vec<_>>(),
    })
}

fn run(trial: &Trial) -> Value {
    let counts = trial.counts.iter().map(|count| {
        let key = count.what.replace(' ', "_");
        (key, json!({ "gander": count.ours, "ledger": count.service }))
    });
    let times = trial.times.iter().map(|time| (time.metric.name().to_owned(), time_of(time)));
    json!({
        "work": trial.work,
        "load": trial.load,
        "exact": trial.is_exact(),
        "holds": trial.holds(),
        "problems": trial.problems(),
        "valid": trial.reasons.is_empty(),
        "reasons": trial.reasons,
        "counts": counts.collect::<Map<_, _>>(),
        "times": times.collect::<Map<_, _>>(),
        "arrivals": trial.punctuality.as_ref().map(arrivals),
        "rps": trial.cost.rps,
        "cpu_ms_per_request": trial.cost.cpu_ms,
        "threads_busy": trial.cost.busy,
    })
}

fn time_of(time: &Time) -> Value {
    let mut all = Map::new();
    all.insert("count".to_owned(), json!(time.count));
    all.insert("holds".to_owned(), json!(time.holds()));
    all.extend(time.quantiles().map(|(name, pair)| (name.to_owned(), both(&pair))));
    Value::Object(all)
}

fn both(pair: &Pair) -> Value {
    json!({
        "gander_ms": rounded(pair.ours_ms),
        "ledger_ms": rounded(pair.service_ms),
        "error_ms": rounded(pair.error_ms()),
        "allowed_ms": rounded(pair.allowed_ms()),
    })
}

fn arrivals(open: &Punctuality) -> Value {
    json!({
        "due": open.due,
        "begun": open.begun,
        "dropped": open.dropped,
        "send_lag_p50_ms": open.lag.map(|lag| rounded(lag.p50_ms)),
        "send_lag_p99_ms": open.lag.map(|lag| rounded(lag.p99_ms)),
        "send_lag_max_ms": open.lag.map(|lag| rounded(lag.max_ms)),
    })
}

/// Milliseconds without digits that were never measured.
fn rounded(ms: f64) -> f64 {
    (ms * 1e6).round() / 1e6
}
