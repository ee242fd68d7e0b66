//! What each switch does to the calls, and that none does another's work.

use std::time::{Duration, Instant};

use mock_server::{Ensemble, KeyChanges, Snapshots};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::common::{Server, client};
use super::upstream::{Kind, Script, Upstream, proportional};
use super::{QUESTION, ask, labels, part, serve};

async fn scripted() -> Upstream {
    Upstream::start(Script { latency: proportional, ..Script::default() }).await
}

/// S1-2: one call at a time, eight of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_original_makes_8_calls_one_after_another() {
    let upstream = scripted().await;
    let server = serve(Ensemble::original(), &upstream).await;
    ask(&server, QUESTION).await;
    let kinds: Vec<Kind> = upstream.calls().iter().map(|call| call.kind).collect();
    let (s, k, n) = (Kind::Snapshot, Kind::KeyChanges, Kind::Narrative);
    assert_eq!(kinds, [s, s, s, s, k, k, k, n]);
    assert_eq!(upstream.peak_together(), 1);
    assert!(upstream.calls().iter().all(|call| call.model() == "gpt-4o"));
    let ledger = server.stop().await;
    assert_eq!((ledger.upstream.answered, ledger.upstream.peak_in_flight), (8, 1));
}

/// S1-5: all snapshots together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_snapshots_are_in_flight_together() {
    let upstream = scripted().await;
    let server = serve(Ensemble::default(), &upstream).await;
    let answer = ask(&server, QUESTION).await;
    assert_eq!(upstream.peak(Kind::Snapshot), 4);
    assert_eq!(upstream.calls().len(), 6);
    assert_eq!(labels(&answer), ["Jan 2023", "Mar 2023", "May 2024", "Today"]);
    let ledger = server.stop().await;
    assert_eq!((ledger.upstream.answered, ledger.upstream.peak_in_flight), (6, 4));
}

/// S1-5: a snapshot that fails leaves the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_failing_snapshot_leaves_three() {
    for snapshots in [Snapshots::Parallel, Snapshots::Sequential] {
        let status = |_, prompt: &str| {
            if prompt.starts_with("Snapshot as of Mar") { 500 } else { 200 }
        };
        let upstream = Upstream::start(Script { status, ..Script::default() }).await;
        let server = serve(Ensemble { snapshots, ..Ensemble::default() }, &upstream).await;
        let answer = ask(&server, QUESTION).await;
        assert_eq!(labels(&answer), ["Jan 2023", "May 2024", "Today"]);
        assert_eq!(answer["is_eligible"], true);
        assert_eq!(answer["errors"].as_array().unwrap().len(), 1);
        assert_eq!(answer["errors"][0]["date_label"], "Mar 2023");
        let changes = |at: usize| answer["snapshots"][at]["key_changes"].as_array().unwrap().len();
        assert_eq!([changes(0), changes(1), changes(2)], [0, 2, 2]);
        assert_eq!(upstream.calls().len(), 6);
    }
}

/// S1-6: one extraction call with the smaller model, over the beginnings of the answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batched_key_changes_are_one_call() {
    let upstream = Upstream::start(Script::default()).await;
    let server = serve(Ensemble::default(), &upstream).await;
    let answer = ask(&server, QUESTION).await;
    let calls = upstream.calls();
    let extractions: Vec<_> = calls.iter().filter(|c| c.kind == Kind::KeyChanges).collect();
    assert_eq!(extractions.len(), 1);
    assert_eq!(extractions[0].model(), "gpt-4o-mini");
    assert_eq!(extractions[0].body["max_tokens"], 500);
    let whole = answer["snapshots"][1]["answer"].as_str().unwrap();
    let prompt = extractions[0].prompt();
    assert!(prompt.contains(&whole[..600]) && !prompt.contains(&whole[..601]), "{prompt}");
    // Four snapshots, three transitions: each but the first has a list of its own.
    let lists: Vec<&Value> =
        answer["snapshots"].as_array().unwrap().iter().map(|s| &s["key_changes"]).collect();
    assert_eq!(lists[0], &json!([]));
    for (number, list) in lists.iter().enumerate().skip(1) {
        let first = list[0].as_str().unwrap();
        assert!(first.starts_with(&format!("first of Transition {number}: ")), "{first}");
    }
}

/// S1-3: the parts of a request add up to the whole, in the service's own figures and against the
/// client's clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_breakdown_adds_up() {
    for behaviour in [Ensemble::original(), Ensemble::optimised()] {
        let upstream = scripted().await;
        let server = serve(behaviour, &upstream).await;
        let started = Instant::now();
        let answer = ask(&server, QUESTION).await;
        let waited = started.elapsed().as_secs_f64();
        let names = [
            "classification_ms",
            "cache_lookup_ms",
            "snapshot_generation_ms",
            "key_changes_ms",
            "narrative_ms",
            "overhead_ms",
        ];
        let total = part(&answer, "total_ms");
        let sum: f64 = names.iter().map(|name| part(&answer, name)).sum();
        assert!((sum / total - 1.0).abs() < 0.02, "{answer:#}");
        let stated = answer["total_time_seconds"].as_f64().unwrap();
        assert!((stated * 1e3 / total - 1.0).abs() < 0.001, "{answer:#}");
        // What the client waited is the stated time at this scale, and the way there and back.
        let scale = answer["time_scale"].as_f64().unwrap();
        assert!(stated * scale <= waited && stated * scale > 0.5 * waited, "{stated} {waited}");
        let each = answer["performance_breakdown"]["snapshots"].as_array().unwrap();
        let each: Vec<f64> = each.iter().map(|one| one["ms"].as_f64().unwrap()).collect();
        let generation = part(&answer, "snapshot_generation_ms");
        match server.stop().await.upstream.peak_in_flight {
            // One after another: they are the whole generation.
            1 => assert!((each.iter().sum::<f64>() / generation - 1.0).abs() < 0.02, "{answer:#}"),
            _ => assert!(each.iter().all(|one| *one <= generation), "{answer:#}"),
        }
    }
}

/// S1-4 (what S1-2 and S1-20 state as 80 -> 20 and 15 -> 5): each switch shortens its own part, by
/// about the factor that its calls are fewer or together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_switch_moves_its_own_part() {
    let parallel = Ensemble { snapshots: Snapshots::Parallel, ..Ensemble::original() };
    let batched = Ensemble { key_changes: KeyChanges::Batched, ..Ensemble::original() };
    let before = parts(Ensemble::original()).await;
    let (parallel, batched) = (parts(parallel).await, parts(batched).await);
    let ratio = |after: &[f64; 3]| [0, 1, 2].map(|at| before[at] / after[at]);
    let (parallel, batched) = (ratio(&parallel), ratio(&batched));
    let same = 0.6..1.6;
    assert!(
        parallel[0] > 2.8 && same.contains(&parallel[1]) && same.contains(&parallel[2]),
        "{parallel:?}"
    );
    assert!(
        same.contains(&batched[0]) && batched[1] > 2.0 && same.contains(&batched[2]),
        "{batched:?}"
    );
}

/// Snapshots, key changes and narrative: the best of three requests.
async fn parts(behaviour: Ensemble) -> [f64; 3] {
    let upstream = scripted().await;
    let server = serve(behaviour, &upstream).await;
    let mut best = [f64::INFINITY; 3];
    for _ in 0..3 {
        let answer = ask(&server, QUESTION).await;
        for (best, name) in
            best.iter_mut().zip(["snapshot_generation_ms", "key_changes_ms", "narrative_ms"])
        {
            *best = best.min(part(&answer, name));
        }
    }
    best
}

/// S1-9: five snapshot calls at most, over all users.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_semaphore_is_shared_by_all_users() {
    for (semaphore, users, peak) in [(5, 4, 5), (0, 4, 16), (2, 1, 2)] {
        let upstream = scripted().await;
        let server = serve(Ensemble { semaphore, ..Ensemble::default() }, &upstream).await;
        together(&server, users).await;
        assert_eq!(upstream.peak(Kind::Snapshot), peak, "semaphore {semaphore}, {users} users");
    }
}

/// S1-9: with 20 s a snapshot and 10 s for the rest, one user takes 30 s; of two users one takes 30 s
/// and the other 50 s; of five, the last takes 90 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_queue_at_the_semaphore() {
    let upstream = scripted().await;
    let server = serve(Ensemble::default(), &upstream).await;
    let mut best = [f64::INFINITY; 3];
    let mut of_two = f64::INFINITY;
    for _ in 0..3 {
        for (best, users) in best.iter_mut().zip([1, 2, 5]) {
            let times = together(&server, users).await;
            *best = best.min(times[users - 1]);
            if users == 2 {
                of_two = of_two.min(times[0]);
            }
        }
    }
    let [one, last_of_two, last_of_five] = best;
    let near = |ratio: f64, expected: f64| (ratio / expected - 1.0).abs() < 0.2;
    assert!(near(of_two / one, 30.0 / 30.0), "{best:?} {of_two}");
    assert!(near(last_of_two / one, 50.0 / 30.0), "{best:?}");
    assert!(near(last_of_five / one, 90.0 / 30.0), "{best:?}");
}

/// The stated times of as many users who ask at once, shortest first.
async fn together(server: &Server, users: usize) -> Vec<f64> {
    let mut asking = JoinSet::new();
    for _ in 0..users {
        let url = format!("{}/api/time-travel", server.url);
        let request = client().post(url).json(&json!({ "question": QUESTION }));
        asking.spawn(async move {
            let answer: Value = request.send().await.unwrap().json().await.unwrap();
            answer["total_time_seconds"].as_f64().unwrap()
        });
    }
    let mut times = asking.join_all().await;
    times.sort_by(f64::total_cmp);
    times
}

/// The service's own latency is not scaled, and is in the ledger as intended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_own_latency_is_overhead() {
    let upstream = Upstream::start(Script::default()).await;
    let latency = mock_server::latency::Latency::of("150ms".parse().unwrap());
    let server = serve(Ensemble { latency, ..Ensemble::default() }, &upstream).await;
    let answer = ask(&server, QUESTION).await;
    let overhead = Duration::from_secs_f64(part(&answer, "overhead_ms") / 1e3 * 0.01);
    assert!(overhead >= Duration::from_millis(150), "{overhead:?}");
    let ledger = server.stop().await;
    let route = &ledger.routes["POST /api/time-travel"];
    assert!((route.intended.mean_ms - 150.0).abs() < 1e-6);
    assert!(route.work.mean_ms >= route.intended.mean_ms);
}
