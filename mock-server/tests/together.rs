//! The multi-query and the ensemble service in front of the real llm service: the ledgers of both
//! sides say the same.

#![allow(clippy::unwrap_used, reason = "tests panic to fail")]

mod common;

use std::time::Duration;

use common::{Server, assert_balanced};
use mock_server::faults::{Faults, Kind, Rule};
use mock_server::latency::{Distribution, Latency};
use mock_server::{Behaviour, Ensemble, Llm, MultiQuery};
use serde_json::{Value, json};

fn uniform(low: u64, high: u64) -> Latency {
    let ms = Duration::from_millis;
    Latency::of(Distribution::Uniform { low: ms(low), high: ms(high) })
}

async fn multi_query(llm: Llm, mut settings: MultiQuery) -> (Server, Server) {
    let llm = Server::of(Behaviour::Llm(llm)).await;
    settings.upstream.endpoint = Some(llm.url.clone());
    (Server::of(Behaviour::MultiQuery(settings)).await, llm)
}

async fn rows(service: &Server, count: usize) -> Vec<Value> {
    let row = |n| json!({ "id": n, "cs1_bg": format!("patient {n}"), "cs2_bg": "history" });
    let rows: Vec<Value> = (0..count).map(row).collect();
    let response = service.post("/rows", &json!({ "state_id": "s", "rows": rows })).await;
    assert_eq!(response.status(), 200);
    let answer: Value = response.json().await.unwrap();
    answer["rows"].as_array().unwrap().clone()
}

/// S0-2, S0-7: 400 calls for 100 rows, all outputs there, usage in the rows as in the llm's ledger,
/// and times of calls as they were drawn.
#[tokio::test]
async fn rows_calls_tokens_and_times_are_the_same_on_both_sides() {
    let latency = uniform(2, 8);
    let (service, llm) =
        multi_query(Llm { latency, ..Llm::default() }, MultiQuery::default()).await;
    let rows = rows(&service, 100).await;
    let mut tokens = 0;
    for row in &rows {
        assert!(row.get("_error").is_none(), "{row}");
        let usages: Vec<&Value> = (row.as_object().unwrap().iter())
            .filter(|(name, _)| name.ends_with("_usage"))
            .map(|(_, usage)| usage)
            .collect();
        assert_eq!(usages.len(), 4);
        tokens += usages.iter().map(|usage| usage["total_tokens"].as_u64().unwrap()).sum::<u64>();
    }
    let (here, there) = (service.ledger().await, llm.ledger().await);
    assert_eq!((here.upstream.answered, there.requests.answered), (400, 400));
    assert_eq!(there.tokens.prompt + there.tokens.completion, tokens);
    assert_eq!((here.upstream.peak_in_flight, here.upstream.clients), (4, 1));
    assert!(there.peak_in_flight <= 4 && there.sockets.accepted <= 8, "{:?}", there.sockets);
    let times = &there.routes["POST /v1/chat/completions"];
    assert!((2.0..=8.0).contains(&times.intended.mean_ms) && times.intended.max_ms <= 8.0);
    assert!(times.work.p50_ms >= times.intended.p50_ms * 0.999);
    assert!(here.upstream.times.mean_ms >= times.statuses[&200].mean_ms);
    assert_balanced(&here);
    assert_balanced(&there);
}

/// S0-7: the times of calls are those of the llm's ledger and little more. What was drawn is the same
/// on every machine; what is measured is compared within the run, the best of three.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_times_of_queries_are_those_that_were_drawn() {
    let mut nearest = f64::INFINITY;
    for _ in 0..3 {
        let latency = uniform(20, 80);
        let (service, llm) =
            multi_query(Llm { latency, ..Llm::default() }, MultiQuery::default()).await;
        rows(&service, 20).await;
        let there = &llm.ledger().await.routes["POST /v1/chat/completions"];
        assert_eq!(there.intended.count, 80);
        assert!((44.0..=56.0).contains(&there.intended.mean_ms), "{:?}", there.intended);
        assert!((74.0..=80.0).contains(&there.intended.p95_ms), "{:?}", there.intended);
        assert!(there.intended.max_ms <= 80.0, "{:?}", there.intended);
        let here = service.ledger().await.upstream.times;
        assert!(here.mean_ms >= there.intended.mean_ms);
        let mean = here.mean_ms / there.intended.mean_ms;
        nearest = nearest.min(mean.max(here.p95_ms / there.intended.p95_ms));
    }
    assert!(nearest < 1.2, "{nearest}");
}

/// S0-8: a 429 on every third query, no retry: one row has three of four; of a hundred rows none
/// passes, with 133 failed queries.
#[tokio::test]
async fn every_third_query_refused_fails_every_row() {
    let faults = Faults::new(vec![Rule::every(Kind::Status(429), 3)]).unwrap();
    let behaviour = Llm { latency: Latency::ZERO, faults, ..Llm::default() };
    let (service, llm) = multi_query(behaviour, MultiQuery::default()).await;
    let row = rows(&service, 1).await.remove(0);
    assert_eq!(
        (&row["_error"]["succeeded_count"], &row["_error"]["total_count"]),
        (&json!(3), &json!(4))
    );
    assert_eq!(row.as_object().unwrap().len(), 4, "no partial output: {row}");
    llm.reset().await;
    let rows = rows(&service, 100).await;
    assert!(rows.iter().all(|row| row.get("_error").is_some()));
    let failed: usize =
        (rows.iter()).map(|row| row["_error"]["failed_queries"].as_array().unwrap().len()).sum();
    assert_eq!((failed, llm.ledger().await.faults["429"]), (133, 133));
}

/// S0-19: faults on the socket and malformed answers leave every row whole or failed, and no call or
/// connection open.
#[tokio::test]
async fn hostile_answers_leave_every_row_in_an_end_state() {
    let kinds = [
        Kind::Reset,
        Kind::HalfHeader,
        Kind::HalfBody,
        Kind::EarlyEof,
        Kind::InvalidJson,
        Kind::Truncated,
        Kind::Empty,
        Kind::MissingFields,
        Kind::InvalidUtf8,
        Kind::Filtered,
        Kind::Status(500),
    ];
    let faults = Faults::new(kinds.iter().map(|kind| Rule::at_rate(*kind, 0.03)).collect());
    let behaviour = Llm { latency: Latency::ZERO, faults: faults.unwrap(), ..Llm::default() };
    let (service, llm) = multi_query(behaviour, MultiQuery::default()).await;
    let rows = rows(&service, 100).await;
    let is_failed = |row: &&Value| row.get("_error").is_some();
    let failed = rows.iter().filter(is_failed).count();
    assert!((20..100).contains(&failed), "{failed} of 100");
    let there = llm.until(|ledger| ledger.requests.in_flight == 0).await;
    assert_balanced(&there);
    // Some clients try a request again whose connection broke before any answer: those are more.
    assert!(there.requests.accepted >= 400);
    assert!(there.faults.len() >= 9, "{:?}", there.faults);
    let here = service.ledger().await;
    assert_eq!(here.upstream.answered + here.upstream.failed, 400);
    assert_eq!(here.upstream.in_flight, 0);
}

/// S1-1, S1-2, S1-5, S1-6: 8 calls one after another against 6, four of them together; the time
/// falls to about 30%.
#[tokio::test]
async fn the_ensemble_before_and_after() {
    let mut totals = Vec::new();
    for (behaviour, calls, peak) in [(Ensemble::original(), 8, 1), (Ensemble::optimised(), 6, 4)] {
        let kinds = behaviour.prompt_kinds().to_vec();
        let llm = Server::of(Behaviour::Llm(Llm { kinds, ..Llm::default() })).await;
        let mut behaviour = behaviour;
        behaviour.upstream.endpoint = Some(llm.url.clone());
        let service = Server::of(Behaviour::Ensemble(behaviour)).await;
        let asked =
            json!({ "question": "What are the best AI models?", "force_time_travel": true });
        let answer: Value = service.post("/api/time-travel", &asked).await.json().await.unwrap();
        assert_eq!(answer["snapshots"].as_array().unwrap().len(), 4, "{answer}");
        for snapshot in &answer["snapshots"].as_array().unwrap()[1..] {
            assert_eq!(snapshot["key_changes"].as_array().unwrap().len(), 2, "{snapshot}");
        }
        assert_eq!(answer["insights"].as_array().unwrap().len(), 3, "{answer}");
        let there = llm.ledger().await;
        assert_eq!((there.requests.answered, there.peak_in_flight), (calls, peak));
        let tokens = there.tokens.prompt + there.tokens.completion;
        assert_eq!(service.ledger().await.tokens.completion, there.tokens.completion);
        assert!(tokens > 0);
        totals.push(answer["total_time_seconds"].as_f64().unwrap());
    }
    // Drawn from 18 to 22 s and 4 to 5 s: 84 to 108 s one after another, 26 to 32 s together. What
    // the machine adds counts most in the shorter one.
    let share = totals[1] / totals[0];
    assert!((0.22..0.6).contains(&share), "{totals:?}");
}
