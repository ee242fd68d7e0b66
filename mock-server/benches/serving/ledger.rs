//! The ledger alone: opening, completing and closing entries as the services do.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use hyper::Method;
use mock_server::ledger::{Ledger, Tokens, Work};

const REQUESTS: u32 = 500_000;

/// Nanoseconds that a thread spends in the ledger for one request, where so many threads use it at
/// once: the smallest of three.
pub fn cost_ns(threads: usize) -> f64 {
    (0..3).map(|_| once(threads)).fold(f64::INFINITY, f64::min)
}

fn once(threads: usize) -> f64 {
    let ledger = Ledger::new("bench");
    let start = Barrier::new(threads);
    let spent: Duration = thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let begun = Instant::now();
                    for n in 0..REQUESTS {
                        let path = "/openai/deployments/{deployment}/chat/completions";
                        let mut entry = ledger.accept(&Method::POST, path);
                        entry.complete(200);
                        let time = Duration::from_nanos(u64::from(n) * 997 % 50_000_000);
                        let tokens = Tokens { prompt: 20, completion: 50 };
                        let work = Work { items: 1, intended: time, spent: time, tokens };
                        entry.answer(200, 500, Some(work));
                    }
                    begun.elapsed()
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let counted = ledger.snapshot().requests.answered;
    assert_eq!(counted, u64::from(REQUESTS) * threads as u64, "every request is in the ledger");
    spent.as_nanos() as f64 / counted as f64
}
