//! What was measured of each run, as expressions see it. [`super::names`] says what each is.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::names::TIMES;
use crate::analysis::diagnose::Diagnosis;
use crate::analysis::group::Group;
use crate::analysis::profile::{ProfileFindings, Profiled};
use crate::analysis::resources::Resources;
use crate::analysis::{Assessment, Ruling, leak};
use crate::measure::metric::Metric;
use crate::measure::resource::Observed;
use crate::measure::rows::{IterationEnd, RowFigures};
use crate::measure::summary::{Figures, Latency};
use crate::measure::validity::Validity;
use crate::profile::table::Row;
use crate::scenario::slo::Severity;

/// Everything that a run of a study left behind.
#[derive(Debug)]
pub struct Measured {
    /// Its slices as one measurement.
    pub group: Group,
    /// What speaks against the figures of any of them.
    pub validity: Validity,
    /// What its last slice means.
    pub last: Assessment,
    /// What it suffers from.
    pub diagnosis: Diagnosis,
    /// What the target answered after the last slice, by name.
    pub asked: BTreeMap<String, Value>,
    /// What its ledger held then, of a reference service.
    pub ledger: Option<Value>,
    /// What that of the service behind it held.
    pub behind: Option<Value>,
    /// What its profile says, where it has one, and how its requests spent their time.
    pub profile: ProfileFindings,
}

impl Measured {
    /// Its figures.
    pub fn figures(&self) -> Value {
        let Group { runs, summary, .. } = &self.group;
        let mut all = requests(&summary.total);
        let mut put = |name: &str, value: Value| all.insert(name.to_owned(), value);
        for (name, metric) in [
            ("service", Metric::ServiceTime),
            ("first_byte", Metric::FirstByte),
            ("connect", Metric::Connect),
            ("ttft", Metric::Ttft),
            ("inter_chunk", Metric::InterChunk),
            ("tpot", Metric::Tpot),
        ] {
            put(name, summary.total.latency(metric).map_or(Value::Null, times));
        }
        put("connections", json!(summary.total.traffic.connections_opened));
        put("seconds", json!(summary.window.length().as_secs_f64()));
        put("elapsed", json!(self.elapsed()));
        put("slices", json!(runs.len()));
        put("valid", json!(self.validity.is_valid()));
        put("steps", self.steps());
        put("rows", summary.rows.as_ref().map_or(Value::Null, rows));
        put("tokens", self.tokens());
        put("leaks", self.leaks(|of| json!(of.verdict)));
        put("growth", self.leaks(|of| json!(of.growth.map(|growth| growth.slope * 60.0))));
        put("growth_seen", self.leaks(|of| json!(of.growth.map(|it| it.detectable * 60.0))));
        put("alerts", self.alerts());
        put("diagnosis", diagnosis(&self.diagnosis));
        put("ledger", json!(self.ledger));
        put("behind", json!(self.behind));
        put("profile", profile(&self.profile));
        all.extend(resources(&self.group.resources(Observed::Target)));
        let generator = self.group.resources(Observed::Generator);
        all.insert("generator_cpu".to_owned(), json!(generator.cpu_mean_percent));
        all.extend(self.asked.clone());
        Value::Object(all)
    }

    fn steps(&self) -> Value {
        let Some(run) = self.group.runs.first() else { return Value::Null };
        let steps = run.start.plan.steps.iter().zip(&self.group.summary.steps);
        let named = steps.map(|(step, figures)| (plain(&step.name), requests(figures).into()));
        Value::Object(named.collect())
    }

    fn tokens(&self) -> Value {
        let total = &self.group.summary.total;
        let tokens = total.traffic.tokens;
        if tokens.reported == 0 {
            return Value::Null;
        }
        json!({
            "input": tokens.input,
            "output": tokens.output,
            "per_s": total.output_tokens_per_s,
            "cost": tokens.cost(),
        })
    }

    /// Mean over the slices.
    fn elapsed(&self) -> Option<f64> {
        let ends = self.group.runs.iter().map(|run| {
            let ended = run.intervals.iter().rfind(|interval| !interval.completed.is_empty());
            ended.map(|interval| interval.end.as_secs_f64())
        });
        let ends: Vec<f64> = ends.collect::<Option<_>>()?;
        (!ends.is_empty()).then(|| ends.iter().sum::<f64>() / ends.len() as f64)
    }

    fn alerts(&self) -> Value {
        let mut all: Map<String, Value> = Map::new();
        for alert in &self.last.alerts {
            let said = match (alert.ruling, alert.severity) {
                (Ruling::Failed, Severity::Critical) => "critical",
                (Ruling::Failed, Severity::Warning) => "warn",
                (Ruling::Unknown, _) => "not judged",
                (Ruling::Passed, _) => "none",
            };
            let known = all.entry(plain(&alert.name)).or_insert_with(|| json!("none"));
            // An alert may have rules for both severities: the worse one counts.
            let rank = |word: &str| {
                ["none", "not judged", "warn", "critical"].iter().position(|it| *it == word)
            };
            if rank(said) > known.as_str().and_then(rank) {
                *known = json!(said);
            }
        }
        Value::Object(all)
    }

    /// Of each resource what `figure` says of the last slice, for it is the last that shows what is
    /// kept.
    fn leaks(&self, figure: fn(&leak::ResourceVerdict) -> Value) -> Value {
        let Some(run) = self.group.runs.last() else { return Value::Null };
        let name = |resource: leak::Resource| match resource {
            leak::Resource::Memory => "memory",
            leak::Resource::OpenFiles => "files",
            leak::Resource::Sockets => "sockets",
            leak::Resource::Threads => "threads",
        };
        let found = leak::judge(run);
        Value::Object(found.iter().map(|of| (name(of.resource).to_owned(), figure(of))).collect())
    }
}

/// A name as expressions take it: what is no letter or digit becomes `_`.
fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric();
    name.chars().map(|c| if is_plain(c) { c.to_ascii_lowercase() } else { '_' }).collect()
}

fn requests(figures: &Figures) -> Map<String, Value> {
    let mut all = Map::new();
    let mut put = |name: &str, value: Value| all.insert(name.to_owned(), value);
    put("count", json!(figures.count()));
    put("ok", json!(figures.ok()));
    put("failed", json!(figures.failed()));
    put("failure_share", json!(figures.failure_share()));
    put("rps", json!(figures.rps));
    put("ok_rps", json!(figures.ok_rps));
    let times = figures.latency(Metric::ResponseTime).map(times);
    for name in TIMES.iter().filter(|name| **name != "count") {
        put(name, times.as_ref().map_or(Value::Null, |times| times[*name].clone()));
    }
    all
}

fn times(of: &Latency) -> Value {
    json!({
        "count": of.count, "mean": of.mean_ms, "min": of.min_ms, "p50": of.p50_ms, "p90": of.p90_ms,
        "p95": of.p95_ms, "p99": of.p99_ms, "p999": of.p999_ms, "max": of.max_ms,
    })
}

fn rows(of: &RowFigures) -> Value {
    let mut all = match of.time.as_ref().map(times) {
        Some(Value::Object(times)) => times,
        _ => Map::new(),
    };
    let mut put = |name: &str, value: Value| all.insert(name.to_owned(), value);
    put("count", json!(of.count()));
    put("ok", json!(of.of(IterationEnd::Ok)));
    put("partial", json!(of.of(IterationEnd::Partial)));
    put("failed", json!(of.of(IterationEnd::Failed)));
    put("per_s", json!(of.per_second));
    put("requests", json!(of.effort.requests));
    put("wasted_requests", json!(of.effort.wasted_requests));
    Value::Object(all)
}

fn resources(of: &Resources) -> Map<String, Value> {
    let pairs = [
        ("cpu", json!(of.cpu_mean_percent)),
        ("cpu_per_request", json!(of.cpu_ms_per_request)),
        ("rss", json!(of.rss_peak_bytes)),
        ("rss_growth", json!(of.rss_growth_bytes)),
        ("threads", json!(of.threads)),
        ("sockets", json!(of.sockets)),
        ("files", json!(of.open_files)),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Causes that could not be judged are left out.
fn diagnosis(of: &Diagnosis) -> Value {
    let found = of.findings.iter().map(|finding| (finding.cause, true));
    let clear = of.clear.iter().map(|cause| (*cause, false));
    let named = found.chain(clear).map(|(cause, is)| (cause.name().to_owned(), json!(is)));
    Value::Object(named.collect())
}

fn profile(of: &ProfileFindings) -> Value {
    let taken = of.target_cpu();
    // Of a profile of low quality nothing is concluded, and so nothing is said.
    let target = taken.filter(|target| target.is_sound());
    let waiting = of.waiting.as_ref();
    let top = target.and_then(|target| target.functions.by_own().into_iter().next());
    json!({
        "wait_share": waiting.map(|waiting| waiting.wait_share),
        "bound": waiting.map(|waiting| waiting.bound),
        "sound": taken.map(Profiled::is_sound),
        "samples": taken.map(|taken| taken.record.samples),
        "cpu_per_request": target.and_then(|target| target.ms_per_request(target.total())),
        "top": top.as_ref().map(|row| last_part(&row.name)),
        "top_share": top.as_ref().zip(target).map(|(row, target)| target.share(row.own)),
        "self": target.map(|target| shares(target, |row| row.own)),
        "cumulative": target.map(|target| shares(target, |row| row.cumulative)),
    })
}

/// Shares of all samples, by the last part of a function's name: of functions with the same one, the
/// largest.
fn shares(of: &Profiled, samples: fn(&Row) -> u64) -> Value {
    let mut all: Map<String, Value> = Map::new();
    for row in of.functions.by_cumulative() {
        let share = of.share(samples(&row));
        let known = all.entry(last_part(&row.name)).or_insert_with(|| json!(0.0));
        if share > known.as_f64().unwrap_or(0.0) {
            *known = json!(share);
        }
    }
    Value::Object(all)
}

/// `embed` of `service::work::embed`, `embed (app.py)`.
fn last_part(name: &str) -> String {
    let plain_name = name.split(" (").next().unwrap_or(name);
    plain(plain_name.rsplit("::").next().unwrap_or(plain_name))
}
