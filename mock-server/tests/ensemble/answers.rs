//! What requests are answered with.

use mock_server::{Ensemble, Outage};
use serde_json::{Value, json};

use super::common::assert_balanced;
use super::upstream::{Kind, Script, Upstream};
use super::{QUESTION, ask, get, labels, part, serve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_has_every_field() {
    let upstream = Upstream::start(Script::default()).await;
    let server = serve(Ensemble::default(), &upstream).await;
    let answer = ask(&server, QUESTION).await;
    for field in [
        "question",
        "temporal_sensitivity",
        "is_eligible",
        "skip_reason",
        "snapshots",
        "evolution_narrative",
        "insights",
        "change_velocity",
        "future_outlook",
        "total_cost",
        "total_time_seconds",
        "timestamp",
        "performance_breakdown",
    ] {
        assert!(answer.get(field).is_some(), "{field}");
    }
    for field in [
        "date",
        "date_label",
        "answer",
        "key_changes",
        "data_points",
        "model_used",
        "tokens_used",
        "cost_estimate",
        "response_time_seconds",
    ] {
        let snapshots = answer["snapshots"].as_array().unwrap();
        assert!(snapshots.iter().all(|snapshot| snapshot.get(field).is_some()), "{field}");
    }
    assert_eq!(answer["question"], QUESTION);
    assert_eq!((&answer["is_eligible"], &answer["skip_reason"]), (&json!(true), &Value::Null));
    assert_eq!(answer["snapshots"][0]["data_points"], json!(["2023", "175"]));
    assert_eq!(answer["evolution_narrative"], "It grew.");
    assert_eq!(answer["insights"], json!(["one", "two"]));
    assert_eq!((&answer["errors"], &answer["cached"]), (&json!([]), &json!(false)));
}

/// 100 prompt and 50 completion tokens a call: five calls of gpt-4o at 2.5 and 10 dollars a million
/// and one of gpt-4o-mini at 0.15 and 0.6.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn costs_and_tokens_are_those_of_the_calls() {
    let upstream = Upstream::start(Script::default()).await;
    let server = serve(Ensemble::default(), &upstream).await;
    let answer = ask(&server, QUESTION).await;
    let near =
        |value: &Value, expected: f64| (value.as_f64().unwrap() / expected - 1.0).abs() < 1e-9;
    let (large, small) = (750e-6, 45e-6);
    assert!(near(&answer["snapshots"][0]["cost_estimate"], large), "{answer:#}");
    assert_eq!(answer["snapshots"][0]["tokens_used"], 150);
    assert!(near(&answer["total_cost"], 5.0 * large + small), "{answer:#}");
    let ledger = server.stop().await;
    assert_balanced(&ledger);
    assert_eq!((ledger.tokens.prompt, ledger.tokens.completion), (600, 300));
    assert_eq!(ledger.items, 4);
    assert_eq!(ledger.counters["snapshot_calls"], 4);
    assert_eq!(ledger.counters["key_changes_calls"], 1);
    assert_eq!(ledger.counters["narrative_calls"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_does_not_depend_on_time_takes_no_call() {
    let upstream = Upstream::start(Script::default()).await;
    let server = serve(Ensemble::default(), &upstream).await;
    let question = "What is the boiling point of water?";
    let answer = ask(&server, question).await;
    assert_eq!(
        (&answer["temporal_sensitivity"], &answer["is_eligible"]),
        (&json!("low"), &json!(false))
    );
    assert!(answer["skip_reason"].as_str().unwrap().contains("force_time_travel"));
    assert_eq!((&answer["snapshots"], upstream.calls().len()), (&json!([]), 0));

    let body = json!({ "question": question, "force_time_travel": true });
    let forced: Value = server.post("/api/time-travel", &body).await.json().await.unwrap();
    assert_eq!((&forced["is_eligible"], labels(&forced).len()), (&json!(true), 4));
    assert_eq!(forced["temporal_sensitivity"], "low");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_at_most_so_many_snapshots_and_today_is_one() {
    let upstream = Upstream::start(Script::default()).await;
    let server = serve(Ensemble::original(), &upstream).await;
    let mut calls = 0;
    for (max, expected, made) in [
        (1, vec!["Today"], 1 + 1),
        (2, vec!["May 2024", "Today"], 2 + 1 + 1),
        (9, vec!["Jan 2023", "Mar 2023", "May 2024", "Today"], 4 + 3 + 1),
    ] {
        let body = json!({ "question": QUESTION, "max_snapshots": max });
        let answer: Value = server.post("/api/time-travel", &body).await.json().await.unwrap();
        assert_eq!(labels(&answer), expected);
        calls += made;
        assert_eq!(upstream.calls().len(), calls);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_may_name_a_model_that_has_a_price() {
    let upstream = Upstream::start(Script::default()).await;
    let server = serve(Ensemble::original(), &upstream).await;
    let body = json!({ "question": QUESTION, "model": "gpt-4o-mini" });
    let answer: Value = server.post("/api/time-travel", &body).await.json().await.unwrap();
    assert!(upstream.calls().iter().all(|call| call.model() == "gpt-4o-mini"));
    assert_eq!(answer["snapshots"][0]["model_used"], "gpt-4o-mini");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_body_is_said() {
    let upstream = Upstream::start(Script::default()).await;
    let server = serve(Ensemble::default(), &upstream).await;
    for (body, at) in [
        (json!({}), vec!["question"]),
        (json!({ "question": "  " }), vec!["question"]),
        (json!({ "question": 5, "max_snapshots": 0 }), vec!["question", "max_snapshots"]),
        (json!({ "question": "a", "max_snapshots": -1 }), vec!["max_snapshots"]),
        (json!({ "question": "a", "max_snapshots": "4" }), vec!["max_snapshots"]),
        (json!({ "question": "a", "force_time_travel": "yes" }), vec!["force_time_travel"]),
        (json!({ "question": "a", "model": "gpt-9" }), vec!["model"]),
    ] {
        for path in ["/api/time-travel", "/api/time-travel-stream"] {
            let response = server.post(path, &body).await;
            assert_eq!(response.status(), 422, "{body}");
            let detail: Value = response.json().await.unwrap();
            let found: Vec<&str> = detail["detail"]
                .as_array()
                .unwrap()
                .iter()
                .map(|problem| problem["loc"][1].as_str().unwrap())
                .collect();
            assert_eq!(found, at, "{body}");
        }
    }
    let list = server.post("/api/time-travel", &json!(["a"])).await;
    assert_eq!(list.status(), 422);
    assert!(upstream.calls().is_empty());
}

/// Contradiction 6: an outage of everything behind the service is a 200 that only its body gives
/// away, or a 503 where the settings say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_not_eligible_or_unavailable() {
    for (outage, status) in [(Outage::NotEligible, 200), (Outage::Unavailable, 503)] {
        let upstream = Upstream::start(Script { status: |_, _| 500, ..Script::default() }).await;
        let server = serve(Ensemble { outage, ..Ensemble::default() }, &upstream).await;
        let response = server.post("/api/time-travel", &json!({ "question": QUESTION })).await;
        assert_eq!(response.status(), status);
        let body: Value = response.json().await.unwrap();
        let reason = match outage {
            Outage::NotEligible => {
                assert_eq!((&body["is_eligible"], &body["snapshots"]), (&json!(false), &json!([])));
                assert_eq!(body["errors"].as_array().unwrap().len(), 4);
                &body["skip_reason"]
            }
            Outage::Unavailable => &body["detail"],
        };
        assert!(reason.as_str().unwrap().contains("status 500: as scripted"), "{body:#}");
        assert_eq!(upstream.calls().len(), 4, "neither key changes nor a narrative of nothing");
        let stats = get(&server, "/api/monitoring/stats").await;
        let errors = |name: &str| stats["operations"][name]["errors"].as_u64().unwrap();
        assert_eq!(errors("single_snapshot"), 4);
        assert_eq!((errors("parallel_snapshot_generation"), errors("time_travel_total")), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_key_changes_or_narrative_there_is_still_an_answer() {
    for (failing, component) in [(Kind::KeyChanges, "key_changes"), (Kind::Narrative, "narrative")]
    {
        let status = match failing {
            Kind::KeyChanges => |kind, _: &str| if kind == Kind::KeyChanges { 503 } else { 200 },
            _ => |kind, _: &str| if kind == Kind::Narrative { 503 } else { 200 },
        };
        let upstream = Upstream::start(Script { status, ..Script::default() }).await;
        let server = serve(Ensemble::default(), &upstream).await;
        let answer = ask(&server, QUESTION).await;
        assert_eq!(labels(&answer).len(), 4);
        assert_eq!(answer["errors"][0]["component"], component);
        assert_eq!(answer["evolution_narrative"].is_null(), failing == Kind::Narrative);
        let changes = answer["snapshots"][1]["key_changes"].as_array().unwrap().len();
        assert_eq!(changes == 0, failing == Kind::KeyChanges);
        assert!(part(&answer, "narrative_ms") > 0.0, "its time is stated, failed or not");
    }
}
