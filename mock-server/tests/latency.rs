//! Intended service times follow from the seed and the number of the request, and from nothing else.

mod common;

use std::time::Duration;

use common::{Server, client, instant, workers};
use mock_server::Inference;
use mock_server::draws::{Draws, Sequence};
use mock_server::latency::{Distribution, Latency};
use mock_server::ledger::Figures;
use proptest::prelude::*;
use serde_json::json;
use tokio::task::JoinSet;

fn jittered(base_us: u64, jitter_us: u64) -> Distribution {
    Distribution::around(Duration::from_micros(base_us), Duration::from_micros(jitter_us))
        .expect("no time is negative")
}

proptest! {
    #[test]
    fn draws_lie_between_the_bounds(
        seed: u64, sequence: u64, base in 0..1_000_000u64, share in 0.0..=1.0f64,
        per_item in 0..10_000u64, items in 0..=100u32,
    ) {
        let jitter = (base as f64 * share) as u64;
        let latency =
            Latency { per_item: Duration::from_micros(per_item), ..Latency::of(jittered(base, jitter)) };
        let drawn = latency.draw(Draws::new(seed, sequence), items);
        let batch = Duration::from_micros(per_item * u64::from(items));
        prop_assert!(drawn >= Duration::from_micros(base - jitter) + batch);
        prop_assert!(drawn <= Duration::from_micros(base + jitter) + batch);
        prop_assert_eq!(drawn, latency.draw(Draws::new(seed, sequence), items));
        prop_assert_eq!(drawn - batch, latency.draw(Draws::new(seed, sequence), 0));
    }
}

#[test]
fn without_jitter_every_draw_is_the_same() {
    let latency =
        Latency { per_item: Duration::from_micros(2_500), ..Latency::of(jittered(75_000, 0)) };
    for sequence in 0..100 {
        assert_eq!(latency.draw(Draws::new(sequence, sequence), 2), Duration::from_millis(80));
    }
}

#[test]
fn jitter_is_uniform_and_differs_from_seed_to_seed() {
    const DRAWS: u64 = 10_000;
    let latency = Latency::of(jittered(50_000, 30_000));
    let drawn = |seed| -> Vec<f64> {
        (0..DRAWS).map(|n| latency.draw(Draws::new(seed, n), 1).as_secs_f64() * 1e3).collect()
    };
    for seed in [0, 1, 42, u64::MAX] {
        let times = drawn(seed);
        // Ten equal parts of [20, 80] ms; the standard deviation of a share is 0.3%.
        for part in 0..10 {
            let low = 20.0 + 6.0 * f64::from(part);
            let inside = times.iter().filter(|t| (low..low + 6.0).contains(*t)).count();
            let share = inside as f64 / DRAWS as f64;
            assert!((share - 0.1).abs() < 0.015, "seed {seed}, part {part}: {share}");
        }
    }
    let (one, two) = (drawn(1), drawn(2));
    assert!(one.iter().zip(&two).filter(|(a, b)| a == b).count() < 10);
    assert!(!one.windows(100).any(|w| w == &two[..100]), "no stream is another one shifted");
}

#[test]
fn no_time_is_negative_and_zero_is_known() {
    assert_eq!(Distribution::around(Duration::from_millis(1), Duration::from_millis(2)), None);
    assert!(Latency::ZERO.is_zero());
    let per_item = Duration::from_nanos(1);
    assert!(!Latency { per_item, ..Latency::ZERO }.is_zero());
    assert!(!Latency::of(jittered(1, 1)).is_zero());
}

#[test]
fn a_sequence_counts_and_starts_again() {
    let sequence = Sequence::default();
    assert_eq!([sequence.next(), sequence.next(), sequence.next()], [0, 1, 2]);
    sequence.restart();
    assert_eq!(sequence.next(), 0);
}

/// Sends 60 predictions from `clients` clients and returns the intended times; starts from a reset.
async fn intended(server: &Server, clients: usize) -> Figures {
    server.reset().await;
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let url = format!("{}/predict", server.url);
        running.spawn(async move {
            let client = client();
            for _ in 0..60 / clients {
                let request = client.post(&url).json(&json!({ "text": "good" }));
                assert_eq!(request.send().await.expect("an answer").status(), 200);
            }
        });
    }
    running.join_all().await;
    server.ledger().await.routes["POST /predict"].intended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seed_gives_the_same_times_whatever_runs_together() {
    let latency = Latency::of(jittered(3_000, 3_000));
    let behaviour =
        |seed| Inference { engine: workers(8), latency: latency.clone(), seed, ..instant() };
    let server = Server::start(behaviour(7)).await;
    let alone = intended(&server, 1).await;
    assert_eq!(alone.count, 60);
    assert!(alone.max_ms > alone.p50_ms);
    assert_eq!(intended(&server, 6).await, alone);
    assert_eq!(intended(&server, 20).await, alone);
    assert_ne!(intended(&Server::start(behaviour(8)).await, 6).await, alone);
}
