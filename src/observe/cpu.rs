//! CPU time of a tree of processes, those included that come and go between two looks.
//!
//! The system adds the time of a child that ended, and that of the child's own children, to its parent
//! once that has waited for it. So the tree used what its processes used themselves and what they
//! inherited from children. Of a child that was seen and is gone, its last time counts until its
//! parent's inheritance holds it, which it never does where the parent does not wait.

use std::collections::BTreeMap;

/// What one process of the tree says of itself. Times are in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Used {
    /// When it started, in ticks of the machine: tells processes apart that have the same number.
    pub started: u64,
    /// Who started it.
    pub parent: u32,
    /// CPU time of its threads.
    pub own: f64,
    /// CPU time of its children that it has waited for, theirs included.
    pub inherited: f64,
}

/// A process that was in the tree and is alive.
#[derive(Debug, Clone, Copy)]
struct Known {
    used: Used,
    /// What it had inherited when it was first seen.
    inherited_before: f64,
    /// What its children used, as last seen, that are gone since.
    gone: f64,
    /// Whether it was alive at the last look, and not in the tree.
    is_elsewhere: bool,
}

impl Known {
    /// Its own time and that of its ended children, each of which is in its inheritance, was seen, or
    /// both.
    fn seconds(&self) -> f64 {
        self.used.own + self.used.inherited.max(self.inherited_before + self.gone)
    }
}

/// Adds CPU time up over looks.
#[derive(Debug, Default)]
pub struct CpuTime {
    known: BTreeMap<u32, Known>,
    /// Time of processes that have nobody left in the tree who could inherit it.
    left: f64,
    highest: f64,
}

impl CpuTime {
    /// The time that the tree has used by now, in seconds; it never falls. `seen` is who is in the tree;
    /// `is_alive` says whether a process that has left it still is, with a parent elsewhere.
    pub fn add(&mut self, seen: &BTreeMap<u32, Used>, is_alive: impl Fn(u32, u64) -> bool) -> f64 {
        let before = std::mem::take(&mut self.known);
        let is_same = |pid: &u32, known: &Known| {
            seen.get(pid).is_some_and(|used| used.started == known.used.started)
        };
        for (pid, used) in seen {
            let known = before.get(pid).filter(|known| is_same(pid, known));
            let (inherited_before, gone) =
                known.map_or((used.inherited, 0.0), |known| (known.inherited_before, known.gone));
            let now = Known { used: *used, inherited_before, gone, is_elsewhere: false };
            self.known.insert(*pid, now);
        }
        for (pid, gone) in before.iter().filter(|(pid, known)| !is_same(pid, known)) {
            if is_alive(*pid, gone.used.started) {
                // It may come back: lists of children are not whole while processes come and go.
                self.known.insert(*pid, Known { is_elsewhere: true, ..*gone });
                continue;
            }
            // The next one up that is still there inherits, by way of those between.
            let mut heir = gone.used.parent;
            let heir = loop {
                match before.get(&heir) {
                    Some(known) if !is_same(&heir, known) => heir = known.used.parent,
                    Some(_) => break Some(heir),
                    None => break None,
                }
            };
            let heir = heir.filter(|_| !gone.is_elsewhere);
            match heir.and_then(|heir| self.known.get_mut(&heir)) {
                Some(heir) => heir.gone += gone.seconds(),
                None => self.left += gone.seconds(),
            }
        }
        let now = self.left + self.known.values().map(Known::seconds).sum::<f64>();
        self.highest = self.highest.max(now);
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(parent: u32, own: f64, inherited: f64) -> Used {
        Used { started: 1, parent, own, inherited }
    }

    fn seconds(looks: &[&[(u32, Used)]], is_alive: bool) -> Vec<f64> {
        let mut time = CpuTime::default();
        let look =
            |look: &&[(u32, Used)]| time.add(&look.iter().copied().collect(), |_, _| is_alive);
        looks.iter().map(look).collect()
    }

    #[test]
    fn children_that_nobody_saw_count_once_they_were_waited_for() {
        let looks: [&[_]; 2] = [&[(1, used(0, 1.0, 0.5))], &[(1, used(0, 1.5, 4.5))]];
        assert_eq!(seconds(&looks, false), [1.5, 6.0]);
    }

    #[test]
    fn a_child_that_was_seen_counts_once_whether_its_parent_waits_late_or_never() {
        let looks: [&[_]; 4] = [
            &[(1, used(0, 1.0, 0.0)), (2, used(1, 2.0, 0.0))],
            // It is gone, and its parent has not waited yet.
            &[(1, used(0, 1.0, 0.0))],
            // It has: what it inherits is more than what was seen.
            &[(1, used(0, 1.0, 2.5))],
            &[(1, used(0, 1.0, 2.5)), (2, Used { started: 9, ..used(1, 0.5, 0.0) })],
        ];
        assert_eq!(seconds(&looks, false), [3.0, 3.0, 3.5, 4.0]);
    }

    #[test]
    fn what_a_whole_branch_used_goes_to_the_next_one_up_that_is_there() {
        let looks: [&[_]; 3] = [
            &[(1, used(0, 1.0, 0.0)), (2, used(1, 2.0, 0.0)), (3, used(2, 4.0, 0.0))],
            &[(1, used(0, 1.0, 0.0))],
            &[(1, used(0, 1.0, 6.0))],
        ];
        assert_eq!(seconds(&looks, false), [7.0, 7.0, 7.0]);
    }

    #[test]
    fn one_that_goes_on_elsewhere_is_inherited_by_nobody_and_one_that_comes_back_counts_once() {
        let both = [(1, used(0, 1.0, 0.0)), (2, used(1, 2.0, 0.0))];
        let others: [&[_]; 2] = [&[(1, used(0, 1.0, 0.0))], &[(1, used(0, 1.0, 3.0))]];
        let mut time = CpuTime::default();
        let mut add = |look: &[(u32, Used)], is_alive| {
            time.add(&look.iter().copied().collect(), |_, _| is_alive)
        };
        assert_eq!((add(&both, true), add(others[0], true)), (3.0, 3.0));
        assert_eq!((add(&both, true), add(others[0], true)), (3.0, 3.0));
        // It ends elsewhere; what the other inherits is of children that nobody saw.
        assert_eq!(add(others[1], false), 6.0);
    }

    #[test]
    fn a_number_that_another_process_has_now_takes_nothing_away() {
        let looks: [&[_]; 2] = [
            &[(1, used(0, 1.0, 0.0)), (2, used(1, 2.0, 0.0))],
            &[(1, used(0, 1.0, 2.0)), (2, Used { started: 7, ..used(1, 0.25, 0.0) })],
        ];
        assert_eq!(seconds(&looks, false), [3.0, 3.25]);
    }
}
