//! S1-18: the cache in memory, normalised questions, and warming.

use std::time::Duration;

use mock_server::{CacheKind, Ensemble};
use serde_json::json;

use super::common::Server;
use super::upstream::{Kind, Script, Upstream};
use super::{ask, get, serve};

const QUESTION: &str = "What is GPT-4?";
const SAME_QUESTION: &str = "  what is gpt-4 ";

fn cached() -> Ensemble {
    Ensemble { cache: CacheKind::Memory, ..Ensemble::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_hit_makes_no_call() {
    let upstream = Upstream::start(Script::default()).await;
    let server = serve(cached(), &upstream).await;
    let first = ask(&server, QUESTION).await;
    assert_eq!(upstream.calls().len(), 6);
    let second = ask(&server, SAME_QUESTION).await;
    assert_eq!(upstream.calls().len(), 6);
    assert_eq!((&first["cached"], &second["cached"]), (&json!(false), &json!(true)));
    assert_eq!(first["snapshots"], second["snapshots"]);
    assert_eq!(second["question"], SAME_QUESTION);
    assert_eq!(second["total_cost"], 0.0);
    let breakdown = &second["performance_breakdown"];
    assert_eq!((&breakdown["snapshots"], &breakdown["narrative_ms"]), (&json!([]), &json!(0.0)));
    let report = &get(&server, "/api/monitoring/stats").await["cache"];
    assert_eq!((&report["kind"], &report["hit_rate"]), (&json!("memory"), &json!(0.5)));
    let ledger = server.stop().await;
    assert_eq!((ledger.counters["cache_hits"], ledger.counters["cache_misses"]), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_normalisation_or_without_a_cache_nothing_is_the_same() {
    let as_written = Ensemble { normalise: false, ..cached() };
    let none = Ensemble { cache: CacheKind::None, ..cached() };
    for (behaviour, calls) in [(as_written, [6, 12, 12]), (none, [6, 12, 18])] {
        let upstream = Upstream::start(Script::default()).await;
        let server = serve(behaviour, &upstream).await;
        for (question, expected) in [QUESTION, SAME_QUESTION, QUESTION].into_iter().zip(calls) {
            ask(&server, question).await;
            assert_eq!(upstream.calls().len(), expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_which_a_part_failed_is_not_kept() {
    let status = |kind, _: &str| if kind == Kind::Narrative { 500 } else { 200 };
    let upstream = Upstream::start(Script { status, ..Script::default() }).await;
    let server = serve(cached(), &upstream).await;
    ask(&server, QUESTION).await;
    upstream.follow(Script::default());
    let second = ask(&server, QUESTION).await;
    assert_eq!((&second["cached"], upstream.calls().len()), (&json!(false), 12));
}

/// An answer that changes ends sooner than one that does not depend on the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_question_has_its_own_time_to_live() {
    let upstream = Upstream::start(Script::default()).await;
    let behaviour = Ensemble { changing_ttl: Duration::from_millis(1), ..cached() };
    let server = serve(behaviour, &upstream).await;
    let stable = json!({ "question": "What is water?", "force_time_travel": true });
    for calls in [12, 18] {
        ask(&server, QUESTION).await;
        server.post("/api/time-travel", &stable).await;
        assert_eq!(upstream.calls().len(), calls);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warming_asks_8_questions_of_2_models_and_is_counted_apart() {
    let upstream = Upstream::start(Script::default()).await;
    let server = serve(Ensemble { warming: true, ..cached() }, &upstream).await;
    let ledger = warmed(&server).await;
    assert_eq!(upstream.calls().len(), 16 * 6);
    assert_eq!(ledger.counters["warming_calls"], 16 * 6);
    let of_mini = upstream.calls().iter().filter(|c| c.model() == "gpt-4o-mini").count();
    assert_eq!(of_mini, 8 * 6 + 8, "the smaller model's own, and the extractions of the other");

    let answer = ask(&server, SAME_QUESTION).await;
    assert_eq!((&answer["cached"], upstream.calls().len()), (&json!(true), 16 * 6));
    let stats = get(&server, "/api/monitoring/stats").await;
    assert_eq!(stats["operations"]["time_travel_total"]["count"], 1);
    assert_eq!(stats["operations"]["single_snapshot"]["count"], 0);
    let warming = json!({ "planned": 16, "warmed": 16, "failed": 0, "calls": 96 });
    assert_eq!(stats["warming"], warming);
}

async fn warmed(server: &Server) -> mock_server::ledger::Snapshot {
    server.until(|ledger| ledger.counters.get("warming_questions") == Some(&16)).await
}
