//! A cache in the service's own memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Answers that are kept at most. One more takes the place of the one that would end first.
const CAPACITY: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<String, Kept>>);

#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    until: Instant,
}

impl Memory {
    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        let all = self.all();
        let kept = all.get(key).filter(|kept| Instant::now() < kept.until);
        kept.map(|kept| kept.bytes.clone())
    }

    pub(super) fn put(&self, key: &str, bytes: Vec<u8>, ttl: Duration) {
        let mut all = self.all();
        if all.len() >= CAPACITY && !all.contains_key(key) {
            let next = all.iter().min_by_key(|(_, kept)| kept.until).map(|(key, _)| key.clone());
            next.map(|key| all.remove(&key));
        }
        all.insert(key.to_owned(), Kept { bytes, until: Instant::now() + ttl });
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        // A panic elsewhere leaves a whole map: no change spans more than one lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{CAPACITY, Memory};

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn what_is_over_is_gone() {
        let memory = Memory::default();
        memory.put("over", vec![1], Duration::ZERO);
        memory.put("kept", vec![2], LONG);
        assert_eq!((memory.get("over"), memory.get("kept")), (None, Some(vec![2])));
    }

    #[test]
    fn a_full_cache_drops_what_would_end_first() {
        let memory = Memory::default();
        memory.put("first", vec![], Duration::from_secs(60));
        for number in 0..CAPACITY {
            memory.put(&number.to_string(), vec![], LONG);
        }
        assert_eq!(memory.all().len(), CAPACITY);
        assert_eq!(memory.get("first"), None);
    }
}
