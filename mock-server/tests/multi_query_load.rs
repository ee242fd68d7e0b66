//! The multi-query service under load: engines, orders, pool sizes and stages, as counts, orderings
//! and ratios within one run.

mod common;
mod common_upstream;
mod multi_query_support;

use std::collections::BTreeMap;
use std::time::Duration;

use common_upstream::{Script, fixed};
use mock_server::latency::{Distribution, Latency};
use mock_server::{Execution, MultiQuery, Order, QueryEngine, UpstreamSettings};
use multi_query_support::{Service, assert_whole, elapsed, failed, rows};
use serde_json::{Value, json};

fn pool(engine: QueryEngine, pool_size: usize) -> MultiQuery {
    MultiQuery { engine, pool_size, ..MultiQuery::default() }
}

/// The service's own time for a batch of `count` rows, milliseconds.
async fn time(settings: MultiQuery, latency: Latency, count: usize) -> f64 {
    let service = Service::start(Script { latency, ..Script::default() }, settings).await;
    // Connections are opened before anything is timed.
    service.send("warm", &rows(1)).await;
    let answer = service.send("timed", &rows(count)).await;
    assert_eq!(failed(&answer), 0);
    elapsed(&answer)
}

/// S0-2: 100 rows of 4 queries make exactly 400 calls, every row has all its outputs, and a pool of 4
/// is more than three times as fast as the calls one after another would be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_2_a_hundred_rows_make_four_hundred_calls_four_at_a_time() {
    let script = Script { latency: fixed(20), ..Script::default() };
    let service = Service::start(script, MultiQuery::default()).await;
    let answer = service.send("s", &rows(100)).await;
    assert_eq!((service.upstream.calls(), service.upstream.peak()), (400, 4));
    assert_eq!(failed(&answer), 0);
    assert_whole(&answer);
    let calls = answer["stats"]["stages"]["call"]["total_ms"].as_f64().unwrap();
    let speed_up = calls / elapsed(&answer);
    println!("S0-2: {:.2} s, speed-up {speed_up:.2}", elapsed(&answer) / 1e3);
    assert!(calls >= 400.0 * 20.0, "{calls}");
    assert!(speed_up > 3.0, "{speed_up}");
    assert!(elapsed(&answer) >= 100.0 * 20.0, "rows run one after another");
}

/// S0-3: a pool of 4 is close to four times as fast as one of 1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_3_four_at_a_time_are_nearly_four_times_as_fast() {
    let mut best: f64 = 0.0;
    for _ in 0..3 {
        let sequential = time(pool(QueryEngine::RowBarrier, 1), fixed(50), 10).await;
        let parallel = time(pool(QueryEngine::RowBarrier, 4), fixed(50), 10).await;
        best = best.max(sequential / parallel);
        println!("S0-3: {sequential:.0} ms / {parallel:.0} ms = {:.2}", sequential / parallel);
        if best > 3.8 {
            break;
        }
    }
    assert!(best > 3.3, "{best}");
    assert!(best < 4.2, "{best}");
}

/// S0-6: without any latency the five stages add up to the total, which is measured on its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_6_the_stages_add_up_to_the_total() {
    for execution in [Execution::Threads, Execution::Async] {
        for engine in [QueryEngine::RowBarrier, QueryEngine::Flat, QueryEngine::Pipelined] {
            let settings = MultiQuery { execution, ..pool(engine, 4) };
            let service = Service::start(Script::default(), settings).await;
            service.send("warm", &rows(5)).await;
            service.server.post("/control/reset", &json!({})).await;
            let answer = service.send("s", &rows(100)).await;
            let figures = answer["stats"]["stages"].as_object().unwrap();
            let total_ms = |name: &str| figures[name]["total_ms"].as_f64().unwrap();
            let stages = ["template", "call", "parse", "merge", "coordination"];
            let sum: f64 = stages.iter().map(|stage| total_ms(stage)).sum();
            let total = total_ms("total");
            let each: BTreeMap<_, _> =
                stages.iter().map(|stage| (*stage, total_ms(stage) / 400.0)).collect();
            println!(
                "S0-6 {execution:?} {engine:?}: {:.3} ms a query, stages/total {:.3}, {each:.3?}",
                elapsed(&answer) / 400.0,
                sum / total
            );
            assert!((0.9..=1.1).contains(&(sum / total)), "{sum} of {total}");
            for stage in stages.iter().chain(&["total"]) {
                assert_eq!(figures[*stage]["count"], 400, "{stage}");
                assert!(total_ms(stage) > 0.0, "{stage}");
            }
            // The service's own table is that of its only batch since the reset.
            let of_service = service.stats().await["stages"]["total"]["mean_ms"].clone();
            let of_batch = figures["total"]["mean_ms"].as_f64().unwrap();
            assert!((of_service.as_f64().unwrap() / of_batch - 1.0).abs() < 1e-6);
        }
    }
}

/// S0-7: the times of calls are those that were drawn, and little more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_7_the_times_of_calls_are_those_of_the_upstream() {
    let (low, high) = (Duration::from_millis(20), Duration::from_millis(80));
    let latency = Latency::of(Distribution::Uniform { low, high });
    let service =
        Service::start(Script { latency, ..Script::default() }, MultiQuery::default()).await;
    let answer = service.send("s", &rows(20)).await;
    let call = &answer["stats"]["stages"]["call"];
    println!("S0-7: {call}");
    assert_eq!(call["count"], 80);
    let figure = |name: &str| call[name].as_f64().unwrap();
    assert!(figure("p50_ms") < figure("p95_ms") && figure("p95_ms") <= figure("p99_ms"));
    assert!(figure("p50_ms") >= 20.0);
    let ledger = service.server.ledger().await.upstream;
    // The ledger's clock is within the stage's, which adds next to nothing; its buckets are 0.1%.
    assert_eq!(ledger.times.count, 80);
    assert!(ledger.times.mean_ms <= figure("mean_ms"));
    assert!(ledger.times.mean_ms > 0.9 * figure("mean_ms"));
}

/// S0-11, S0-12: with `row-barrier` a pool beyond a row's four queries gains nothing; with `flat` and
/// `pipelined` it goes on gaining.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_11_each_engine_scales_as_far_as_its_barrier_lets_it() {
    for engine in [QueryEngine::RowBarrier, QueryEngine::Flat, QueryEngine::Pipelined] {
        let mut best = [0.0_f64; 4];
        let holds = |best: [f64; 4]| match engine {
            QueryEngine::RowBarrier => {
                best[1] > 3.0 && best[2] / best[1] < 1.25 && best[3] / best[1] < 1.25
            }
            _ => best[1] > 3.0 && best[2] > 5.5 && best[3] > 9.0,
        };
        for _ in 0..3 {
            let alone = time(pool(engine, 1), fixed(20), 16).await;
            for (best, size) in best.iter_mut().zip([1, 4, 8, 16]) {
                let took =
                    if size == 1 { alone } else { time(pool(engine, size), fixed(20), 16).await };
                *best = best.max(alone / took);
            }
            println!("S0-11 {engine:?}: {best:.2?}");
            if holds(best) {
                break;
            }
        }
        assert!(holds(best), "{engine:?}: {best:?}");
    }
}

/// S0-12: queries per second go with the pool and against the latency, at the latencies of the source.
/// A machine that is shared may spoil one round, but not three.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_12_throughput_goes_with_the_pool_and_against_the_latency() {
    const ROWS: usize = 4;
    for _ in 0..3 {
        let mut ratios = Vec::new();
        for latency in [50, 100, 200] {
            let mut rates = Vec::new();
            for size in [1, 4, 8] {
                let took = time(pool(QueryEngine::Flat, size), fixed(latency), ROWS).await;
                rates.push((4 * ROWS) as f64 / took * 1e3);
            }
            println!("S0-12 {latency} ms: {rates:.1?} q/s");
            ratios.push((
                rates[0] * latency as f64 / 1e3,
                rates[1] / rates[0],
                rates[2] / rates[0],
            ));
        }
        // One place makes one query a latency; four make four times as many; eight, eight times.
        let within = |share: f64, ratio: f64, wanted: f64| (ratio / wanted - 1.0).abs() <= share;
        let good = |(one, four, eight): &(f64, f64, f64)| {
            within(0.05, *one, 1.0) && within(0.05, *four, 4.0) && within(0.1, *eight, 8.0)
        };
        if ratios.iter().all(good) {
            return;
        }
    }
    panic!("throughput does not follow pool and latency");
}

/// S0-16: without a barrier after each row, uneven queries leave no place idle; a barrier after each
/// criterion costs less than one after each row, because it comes less often.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_16_flat_order_is_faster_than_row_order() {
    let (low, high) = (Duration::from_millis(20), Duration::from_millis(80));
    let latency = Latency::of(Distribution::Uniform { low, high });
    let mut last = BTreeMap::new();
    for _ in 0..3 {
        for (name, order) in
            [("row", Order::Row), ("criterion", Order::Criterion), ("flat", Order::Flat)]
        {
            let settings = MultiQuery { order: Some(order), ..pool(QueryEngine::Flat, 4) };
            last.insert(name, time(settings, latency.clone(), 20).await);
        }
        println!("S0-16: {last:.0?}");
        if last["row"] > 1.2 * last["flat"] && last["criterion"] < last["row"] {
            return;
        }
    }
    panic!("the order makes no difference: {last:?}");
}

/// S0-16: what each order means, seen in the order of calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_16_each_order_dispatches_as_it_says() {
    let expected = |order: Order| -> Vec<(usize, usize)> {
        let by_row = (0..3).flat_map(|row| (0..4).map(move |query| (row, query)));
        match order {
            Order::Row | Order::Flat => by_row.collect(),
            Order::Criterion => {
                (0..4).flat_map(|query| (0..3).map(move |row| (row, query))).collect()
            }
        }
    };
    for order in [Order::Row, Order::Criterion, Order::Flat] {
        // One at a time, so that calls begin in the order of their dispatch.
        let settings = MultiQuery { order: Some(order), ..pool(QueryEngine::Flat, 1) };
        let service = Service::start(Script::default(), settings).await;
        let body = json!({ "state_id": "s", "rows": rows(3), "trace": true });
        let answer = service.post(&body).await;
        let queries = ["cs1_diagnosis", "cs1_treatment", "cs2_diagnosis", "cs2_treatment"];
        let mut calls: Vec<(u64, (usize, usize))> = answer["trace"]
            .as_array()
            .unwrap()
            .iter()
            .map(|trace| {
                let query = queries.iter().position(|query| trace["query"] == *query).unwrap();
                let row = trace["row"].as_u64().unwrap() as usize;
                (trace["call_index"].as_u64().unwrap(), (row, query))
            })
            .collect();
        let listed: Vec<_> = calls.iter().map(|(_, position)| *position).collect();
        assert_eq!(listed, expected(Order::Row), "a trace is listed by row and query");
        calls.sort_unstable();
        let called: Vec<_> = calls.into_iter().map(|(_, position)| position).collect();
        assert_eq!(called, expected(order), "{order:?}");
    }
}

/// With `pipelined`, rows overlap without a barrier, and at most 30 are in the pipeline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_holds_thirty_rows() {
    let settings =
        MultiQuery { execution: Execution::Async, ..pool(QueryEngine::Pipelined, 1_000) };
    // Thirty rows of four queries are answered only when all of them are there.
    let script = Script { together: Some(120), ..Script::default() };
    let service = Service::start(script, settings).await;
    let answer = service.send("s", &rows(60)).await;
    assert_eq!(failed(&answer), 0);
    assert_eq!((service.upstream.calls(), service.upstream.peak()), (240, 120));
}

/// S0-14: a thousand queries in flight together on a handful of threads, and none fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s0_14_a_thousand_queries_in_flight() {
    let upstream = UpstreamSettings { keep_alive: None, ..UpstreamSettings::default() };
    let settings =
        MultiQuery { execution: Execution::Async, upstream, ..pool(QueryEngine::Flat, 1_000) };
    // None is answered before all thousand are there.
    let service =
        Service::start(Script { together: Some(1_000), ..Script::default() }, settings).await;
    let answer = service.send("s", &rows(250)).await;
    assert_eq!(failed(&answer), 0);
    assert_eq!((service.upstream.calls(), service.upstream.peak()), (1_000, 1_000));
    let ledger = service.server.ledger().await.upstream;
    assert_eq!((ledger.answered, ledger.failed, ledger.peak_in_flight), (1_000, 0, 1_000));
}

/// All requests share one pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_share_the_pool() {
    for execution in [Execution::Threads, Execution::Async] {
        let script = Script { latency: fixed(5), ..Script::default() };
        let settings = MultiQuery { execution, ..pool(QueryEngine::Flat, 3) };
        let service = Service::start(script, settings).await;
        let batches = ["a", "b", "c", "d"];
        let batches = batches.map(|id| {
            let service = &service;
            async move { service.send(id, &rows(5)).await }
        });
        let answers: Vec<Value> = futures_util::future::join_all(batches).await;
        assert!(answers.iter().all(|answer| failed(answer) == 0));
        assert_eq!((service.upstream.calls(), service.upstream.peak()), (80, 3));
        assert_eq!(service.stats().await["pool"]["max_concurrency"], 3);
    }
}
