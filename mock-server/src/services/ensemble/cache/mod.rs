//! Answers that are kept for the next who asks the same.

mod memory;
mod redis;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::answer::Answer;
use super::normalise::normalise;
use super::settings::{CacheKind, Ensemble};
use crate::ledger::Ledger;
use memory::Memory;
use redis::Redis;

/// The cache, whichever it is.
#[derive(Debug)]
pub(super) struct Cache {
    store: Store,
    counts: Counts,
    ledger: Arc<Ledger>,
}

#[derive(Debug)]
enum Store {
    None,
    Memory(Memory),
    Redis(Box<Redis>),
}

/// What an answer is kept under: the question, the model, the number of snapshots, and the settings
/// that shape it, so that services that share a Redis and work differently do not answer for each
/// other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key(String);

impl Key {
    /// The key is a digest: its length does not depend on the question's.
    pub(super) fn new(question: &str, model: &str, snapshots: usize, behaviour: &Ensemble) -> Key {
        let question = match behaviour.normalise {
            true => normalise(question),
            false => question.to_owned(),
        };
        let Ensemble { key_changes, extraction_model, .. } = behaviour;
        let shape = format!("{model}\n{snapshots}\n{key_changes:?}\n{extraction_model}");
        let digest = Sha256::digest(format!("{shape}\n{question}"));
        Key(format!("time-travel:{digest:x}"))
    }
}

/// The cache cannot be reached, or holds something else than answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cache: {0}")]
pub(super) struct CacheError(String);

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    errors: AtomicU64,
}

/// Look-ups since the start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct CacheReport {
    /// `none`, `memory` or `redis`.
    kind: &'static str,
    hits: u64,
    misses: u64,
    /// Look-ups and stores that failed.
    errors: u64,
    /// `hits / (hits + misses)`; none before the first look-up.
    hit_rate: Option<f64>,
}

impl Cache {
    pub(super) fn new(behaviour: &Ensemble, ledger: &Arc<Ledger>) -> std::io::Result<Cache> {
        let store = match &behaviour.cache {
            CacheKind::None => Store::None,
            CacheKind::Memory => Store::Memory(Memory::default()),
            CacheKind::Redis(url) => {
                Store::Redis(Box::new(Redis::new(url).map_err(std::io::Error::other)?))
            }
        };
        Ok(Cache { store, counts: Counts::default(), ledger: Arc::clone(ledger) })
    }

    /// The answer that is kept under a key, if there is one.
    pub(super) async fn get(&self, key: &Key) -> Result<Option<Answer>, CacheError> {
        let found = match &self.store {
            Store::None => return Ok(None),
            Store::Memory(memory) => Ok(memory.get(&key.0)),
            Store::Redis(redis) => redis.get(&key.0).await,
        };
        let answer = found.and_then(|bytes| match bytes {
            Some(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| CacheError(error.to_string())),
            None => Ok(None),
        });
        match &answer {
            Ok(Some(_)) => self.count(&self.counts.hits, "cache_hits"),
            Ok(None) => self.count(&self.counts.misses, "cache_misses"),
            Err(_) => self.count(&self.counts.errors, "cache_errors"),
        }
        answer
    }

    /// Keeps an answer for `ttl`. A cache that fails is counted, and the answer is given all the
    /// same.
    pub(super) async fn put(&self, key: &Key, answer: &Answer, ttl: Duration) {
        if let Store::None = self.store {
            return;
        }
        let bytes = serde_json::to_vec(answer).map_err(|error| CacheError(error.to_string()));
        let kept = match (bytes, &self.store) {
            (Err(error), _) => Err(error),
            (Ok(_), Store::None) => Ok(()),
            (Ok(bytes), Store::Memory(memory)) => {
                memory.put(&key.0, bytes, ttl);
                Ok(())
            }
            (Ok(bytes), Store::Redis(redis)) => redis.put(&key.0, bytes, ttl).await,
        };
        if kept.is_err() {
            self.count(&self.counts.errors, "cache_errors");
        }
    }

    /// Look-ups are counted from now on.
    pub(super) fn forget_counts(&self) {
        let Counts { hits, misses, errors } = &self.counts;
        for count in [hits, misses, errors] {
            count.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn report(&self) -> CacheReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { hits, misses, errors } = &self.counts;
        let (hits, misses, errors) = (read(hits), read(misses), read(errors));
        let looked_up = hits + misses;
        CacheReport {
            kind: match self.store {
                Store::None => "none",
                Store::Memory(_) => "memory",
                Store::Redis(_) => "redis",
            },
            hits,
            misses,
            errors,
            hit_rate: (looked_up > 0).then(|| hits as f64 / looked_up as f64),
        }
    }

    /// In the service's own statistics, and in the ledger.
    fn count(&self, counter: &AtomicU64, name: &'static str) {
        counter.fetch_add(1, Ordering::Relaxed);
        self.ledger.count(&[(name, 1)]);
    }
}

#[cfg(test)]
mod tests {
    use super::{Ensemble, Key};

    #[test]
    fn a_key_is_the_question_the_model_and_the_number_of_snapshots() {
        let behaviour = Ensemble::default();
        let key = |question, model, count| Key::new(question, model, count, &behaviour);
        let one = key("What is GPT-4?", "a", 4);
        assert_eq!(one, key("  what is gpt-4 ", "a", 4));
        assert_ne!(one, key("What is GPT-5?", "a", 4));
        assert_ne!(one, key("What is GPT-4?", "b", 4));
        assert_ne!(one, key("What is GPT-4?", "a", 3));
        let literal = Ensemble { normalise: false, ..Ensemble::default() };
        assert_ne!(Key::new("A", "a", 4, &literal), Key::new("a", "a", 4, &literal));
        let original = Ensemble { normalise: true, ..Ensemble::original() };
        assert_ne!(one, Key::new("What is GPT-4?", "a", 4, &original), "other calls made it");
    }
}
