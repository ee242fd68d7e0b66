//! Limits of requests and tokens a minute: token buckets, of which each holds one minute's worth at
//! most and is full at the start.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::errors::Failure;

const MINUTE: Duration = Duration::from_secs(60);

/// The limits of a service.
#[derive(Debug)]
pub(super) struct Limits {
    requests_per_minute: u64,
    tokens_per_minute: u64,
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    requests: Bucket,
    tokens: Bucket,
}

/// How a client stands after its request; none: there is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub requests: Option<Level>,
    pub tokens: Option<Level>,
}

/// How full a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    /// What it holds at most, and gets in a minute.
    pub limit: u64,
    pub remaining: u64,
    /// Until it is full.
    pub reset: Duration,
}

impl Limits {
    /// A limit of 0 is none.
    pub(super) fn new(requests_per_minute: u64, tokens_per_minute: u64) -> Limits {
        let bucket = |limit| Bucket { limit, level: limit as f64, at: Instant::now() };
        let buckets =
            Buckets { requests: bucket(requests_per_minute), tokens: bucket(tokens_per_minute) };
        Limits { requests_per_minute, tokens_per_minute, buckets: Mutex::new(buckets) }
    }

    /// All buckets are full again.
    pub(super) fn refill(&self) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Buckets { requests, tokens } = &mut *buckets;
        for bucket in [requests, tokens] {
            bucket.level = bucket.limit as f64;
        }
    }

    /// Takes requests and their tokens from the buckets, or, where one of them has too little, nothing
    /// from either. The second value is the error that the client gets then. The clock is asked only
    /// where there is a limit.
    pub(super) fn take(
        &self,
        requests: u64,
        tokens: u64,
        now: impl FnOnce() -> Instant,
    ) -> (Standing, Option<Failure>) {
        if self.requests_per_minute == 0 && self.tokens_per_minute == 0 {
            return (Standing::default(), None);
        }
        let now = now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Buckets { requests: of_requests, tokens: of_tokens } = &mut *buckets;
        of_requests.rise(now);
        of_tokens.rise(now);
        let failure =
            of_requests.lacks(requests, "requests").or_else(|| of_tokens.lacks(tokens, "tokens"));
        if failure.is_none() {
            of_requests.take(requests);
            of_tokens.take(tokens);
        }
        (Standing { requests: of_requests.state(), tokens: of_tokens.state() }, failure)
    }
}

/// A level that rises by `limit` a minute, up to `limit`.
#[derive(Debug)]
struct Bucket {
    limit: u64,
    level: f64,
    at: Instant,
}

impl Bucket {
    fn rise(&mut self, now: Instant) {
        let limit = self.limit as f64;
        let risen = now.saturating_duration_since(self.at).div_duration_f64(MINUTE) * limit;
        self.level = (self.level + risen).min(limit);
        self.at = self.at.max(now);
    }

    /// Why `amount` cannot be taken now.
    fn lacks(&self, amount: u64, what: &'static str) -> Option<Failure> {
        let limit = self.limit as f64;
        let missing = amount as f64 - self.level;
        // A minute's worth in many small steps may be a rounding error short of it.
        if self.limit == 0 || missing <= 1e-6 {
            return None;
        }
        let wait = (amount <= self.limit).then(|| MINUTE.mul_f64(missing / limit));
        Some(Failure::rate_limited(what, self.limit, wait))
    }

    fn take(&mut self, amount: u64) {
        self.level = (self.level - amount as f64).max(0.0);
    }

    fn state(&self) -> Option<Level> {
        let limit = self.limit as f64;
        (self.limit > 0).then(|| Level {
            limit: self.limit,
            remaining: self.level as u64,
            reset: MINUTE.mul_f64((limit - self.level) / limit),
        })
    }
}
