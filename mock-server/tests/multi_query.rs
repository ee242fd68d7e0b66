//! The multi-query service: rows, outputs, errors, and what it says of itself.

mod common;
mod common_upstream;
mod multi_query_support;

use std::collections::BTreeSet;

use common::assert_balanced;
use common_upstream::{Script, Upstream, faults};
use mock_server::faults::{Kind, Rule};
use mock_server::{Behaviour, ClientUse, Execution, MultiQuery, QueryEngine, UpstreamSettings};
use multi_query_support::{Service, assert_whole, failed, row, rows};
use serde_json::{Value, json};

const SUFFIXES: [&str; 6] =
    ["score", "rationale", "usage", "model", "template_hash", "variables_hash"];
const QUERIES: [&str; 4] = ["cs1_diagnosis", "cs1_treatment", "cs2_diagnosis", "cs2_treatment"];

#[tokio::test]
async fn a_row_gets_the_outputs_of_four_queries() {
    let service = Service::start(Script::default(), MultiQuery::default()).await;
    let answer =
        service.send("s", &[json!({ "id": 7, "cs1_bg": "cough", "cs2_bg": "fever" })]).await;
    assert_eq!(answer["state_id"], "s");
    let row = answer["rows"][0].as_object().unwrap();
    let mut expected: Vec<String> = ["id", "cs1_bg", "cs2_bg"].map(str::to_owned).to_vec();
    for query in QUERIES {
        expected.extend(SUFFIXES.map(|suffix| format!("{query}_{suffix}")));
    }
    let set = |names: Vec<String>| names.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(set(row.keys().cloned().collect()), set(expected));
    assert_eq!(row["id"], 7);
    assert_eq!(row["cs1_diagnosis_score"], 3);
    assert_eq!(row["cs2_treatment_model"], "gpt-4o");
    assert_eq!(row["cs1_diagnosis_usage"]["total_tokens"], 15);
    let prompt = row["cs2_treatment_rationale"].as_str().unwrap();
    assert!(prompt.contains("fever") && prompt.contains("treatment") && !prompt.contains("cough"));
    assert_eq!(row["cs1_diagnosis_template_hash"], row["cs2_treatment_template_hash"]);
    let hashes: BTreeSet<&str> =
        QUERIES.iter().map(|q| row[&format!("{q}_variables_hash")].as_str().unwrap()).collect();
    assert_eq!(hashes.len(), 4);
    assert!(hashes.iter().all(|hash| hash.len() == 64));

    let body = &service.upstream.bodies()[0];
    let schema = &body["response_format"]["json_schema"]["schema"];
    assert_eq!(schema["properties"]["score"]["type"], "integer");
    assert_eq!(body["messages"][0]["role"], "system");
    assert_eq!(body["temperature"], 0.0);
    assert_eq!(body.get("max_tokens"), None);
}

#[tokio::test]
async fn the_ledger_counts_rows_and_calls() {
    let script =
        Script { faults: faults([Rule::every(Kind::Status(500), 6)]), ..Script::default() };
    let service = Service::start(script, MultiQuery::default()).await;
    service.send("s", &rows(3)).await;
    let ledger = service.server.ledger().await;
    assert_eq!(ledger.items, 3);
    assert_eq!(ledger.upstream.begun, 12);
    assert_eq!((ledger.upstream.answered, ledger.upstream.failed), (10, 2));
    assert_eq!(ledger.upstream.outcomes["500"], 2);
    let counters: Vec<u64> = ["rows", "rows_failed", "queries", "queries_failed"]
        .map(|name| ledger.counters[name])
        .to_vec();
    assert_eq!(counters, [3, 2, 12, 2]);
    assert_eq!((ledger.tokens.prompt, ledger.tokens.completion), (100, 50));
    assert_eq!(ledger.routes["POST /rows"].work.count, 1);
    let stats = service.stats().await;
    assert_eq!(stats["counts"]["reasons"], json!({ "llm_call_failed": 2 }));
    assert_eq!(stats["pool"]["successes"], 10);
    assert_eq!(stats["clients_created"], 1);
}

/// S0-8: with a 429 on every third call and no retry, one row of four queries fails with three of
/// them done; of a hundred rows none passes, and 133 queries fail.
#[tokio::test]
async fn s0_8_one_rate_limited_query_fails_its_row_and_leaves_no_output() {
    let script =
        || Script { faults: faults([Rule::every(Kind::Status(429), 3)]), ..Script::default() };
    let service = Service::start(script(), MultiQuery::default()).await;
    let answer = service.send("s", &rows(1)).await;
    let row = &answer["rows"][0];
    let error = &row["_error"];
    assert_eq!(error["reason"], "query_failed");
    assert_eq!((&error["succeeded_count"], &error["total_count"]), (&json!(3), &json!(4)));
    let queries = error["failed_queries"].as_array().unwrap();
    assert_eq!(queries.len(), 1);
    assert_eq!(queries[0]["error"]["reason"], "rate_limited");
    assert_eq!(queries[0]["error"]["status"], 429);
    assert!(QUERIES.contains(&queries[0]["query"].as_str().unwrap()));
    assert_whole(&answer);

    let service = Service::start(script(), MultiQuery::default()).await;
    let answer = service.send("s", &rows(100)).await;
    assert_eq!(failed(&answer), 100);
    assert_whole(&answer);
    let failures: u64 = answer["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["_error"]["failed_queries"].as_array().unwrap().len() as u64)
        .sum();
    assert_eq!(failures, 133);
    assert_eq!(answer["stats"]["queries_failed"], 133);
}

/// S0-9: three rows under one state id make twelve calls over one client and one to four sockets.
#[tokio::test]
async fn s0_9_one_client_and_at_most_four_sockets_for_a_state_id() {
    let service = Service::start(Script::default(), MultiQuery::default()).await;
    for row in rows(3) {
        assert_eq!(failed(&service.send("same", &[row]).await), 0);
    }
    assert_eq!(service.upstream.calls(), 12);
    assert!((1..=4).contains(&service.upstream.sockets().0), "{:?}", service.upstream.sockets());
    assert_eq!(service.server.ledger().await.upstream.clients, 1);
    let Service { server, upstream } = service;
    server.stop().await;
    upstream.until(|upstream| upstream.sockets().1 == 0).await;
}

/// S0-9, the other way: a client for each request opens a connection for each and leaves none.
#[tokio::test]
async fn s0_9_a_client_per_request_opens_a_socket_per_call_and_closes_it() {
    let upstream =
        UpstreamSettings { client: ClientUse::PerRequest, ..UpstreamSettings::default() };
    let settings = MultiQuery { upstream, ..MultiQuery::default() };
    let service = Service::start(Script::default(), settings).await;
    for row in rows(3) {
        assert_eq!(failed(&service.send("same", &[row]).await), 0);
    }
    assert_eq!(service.server.ledger().await.upstream.clients, 12);
    service.upstream.until(|upstream| upstream.sockets() == (12, 0)).await;
}

/// S0-20: batches that run together see no tag of another, and every call has a number of its own
/// under its state id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_20_concurrent_batches_are_isolated() {
    for engine in [QueryEngine::RowBarrier, QueryEngine::Flat, QueryEngine::Pipelined] {
        let settings = MultiQuery { engine, pool_size: 8, ..MultiQuery::default() };
        let service = Service::start(Script::default(), settings).await;
        let batch = |batch: usize| {
            let service = &service;
            async move {
                let tag = format!("<batch {batch}>");
                let rows: Vec<Value> =
                    (0..5).map(|_| json!({ "cs1_bg": tag, "cs2_bg": tag })).collect();
                // Two batches share each state id.
                let state_id = format!("state-{}", batch / 2);
                let body = json!({ "state_id": state_id, "rows": rows, "trace": true });
                (tag, state_id, service.post(&body).await)
            }
        };
        let answers = futures_util::future::join_all((0..10).map(batch)).await;
        let mut numbers = BTreeSet::new();
        for (tag, state_id, answer) in answers {
            assert_eq!(answer["state_id"], state_id);
            let rows = answer["rows"].as_array().unwrap();
            assert_eq!((rows.len(), failed(&answer)), (5, 0));
            for (row, query) in rows.iter().flat_map(|row| QUERIES.map(|query| (row, query))) {
                let prompt = row[format!("{query}_rationale")].as_str().unwrap();
                assert_eq!(prompt.matches("<batch").count(), 1);
                assert!(prompt.contains(&tag), "{tag} is not in {prompt}");
            }
            for trace in answer["trace"].as_array().unwrap() {
                numbers.insert((state_id.clone(), trace["call_index"].as_u64().unwrap()));
            }
        }
        let expected = (0..5).flat_map(|s| (0..40).map(move |n| (format!("state-{s}"), n)));
        assert_eq!(numbers, expected.collect());
    }
}

#[tokio::test]
async fn each_failure_has_its_reason() {
    async fn reason(script: Script, row: Value) -> (String, Value) {
        let service = Service::start(script, MultiQuery::default()).await;
        let answer = service.send("s", &[row]).await;
        let error = answer["rows"][0]["_error"]["failed_queries"][0]["error"].clone();
        (error["reason"].as_str().unwrap_or_default().to_owned(), error)
    }
    let status = |status| Script {
        faults: faults([Rule::always(Kind::Status(status))]),
        ..Script::default()
    };
    for (code, expected) in [
        (429, "rate_limited"),
        (503, "capacity_exhausted"),
        (529, "capacity_exhausted"),
        (500, "llm_call_failed"),
        (400, "permanent_error"),
        (401, "permanent_error"),
    ] {
        assert_eq!(reason(status(code), row(0)).await.0, expected, "{code}");
    }
    let reply = |reply| Script { reply, ..Script::default() };
    let (name, error) =
        reason(reply(|_| r#"{"score": "x", "rationale": ""}"#.into()), row(0)).await;
    assert_eq!((name.as_str(), &error["field"]), ("type_mismatch", &json!("score")));
    assert_eq!(reason(reply(|_| "no".into()), row(0)).await.0, "json_parse_failed");
    assert_eq!(reason(reply(|_| "[]".into()), row(0)).await.0, "invalid_json_type");
    let (name, error) = reason(reply(|_| r#"{"score": 1}"#.into()), row(0)).await;
    assert_eq!((name.as_str(), &error["field"]), ("missing_output_field", &json!("rationale")));
    let truncated = Script { finish_reason: "length", ..Script::default() };
    assert_eq!(reason(truncated, row(0)).await.0, "response_truncated");

    let service = Service::start(Script::default(), MultiQuery::default()).await;
    let answer = service.send("s", &[json!({ "cs1_bg": "only one" })]).await;
    let error = &answer["rows"][0]["_error"];
    assert_eq!((&error["succeeded_count"], &error["total_count"]), (&json!(2), &json!(4)));
    let first = &error["failed_queries"][0];
    assert_eq!(first["error"]["reason"], "template_rendering_failed");
    assert!(first["error"]["message"].as_str().unwrap().contains("cs2_bg"));
    assert_eq!(service.upstream.calls(), 2, "what cannot be rendered is not asked");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_fails_rows_and_not_the_request() {
    let settings = MultiQuery {
        upstream: UpstreamSettings {
            // Nobody listens on the discard port of this machine.
            endpoint: Some("http://127.0.0.1:9".to_owned()),
            ..UpstreamSettings::default()
        },
        ..MultiQuery::default()
    };
    let server = common::Server::of(Behaviour::MultiQuery(settings)).await;
    let response = server.post("/rows", &json!({ "state_id": "s", "rows": rows(2) })).await;
    assert_eq!(response.status(), 200);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(failed(&answer), 2);
    let error = &answer["rows"][0]["_error"]["failed_queries"][0]["error"];
    assert_eq!(error["reason"], "llm_call_failed");
    assert_eq!(server.ledger().await.upstream.outcomes["connect"], 8);
}

/// S0-15: what is rendered from the same variables is rendered once, and is the same.
#[tokio::test]
async fn s0_15_the_template_cache_gives_the_same_prompts_for_less_work() {
    let mut prompts = Vec::new();
    for template_cache in [false, true] {
        let settings = MultiQuery { template_cache, ..MultiQuery::default() };
        let service = Service::start(Script::default(), settings).await;
        let answer = service.send("s", &[row(1), row(2), row(1)]).await;
        assert_eq!(failed(&answer), 0);
        prompts.push(answer["rows"].clone());
        let cache = service.stats().await["template_cache"].clone();
        let expected = if template_cache { (4, 8, 8) } else { (0, 0, 0) };
        assert_eq!(cache["hits"], expected.0);
        assert_eq!(cache["misses"], expected.1);
        assert_eq!(cache["entries"], expected.2);
    }
    assert_eq!(prompts[0], prompts[1]);
}

#[tokio::test]
async fn the_client_may_repeat_what_the_engine_does_not() {
    let every_other = faults([Rule::every(Kind::Status(429), 2)]);
    let script = Script { faults: every_other, retry_after_ms: Some(1), ..Script::default() };
    let settings = MultiQuery { client_retries: 2, pool_size: 1, ..MultiQuery::default() };
    let service = Service::start(script, settings).await;
    let body = json!({ "state_id": "s", "rows": rows(2), "trace": true });
    let answer = service.post(&body).await;
    assert_eq!(failed(&answer), 0);
    // Calls 2, 4, …, 14 are refused and repeated at once: 8 answers take 15 calls.
    assert_eq!(service.upstream.calls(), 15);
    let attempts: u64 =
        answer["trace"].as_array().unwrap().iter().map(|t| t["attempts"].as_u64().unwrap()).sum();
    assert_eq!(attempts, 8, "the engine does not see them");
}

#[tokio::test]
async fn a_key_is_sent_and_never_shown() {
    let upstream = UpstreamSettings {
        api_key: Some("very-secret".to_owned()),
        deployment_name: Some("gpt".to_owned()),
        ..UpstreamSettings::default()
    };
    let settings = MultiQuery { upstream, ..MultiQuery::default() };
    let service = Service::start(Script::default(), settings).await;
    assert_eq!(failed(&service.send("s", &rows(1)).await), 0);
    assert_eq!(service.upstream.headers()["api-key"], "very-secret");
    let config = service.server.get("/config").await.text().await.unwrap();
    let parsed: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(parsed["pool_size"], 4);
    assert_eq!(parsed["order"], "row");
    assert_eq!(parsed["upstream"]["api_version"], "2024-10-21");
    assert!(!config.contains("very-secret"));
}

#[tokio::test]
async fn statistics_begin_anew_when_asked_to() {
    let service = Service::start(Script::default(), MultiQuery::default()).await;
    service.send("s", &rows(2)).await;
    let before = service.stats().await;
    assert_eq!(before["counts"]["rows"], 2);
    assert_eq!(before["stages"]["call"]["count"], 8);
    assert_eq!(before["pool"]["in_use"], 0);
    assert!((1..=4).contains(&before["pool"]["max_concurrency"].as_u64().unwrap()));
    assert_eq!(service.server.post("/control/reset", &json!({})).await.status(), 204);
    let after = service.stats().await;
    assert_eq!(after["counts"]["rows"], 0);
    assert_eq!(after["stages"]["call"]["count"], 0);
    assert_eq!(after["clients_created"], 1, "the client is still there");
}

#[tokio::test]
async fn a_wrong_body_is_refused_with_everything_that_is_wrong() {
    let service = Service::start(Script::default(), MultiQuery::default()).await;
    for (body, expected) in [
        (json!({}), json!([["missing", "state_id"], ["missing", "rows"]])),
        (
            json!({ "state_id": 1, "rows": {} }),
            json!([["string_type", "state_id"], ["list_type", "rows"]]),
        ),
        (
            json!({ "state_id": "", "rows": [], "trace": 1 }),
            json!([
                ["string_too_short", "state_id"],
                ["too_short", "rows"],
                ["bool_type", "trace"]
            ]),
        ),
        (json!({ "state_id": "s", "rows": [{}, 1] }), json!([["dict_type", "rows", 1]])),
    ] {
        let response = service.server.post("/rows", &body).await;
        assert_eq!(response.status(), 422, "{body}");
        let answer: Value = response.json().await.unwrap();
        let problems: Vec<Value> = answer["detail"]
            .as_array()
            .unwrap()
            .iter()
            .map(|problem| {
                let mut found = vec![problem["type"].clone()];
                found.extend(problem["loc"].as_array().unwrap()[1..].iter().cloned());
                json!(found)
            })
            .collect();
        assert_eq!(json!(problems), expected);
    }
    let many = json!({ "state_id": "s", "rows": vec![json!({}); 10_001] });
    assert_eq!(service.server.post("/rows", &many).await.status(), 400);
    assert_eq!(service.server.get("/rows").await.status(), 405);
    assert_eq!(service.upstream.calls(), 0);
    let health: Value = service.server.get("/health").await.json().await.unwrap();
    assert_eq!(health["status"], "healthy");
}

/// S0-19: when a client leaves, calls in progress are cancelled, or on threads run to their end; no
/// more are begun, and no socket is left open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_19_a_client_that_leaves_takes_its_queries_along() {
    for execution in [Execution::Async, Execution::Threads] {
        let script = Script { latency: common_upstream::fixed(300), ..Script::default() };
        let settings = MultiQuery { execution, engine: QueryEngine::Flat, ..MultiQuery::default() };
        let service = Service::start(script, settings).await;
        let url = format!("{}/rows", service.server.url);
        let body = json!({ "state_id": "s", "rows": rows(20) });
        let client = tokio::spawn(common::client().post(url).json(&body).send());
        service.upstream.until(|upstream| upstream.in_flight() == 4).await;
        client.abort();
        let ledger = service
            .server
            .until(|ledger| ledger.requests.abandoned == 1 && ledger.upstream.in_flight == 0)
            .await;
        assert_balanced(&ledger);
        let calls = (ledger.upstream.cancelled, ledger.upstream.answered);
        assert_eq!(calls, if execution == Execution::Async { (4, 0) } else { (0, 4) });
        service.upstream.until(|upstream| upstream.in_flight() == 0).await;
        assert_eq!(service.upstream.calls(), 4);
        assert_eq!(service.stats().await["pool"]["in_use"], 0);
        // The pool is whole: it serves the next one.
        assert_eq!(failed(&service.send("s", &rows(1)).await), 0);
        let Service { server, upstream } = service;
        server.stop().await;
        upstream.until(|upstream: &Upstream| upstream.sockets().1 == 0).await;
    }
}
