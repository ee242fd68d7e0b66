//! Gates whose every figure is known.

use std::time::Duration;

use gander::analysis::compare::{Quantity, Statistic};
use gander::analysis::gate::{Call, Decision, Judged, Round, Subject, Value};
use gander::analysis::{Ruling, Verdict};
use gander::measure::metric::Metric;
use gander::report::gate::Told;
use gander::stats::bootstrap::Interval;
use gander::store::entry::Environment;
use gander::store::gate::{GateEnd, GateRate, GateRecord, RoundRecord, SCHEMA_VERSION, SetAside};

/// What was run.
pub fn record() -> GateRecord {
    let round = |number: u32| RoundRecord {
        number,
        folders: ["base", "head"].map(|side| format!("rounds/{number:03}-{side}")),
        base_first: number.is_multiple_of(2),
        pressure: Some(0.11),
        values: serde_json::Value::Null,
    };
    GateRecord {
        schema_version: SCHEMA_VERSION,
        scenario: "inference-single".to_owned(),
        about: "single reviews".to_owned(),
        digest: "6f1b".to_owned(),
        started_at: "2026-03-04T05:06:07+01:00".to_owned(),
        command_line: ["gander", "gate", "inference-single"].map(str::to_owned).into(),
        environment: Environment {
            gander_version: "0.1.0".to_owned(),
            gander_commit: Some("1a2b3c4".to_owned()),
            optimised_build: true,
            system: "Linux 6.8.0".to_owned(),
            cpu: "AMD EPYC 7763".to_owned(),
            cores: 2,
            usable_cores: None,
            memory_bytes: 8 << 30,
        },
        seed: 42,
        sides: ["./old --port {port}", "./new --port {port}"].map(str::to_owned),
        restarts: true,
        rate: GateRate { per_second: 50.0, of_alone: Some(167.3) },
        slice: Duration::from_secs(4),
        warm_up: Duration::from_millis(500),
        most_time: Duration::from_secs(120),
        margins: Vec::new(),
        alpha: 0.01,
        beta: 0.05,
        effects: Vec::new(),
        slos: Vec::new(),
        subjects: serde_json::Value::Null,
        left_out: Vec::new(),
        most_rounds: Some(22),
        rounds: (1..=6).map(round).collect(),
        set_aside: Vec::new(),
        took: Duration::from_secs_f64(32.4),
        end: Some(GateEnd::Decided),
    }
}

/// The seven figures of a service without streams, each with a word of its own kind.
pub fn figures() -> Vec<Judged> {
    let time = |it| Quantity::Time(Metric::ResponseTime, it);
    vec![
        figure(time(Statistic::P50), [80.4, 80.9], 0.006, 0.004, Call::Unchanged),
        figure(time(Statistic::P95), [92.1, 96.9], 0.052, 0.0134, Call::Regressed),
        figure(time(Statistic::P99), [140.0, 151.0], 0.079, 0.21, Call::Inconclusive),
        figure(Quantity::Throughput, [49.9, 49.9], -0.0004, 0.001, Call::Unchanged),
        figure(Quantity::Failures, [0.0012, 0.0031], 0.0019, 0.0022, Call::NoWorse),
        figure(Quantity::CpuPerRequest, [2.31, 1.9], -0.18, 0.03, Call::Improved),
        figure(Quantity::Memory, [123e6, 124e6], 0.008, 0.002, Call::Unchanged),
    ]
}

/// A figure of all steps: base and head, the change, and half its interval.
pub fn figure(
    quantity: Quantity,
    [base, head]: [f64; 2],
    effect: f64,
    half: f64,
    call: Call,
) -> Judged {
    let margin = match quantity {
        Quantity::Failures => 0.01,
        Quantity::Memory | Quantity::Time(_, Statistic::P99) => 0.1,
        _ => 0.05,
    };
    let is_open = call == Call::Inconclusive;
    Judged {
        subject: Subject::of_all(quantity),
        base: Some(base),
        head: Some(head),
        effect: Some(effect),
        interval: Some(Interval { low: effect - half, high: effect + half }),
        margin,
        floor: margin / 5.0,
        call,
        reason: is_open.then(|| "too noisy to say: it may be worse by its margin".to_owned()),
        detectable: Some(margin / 5.0 + 2.0 * half),
        rounds: 6,
    }
}

/// What rounds come to that `judged` could be of.
pub fn rounds(judged: &[Judged]) -> Vec<Round> {
    let value = |judged: &Judged, number: u32| Value {
        subject: judged.subject.clone(),
        base: judged.base,
        head: judged.head,
        difference: judged.effect.map(|effect| effect * (0.7 + 0.1 * f64::from(number))),
        lacks: None,
        counts: None,
    };
    let round = |number| Round {
        number,
        values: judged.iter().map(|judged| value(judged, number)).collect(),
    };
    (1..=6).map(round).collect()
}

pub fn rule(rule: &str, measured: &str, ruling: Ruling) -> Verdict {
    Verdict { rule: rule.to_owned(), measured: measured.to_owned(), ruling }
}

/// A gate that came to this.
pub fn told(record: &GateRecord, judged: Vec<Judged>, rules: Vec<Verdict>) -> Told<'_> {
    let decision = match &record.end {
        Some(GateEnd::Gone { is_head: true, .. }) => Decision::Failed,
        Some(GateEnd::Decided | GateEnd::AllRounds | GateEnd::TimeOver) => {
            Decision::of(&judged, &rules)
        }
        _ => match Decision::of(&judged, &rules) {
            Decision::Passed => Decision::Inconclusive,
            other => other,
        },
    };
    let rounds = rounds(&judged);
    Told { record, rounds, judged, rules, decision, reach: Vec::new() }
}

/// A gate with all that a report can hold.
pub fn full(record: &GateRecord) -> Told<'_> {
    let rules = vec![
        rule("p95 < 200ms", "96.9 ms", Ruling::Passed),
        rule("failures < 0.1%", "0.31% (37 of 12 000)", Ruling::Failed),
    ];
    told(record, figures(), rules)
}

/// A record with all that a report can hold.
pub fn full_record() -> GateRecord {
    let reasons = vec!["head: the generator was late by more than 10 ms".to_owned()];
    let why = "a round has about 200 responses, and 1000 are needed: a higher --rate, or a longer \
               --slice";
    GateRecord {
        left_out: vec![("Response time p99.9".to_owned(), why.to_owned())],
        set_aside: vec![SetAside {
            folders: ["rounds/003-base", "rounds/003-head"].map(str::to_owned),
            reasons,
        }],
        ..record()
    }
}
