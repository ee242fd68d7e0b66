//! State ids: each has a client of its own that numbers its calls, over one HTTP client for all.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// State ids whose calls are numbered on; beyond, the oldest that is not in use is forgotten, so
/// that a long run does not fill the memory.
const MOST: usize = 65_536;

/// The client of one state id.
#[derive(Debug, Default)]
pub(super) struct State {
    calls: AtomicU64,
}

impl State {
    /// The number of the next call under this state id: 0, 1, 2, …
    pub(super) fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }
}

/// The clients by state id.
#[derive(Debug, Default)]
pub(super) struct States(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<Arc<str>, Arc<State>>,
    /// Oldest first.
    order: VecDeque<Arc<str>>,
}

impl States {
    /// The client of `id`: the same for all batches with this id.
    pub(super) fn get(&self, id: &str) -> Arc<State> {
        self.get_among(id, MOST)
    }

    fn get_among(&self, id: &str, most: usize) -> Arc<State> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = known.by_id.get(id) {
            return Arc::clone(state);
        }
        if known.order.len() >= most {
            known.forget_one();
        }
        let (id, state): (Arc<str>, Arc<State>) = (id.into(), Arc::default());
        known.by_id.insert(Arc::clone(&id), Arc::clone(&state));
        known.order.push_back(id);
        state
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).order.len()
    }
}

impl Known {
    fn forget_one(&mut self) {
        let in_use = |id: &Arc<str>| self.by_id.get(id).is_some_and(|s| Arc::strong_count(s) > 1);
        if let Some(idle) = self.order.iter().position(|id| !in_use(id))
            && let Some(id) = self.order.remove(idle)
        {
            self.by_id.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_state_numbers_its_calls_and_no_other() {
        let states = States::default();
        let (a, again, b) = (states.get("a"), states.get("a"), states.get("b"));
        let calls = [a.next_call(), again.next_call(), b.next_call(), a.next_call()];
        assert_eq!(calls, [0, 1, 0, 2]);
    }

    #[test]
    fn the_oldest_idle_one_is_forgotten() {
        let states = States::default();
        let used = states.get_among("used", 2);
        assert_eq!(used.next_call(), 0);
        for id in ["idle", "other", "another"] {
            states.get_among(id, 2).next_call();
        }
        assert_eq!(states.len(), 2);
        assert_eq!(states.get_among("used", 2).next_call(), 1);
        assert_eq!(states.get_among("idle", 2).next_call(), 0);
    }
}
