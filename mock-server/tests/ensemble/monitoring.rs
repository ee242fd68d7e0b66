//! S1-13 and S1-14: what the service says of itself over HTTP, against what a client sees.

use std::time::{Duration, Instant};

use mock_server::Ensemble;

use super::upstream::{Script, Upstream, proportional};
use super::{QUESTION, ask, get, serve};

/// The value of one line of Prometheus text.
fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

/// S1-13: the service's own shortest time is the client's, but for the way there and back. (The
/// shortest, since what else the machine does is no part of it.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_and_its_client_agree() {
    let latency = |kind| 2 * proportional(kind);
    let upstream = Upstream::start(Script { latency, ..Script::default() }).await;
    let server = serve(Ensemble::default(), &upstream).await;
    // The connections to and behind the service are open before anything is measured.
    ask(&server, QUESTION).await;
    let reset = server.client.post(format!("{}/api/monitoring/reset-stats", server.url)).send();
    assert_eq!(reset.await.unwrap().status(), 200);

    let (mut waited, mut stated) = (Duration::MAX, 0.0);
    for _ in 0..5 {
        let started = Instant::now();
        let answer = ask(&server, QUESTION).await;
        waited = waited.min(started.elapsed());
        stated += answer["total_time_seconds"].as_f64().unwrap();
    }
    let close = |ratio: f64| (0.95..=1.05).contains(&ratio);
    let client_ms = waited.as_secs_f64() * 1e3 / 0.01;

    let stats = get(&server, "/api/monitoring/stats").await;
    let operations = stats["operations"].as_object().unwrap();
    assert_eq!(operations.len(), 7);
    for (name, count) in [
        ("time_travel_total", 5),
        ("classification", 5),
        ("cache_lookup", 5),
        ("parallel_snapshot_generation", 5),
        ("single_snapshot", 20),
        ("key_changes", 5),
        ("evolution_narrative", 5),
    ] {
        assert_eq!(operations[name]["count"], count, "{name}");
        assert_eq!(operations[name]["errors"], 0, "{name}");
    }
    let total = &operations["time_travel_total"];
    let mean = total["mean_ms"].as_f64().unwrap();
    let shortest = total["min_ms"].as_f64().unwrap();
    assert!(close(shortest / client_ms), "{shortest} {client_ms}");
    assert!(stats["percentile_method"].as_str().unwrap().contains("HDR"));

    // The same figures in every form.
    let response = server.get("/api/monitoring/metrics").await;
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(content_type.starts_with("text/plain; version=0.0.4"), "{content_type}");
    let text = response.text().await.unwrap();
    let seconds = |name: &str| metric(&text, &format!("time_travel_total_duration_seconds{name}"));
    assert_eq!(seconds("_count"), 5.0);
    assert!(close(seconds("_sum") / stated), "{text}");
    for (quantile, name) in [("0.5", "p50_ms"), ("0.95", "p95_ms"), ("0.99", "p99_ms")] {
        let ms = total[name].as_f64().unwrap();
        let stated = seconds(&format!("{{quantile=\"{quantile}\"}}")) * 1e3;
        assert!((stated / ms - 1.0).abs() < 1e-9, "{stated} {ms}");
    }
    let breakdown = get(&server, "/api/monitoring/latency-breakdown").await;
    assert_eq!(breakdown["current_p95_ms"], total["p95_ms"]);
    assert_eq!(
        (&breakdown["baseline_ms"], &breakdown["target_ms"]),
        (&90_000.0.into(), &30_000.0.into())
    );
    let components = breakdown["breakdown"].as_object().unwrap();
    assert_eq!(components["key_changes"], operations["key_changes"]);

    // And the ledger's: the whole request is a little more than what the monitor times.
    let ledger = server.stop().await;
    let work = ledger.routes["POST /api/time-travel"].work.mean_ms / 0.01;
    assert!((0.9..=1.1).contains(&(work / mean)), "{work} {mean}");
}

/// S1-14: a request that takes longer than its bounds, at this scale, raises alerts of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_requests_raise_alerts() {
    // 45 s at a two-thousandth are 22.5 ms, 90 s are 45 ms; snapshots alone take 60 ms here.
    let latency = |_| Duration::from_millis(60);
    let upstream = Upstream::start(Script { latency, ..Script::default() }).await;
    let mut behaviour = Ensemble { time_scale: 0.000_5, ..Ensemble::default() };
    behaviour.upstream.timeout = Duration::from_secs(3_600);
    let server = serve(behaviour, &upstream).await;
    let none = get(&server, "/api/monitoring/alerts").await;
    assert_eq!(none["count"], 0, "{none:#}");

    ask(&server, QUESTION).await;
    let alerts = get(&server, "/api/monitoring/alerts").await;
    assert_eq!(alerts["count"], 3, "{alerts:#}");
    for (at, (operation, threshold)) in [
        ("time_travel_total", 90_000.0),
        ("parallel_snapshot_generation", 60_000.0),
        ("single_snapshot", 45_000.0),
    ]
    .into_iter()
    .enumerate()
    {
        let alert = &alerts["alerts"][at];
        assert_eq!(
            (&alert["operation"], &alert["severity"]),
            (&operation.into(), &"critical".into())
        );
        assert_eq!((&alert["metric"], &alert["threshold"]), (&"p95_ms".into(), &threshold.into()));
    }

    // At this scale the same request is far within its bounds.
    let within = Ensemble { time_scale: 0.1, ..Ensemble::default() };
    let server = serve(within, &upstream).await;
    ask(&server, QUESTION).await;
    assert_eq!(get(&server, "/api/monitoring/alerts").await["count"], 0);
}

/// S1-14: failures count, whatever time they take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_requests_raise_alerts() {
    let script = Script { status: |_, _| 500, ..Script::default() };
    let upstream = Upstream::start(script).await;
    let server = serve(Ensemble { time_scale: 1.0, ..Ensemble::default() }, &upstream).await;
    ask(&server, QUESTION).await;
    let alerts = get(&server, "/api/monitoring/alerts").await;
    let operations: Vec<&str> = alerts["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| {
            assert_eq!(
                (&alert["metric"], &alert["severity"]),
                (&"error_rate".into(), &"critical".into())
            );
            alert["operation"].as_str().unwrap()
        })
        .collect();
    assert_eq!(
        operations,
        ["time_travel_total", "parallel_snapshot_generation", "single_snapshot"]
    );
}
