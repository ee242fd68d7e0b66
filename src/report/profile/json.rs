//! Profiles for machines: the key `profile` of a run's summary.

use serde_json::{Value, json};

use crate::analysis::profile::{ProfileFindings, Profiled};
use crate::profile::table::Row;

/// Functions that are listed; all are in the profile's own files.
const FUNCTIONS: usize = 100;

/// `taken` (profiles), `missing`, `waiting`; `null` where the run was not profiled. Shares are from 0
/// to 1, of all samples. Rows are iterations where the run counts no rows (`rows.counts_rows` of the
/// summary). What was not measured is `null`.
pub fn json(findings: &ProfileFindings) -> Value {
    if findings.taken.is_empty() && findings.missing.is_empty() {
        return Value::Null;
    }
    json!({
        "taken": findings.taken.iter().map(profile).collect::<Vec<_>>(),
        "missing": findings.missing,
        "waiting": findings.waiting,
    })
}

fn profile(profiled: &Profiled) -> Value {
    let record = &profiled.record;
    let rows = |rows: Vec<Row>| -> Vec<Value> {
        rows.iter().take(FUNCTIONS).map(|row| figures(profiled, row)).collect()
    };
    json!({
        "name": record.name,
        "who": record.who,
        "counts": record.counts,
        "sampler": record.sampler,
        "from_s": record.from.as_secs_f64(),
        "to_s": record.to.as_secs_f64(),
        "sampled_s": record.sampled.as_secs_f64(),
        "frequency": record.frequency,
        "effective_frequency": profiled.effective_frequency,
        "samples": profiled.total(),
        "empty": record.empty,
        "lost": record.lost,
        "sound": profiled.is_sound(),
        "weaknesses": profiled.weaknesses,
        "cpu_s": profiled.cpu_seconds,
        "requests": profiled.requests,
        "rows": profiled.rows,
        "cpu_ms_per_request": profiled.ms_per_request(profiled.total()),
        "cpu_ms_per_row": profiled.ms_per_row(profiled.total()),
        "functions": rows(profiled.functions.by_own()),
        "modules": rows(profiled.modules.by_own()),
    })
}

fn figures(profiled: &Profiled, row: &Row) -> Value {
    json!({
        "name": row.name,
        "self": row.own,
        "cumulative": row.cumulative,
        "self_share": profiled.share(row.own),
        "cumulative_share": profiled.share(row.cumulative),
        "self_s": profiled.seconds(row.own),
        "cumulative_s": profiled.seconds(row.cumulative),
        "self_ms_per_request": profiled.ms_per_request(row.own),
        "cumulative_ms_per_request": profiled.ms_per_request(row.cumulative),
        "self_ms_per_row": profiled.ms_per_row(row.own),
        "cumulative_ms_per_row": profiled.ms_per_row(row.cumulative),
    })
}
