//! Texts whose features are known.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

/// Texts that are remembered; the oldest gives way.
const CAPACITY: usize = 10_000;

/// A cache of features, by a hash of the text.
#[derive(Debug, Default)]
pub(super) struct Features {
    hasher: RandomState,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    texts: HashSet<u64>,
    in_order: VecDeque<u64>,
}

impl Features {
    /// How many of the texts were known; from now on all of them are.
    pub(super) fn look_up(&self, texts: &[String]) -> u32 {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hits = 0;
        for text in texts {
            let hash = self.hasher.hash_one(text);
            if !known.texts.insert(hash) {
                hits += 1;
                continue;
            }
            known.in_order.push_back(hash);
            if known.in_order.len() > CAPACITY
                && let Some(oldest) = known.in_order.pop_front()
            {
                known.texts.remove(&oldest);
            }
        }
        hits
    }
}
