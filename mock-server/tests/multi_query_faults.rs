//! The multi-query service in front of an upstream that fails: every row ends, with all its outputs
//! or none, and capacity errors are tried again where the engine does that.

mod common;
mod common_upstream;
mod multi_query_support;

use std::time::Duration;

use common_upstream::{Script, fixed};
use mock_server::faults::{Kind, Rule};
use mock_server::{CaseStudy, Execution, MultiQuery, QueryEngine};
use multi_query_support::{Service, assert_whole, elapsed, failed, rows};
use serde_json::{Value, json};

const ENGINES: [QueryEngine; 3] =
    [QueryEngine::RowBarrier, QueryEngine::Flat, QueryEngine::Pipelined];
const RETRYING: [QueryEngine; 2] = [QueryEngine::Flat, QueryEngine::Pipelined];

fn script(rules: impl IntoIterator<Item = Rule>) -> Script {
    Script { faults: common_upstream::faults(rules), ..Script::default() }
}

/// Delays short enough for a test.
fn hasty(engine: QueryEngine, pool_size: usize) -> MultiQuery {
    MultiQuery { engine, pool_size, max_dispatch_delay_ms: 100, ..MultiQuery::default() }
}

fn queries_failed(answer: &Value) -> u64 {
    answer["stats"]["queries_failed"].as_u64().expect("a count")
}

/// S0-24: 50 rows with every 10th query failing, 20 rows with 80%, 30 rows with every 7th: every row
/// has all its outputs or none, with every engine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_24_every_row_has_all_its_outputs_or_none() {
    let failure = Kind::Status(500);
    for engine in ENGINES {
        for (count, rule, expected) in [
            (50, Rule::every(failure, 10), Some(20)),
            (20, Rule::at_rate(failure, 0.8), None),
            (30, Rule::every(failure, 7), Some(17)),
        ] {
            let service = Service::start(script([rule]), hasty(engine, 4)).await;
            let answer = service.send("s", &rows(count)).await;
            assert_eq!(answer["rows"].as_array().unwrap().len(), count);
            assert_whole(&answer);
            let refused = service.upstream.statuses()[&500];
            assert_eq!(queries_failed(&answer), refused);
            assert_eq!(expected.unwrap_or(refused), refused);
            assert!(failed(&answer) > 0);
            assert_eq!(service.upstream.calls(), 4 * count as u64);
        }
    }
}

/// S0-25: a pool of 20 has more than 15 of 40 queries in flight.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_25_a_large_pool_is_filled() {
    // None is answered before 20 are there: with fewer at a time the test would not end.
    let together = Script { together: Some(20), ..Script::default() };
    let service = Service::start(together, hasty(QueryEngine::Flat, 20)).await;
    assert_eq!(failed(&service.send("s", &rows(10)).await), 0);
    assert_eq!((service.upstream.calls(), service.upstream.peak()), (40, 20));
    let stats = service.stats().await;
    assert_eq!(stats["pool"]["max_concurrency"], 20);
}

/// S0-25: where every call meets a 429, every row ends with an error when the time for trying again
/// is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_25_when_all_calls_are_refused_every_row_ends_with_an_error() {
    for engine in RETRYING {
        for execution in [Execution::Threads, Execution::Async] {
            let settings = MultiQuery {
                execution,
                max_capacity_retry_seconds: 1.0,
                // Longer than the time that is left: no query sleeps past it.
                max_dispatch_delay_ms: 60_000,
                ..hasty(engine, 20)
            };
            let service = Service::start(script([Rule::always(Kind::Status(429))]), settings).await;
            let answer = service.send("s", &rows(10)).await;
            assert_eq!(failed(&answer), 10);
            assert_whole(&answer);
            assert!(elapsed(&answer) >= 1_000.0, "it went on trying for a second");
            for row in answer["rows"].as_array().unwrap() {
                for query in row["_error"]["failed_queries"].as_array().unwrap() {
                    assert_eq!(query["error"]["reason"], "retry_timeout");
                    assert_eq!(query["error"]["status"], 429);
                }
            }
            let pool = service.stats().await["pool"].clone();
            let calls = service.upstream.calls();
            assert!(calls > 40, "{calls} calls: each was tried more than once");
            assert_eq!(pool["capacity_retries"], calls - 40);
            assert_eq!(pool["successes"], 0);
            assert!(pool["throttled_ms"].as_f64().unwrap() > 0.0);
        }
    }
}

/// S0-26: 10% of 429 and 5% of 500 on 50 rows, 25% of 429 on 30, 35% on 50: every row ends; capacity
/// errors cost retries and no row, other errors cost a row and no retry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_26_capacity_errors_cost_retries_and_other_errors_rows() {
    for engine in RETRYING {
        for (count, capacity, other) in [(50, 0.10, 0.05), (30, 0.25, 0.0), (50, 0.35, 0.0)] {
            let mut rules = vec![Rule::at_rate(Kind::Status(429), capacity)];
            if other > 0.0 {
                rules.push(Rule::at_rate(Kind::Status(500), other));
            }
            let service = Service::start(script(rules), hasty(engine, 4)).await;
            let answer = service.send("s", &rows(count)).await;
            assert_whole(&answer);
            let statuses = service.upstream.statuses();
            let refused = statuses[&429];
            let broken = statuses.get(&500).copied().unwrap_or_default();
            assert_eq!(statuses[&200] + broken, 4 * count as u64);
            assert_eq!(queries_failed(&answer), broken);
            assert_eq!(failed(&answer) > 0, broken > 0);
            let pool = service.stats().await["pool"].clone();
            assert_eq!(pool["capacity_retries"], refused);
            assert_eq!(pool["successes"], statuses[&200]);
            let peak = pool["peak_delay_ms"].as_f64().unwrap();
            assert!((50.0..=100.0).contains(&peak), "{peak}");
        }
    }
}

/// S0-26, endurance in small: rows of ten queries, a pool of 30, 8% of HTTP errors and 3% of answers
/// that are no JSON: every row ends, and the upstream's counts explain every failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_26_endurance() {
    let case_study = |number: usize| CaseStudy {
        name: format!("cs{number}"),
        input_fields: vec!["cs1_bg".to_owned()],
        ..CaseStudy::default()
    };
    let settings = MultiQuery {
        case_studies: (1..=5).map(case_study).collect(),
        execution: Execution::Async,
        ..hasty(QueryEngine::Pipelined, 30)
    };
    let rates = [(429, 0.05), (503, 0.02), (500, 0.01)];
    let rules = rates.map(|(status, rate)| Rule::at_rate(Kind::Status(status), rate));
    let reply = |prompt: &str| match prompt.contains("patient 3") && prompt.contains("cs2") {
        true => "{\"score\": 3, \"rationale".to_owned(),
        false => json!({ "score": 3, "rationale": "fine" }).to_string(),
    };
    let service = Service::start(Script { reply, ..script(rules) }, settings).await;
    let answer = service.send("s", &rows(400)).await;
    let statuses = service.upstream.statuses();
    assert_eq!(statuses[&200] + statuses[&500], 4_000);
    let reasons = service.stats().await["counts"]["reasons"].clone();
    assert_eq!(reasons["llm_call_failed"], statuses[&500]);
    let malformed = reasons["json_parse_failed"].as_u64().unwrap();
    assert_eq!(malformed + statuses[&500], queries_failed(&answer));
    for (number, row) in answer["rows"].as_array().unwrap().iter().enumerate() {
        let fields = row.as_object().unwrap().len();
        assert_eq!(fields, if row.get("_error").is_some() { 3 + 1 } else { 3 + 10 * 6 });
        let always_fails = number.to_string().starts_with('3');
        assert!(!always_fails || row.get("_error").is_some(), "{row}");
    }
}

/// While a query backs off, its place serves others, even the only one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_backs_off_gives_its_place_to_others() {
    for execution in [Execution::Threads, Execution::Async] {
        let mut last = 0;
        for _ in 0..3 {
            let settings = MultiQuery { execution, ..hasty(QueryEngine::Flat, 1) };
            let refusing = script([Rule::every(Kind::Status(503), 30)]);
            let service = Service::start(refusing, settings).await;
            let body = json!({ "state_id": "s", "rows": rows(10), "trace": true });
            let answer = service.post(&body).await;
            assert_eq!((failed(&answer), service.upstream.calls()), (0, 41));
            let traces = answer["trace"].as_array().unwrap();
            let refused: Vec<&Value> = traces.iter().filter(|t| t["attempts"] == 2).collect();
            assert_eq!(refused.len(), 1, "call 30 was refused");
            assert!(refused[0]["throttled_ms"].as_f64().unwrap() >= 50.0);
            last = last.max(refused[0]["call_index"].as_u64().unwrap());
            if last == 40 {
                break;
            }
        }
        // The other ten take much less than the 50 ms of the back-off.
        assert_eq!(last, 40, "calls 31 to 40 are those of the others");
    }
}

/// The least delay holds between the dispatches of any two calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dispatches_keep_the_least_delay() {
    let settings = MultiQuery { min_dispatch_delay_ms: 20, ..hasty(QueryEngine::Flat, 8) };
    let service = Service::start(Script::default(), settings).await;
    let answer = service.send("s", &rows(4)).await;
    assert_eq!(failed(&answer), 0);
    assert!(elapsed(&answer) >= 15.0 * 20.0, "16 dispatches are 15 delays: {}", elapsed(&answer));
}

/// The threads of a service that has ended do not wait for answers any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_stop_waiting_when_the_service_ends() {
    let service = Service::start(
        Script { latency: fixed(60_000), ..Script::default() },
        MultiQuery::default(),
    )
    .await;
    let url = format!("{}/rows", service.server.url);
    let body = json!({ "state_id": "s", "rows": rows(1) });
    let client = tokio::spawn(common::client().post(url).json(&body).send());
    service.upstream.until(|upstream| upstream.in_flight() == 4).await;
    client.abort();
    service.server.until(|ledger| ledger.requests.abandoned == 1).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(service.upstream.in_flight(), 4, "on threads, calls go on without the client");
    let Service { server, upstream } = service;
    server.stop().await;
    upstream.until(|upstream| upstream.in_flight() == 0).await;
}
