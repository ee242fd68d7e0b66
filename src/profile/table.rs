//! What stacks say of functions: samples of its own, samples with all that it calls, who calls it and
//! what it calls, and the same of modules.

use std::collections::{BTreeMap, BTreeSet};

use super::{Folded, frame};

/// A function or a module, and in how many samples it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Samples in which it was the innermost frame.
    pub own: u64,
    /// Samples in which it stood anywhere; once a stack, however often it called itself.
    pub cumulative: u64,
}

/// Functions or modules of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Samples of all stacks: what the own ones add up to.
    pub total: u64,
    /// By name.
    rows: BTreeMap<String, (u64, u64)>,
}

impl Table {
    /// The functions of `folded`, by the names that its frames have.
    pub fn of_functions(folded: &Folded) -> Table {
        Table::of(folded, |frame| frame.to_owned())
    }

    /// Its modules.
    pub fn of_modules(folded: &Folded) -> Table {
        Table::of(folded, frame::module)
    }

    fn of(folded: &Folded, group: impl Fn(&str) -> String) -> Table {
        let mut table = Table { total: folded.total(), rows: BTreeMap::new() };
        for (stack, times) in folded.stacks() {
            let names: Vec<String> = stack.iter().map(|frame| group(frame)).collect();
            if let Some(innermost) = names.last() {
                table.rows.entry(innermost.clone()).or_default().0 += times;
            }
            for name in names.into_iter().collect::<BTreeSet<_>>() {
                table.rows.entry(name).or_default().1 += times;
            }
        }
        table
    }

    /// Samples of its own and cumulative ones of `name`; none where it was never seen.
    pub fn get(&self, name: &str) -> (u64, u64) {
        self.rows.get(name).copied().unwrap_or_default()
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    /// All rows, those with the most samples of their own first.
    pub fn by_own(&self) -> Vec<Row> {
        self.sorted(|row| (row.own, row.cumulative))
    }

    /// All rows, those with the most cumulative samples first.
    pub fn by_cumulative(&self) -> Vec<Row> {
        self.sorted(|row| (row.cumulative, row.own))
    }

    fn sorted(&self, order: impl Fn(&Row) -> (u64, u64)) -> Vec<Row> {
        let row = |(name, &(own, cumulative)): (&String, &(u64, u64))| Row {
            name: name.clone(),
            own,
            cumulative,
        };
        let mut rows: Vec<Row> = self.rows.iter().map(row).collect();
        // Names are in order already, and equal rows stay so.
        rows.sort_by_key(|row| std::cmp::Reverse(order(row)));
        rows
    }
}

/// Who calls a function, and what it calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Neighbours {
    /// Samples by caller, the most first; without a name where it is the outermost frame. They add
    /// up to the function's cumulative samples: of a function that calls itself the outermost call
    /// counts.
    pub callers: Vec<(Option<String>, u64)>,
    /// Samples by what it was in, the most first; without a name where it was in the function itself.
    /// They too add up to the cumulative samples: here the innermost call counts.
    pub callees: Vec<(Option<String>, u64)>,
}

impl Neighbours {
    /// Those of the function `name` of `folded`.
    pub fn of(folded: &Folded, name: &str) -> Neighbours {
        let (mut callers, mut callees) = (BTreeMap::new(), BTreeMap::new());
        for (stack, times) in folded.stacks() {
            let is_it = |frame: &String| frame == name;
            let (Some(first), Some(last)) =
                (stack.iter().position(is_it), stack.iter().rposition(is_it))
            else {
                continue;
            };
            let caller = first.checked_sub(1).and_then(|before| stack.get(before)).cloned();
            *callers.entry(caller).or_default() += times;
            *callees.entry(stack.get(last + 1).cloned()).or_default() += times;
        }
        Neighbours { callers: most_first(callers), callees: most_first(callees) }
    }
}

fn most_first(counts: BTreeMap<Option<String>, u64>) -> Vec<(Option<String>, u64)> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded() -> impl Strategy<Value = Folded> {
        let stack = prop::collection::vec("[a-d]", 1..7);
        prop::collection::vec((stack, 1u64..50), 0..20).prop_map(|stacks| {
            let mut folded = Folded::default();
            stacks.into_iter().for_each(|(stack, times)| folded.add(stack, times));
            folded
        })
    }

    proptest! {
        #[test]
        fn own_samples_add_up_and_none_exceeds_its_cumulative_ones(folded in folded()) {
            for table in [Table::of_functions(&folded), Table::of_modules(&folded)] {
                let rows = table.by_own();
                prop_assert_eq!(rows.iter().map(|row| row.own).sum::<u64>(), folded.total());
                for row in rows {
                    prop_assert!(row.own <= row.cumulative && row.cumulative <= table.total);
                }
            }
        }

        #[test]
        fn what_is_below_all_has_all(folded in folded()) {
            let mut rooted = Folded::default();
            for (stack, times) in folded.stacks() {
                rooted.add([&["main".to_owned()], stack].concat(), times);
            }
            prop_assert_eq!(Table::of_functions(&rooted).get("main"), (0, folded.total()));
        }

        #[test]
        fn callers_and_callees_add_up_to_the_cumulative_samples(folded in folded()) {
            for row in Table::of_functions(&folded).by_own() {
                let near = Neighbours::of(&folded, &row.name);
                let sum = |of: &[(Option<String>, u64)]| of.iter().map(|(_, times)| times).sum::<u64>();
                prop_assert_eq!(sum(&near.callers), row.cumulative);
                prop_assert_eq!(sum(&near.callees), row.cumulative);
                let own = near.callees.iter().find(|(name, _)| name.is_none());
                prop_assert_eq!(own.map_or(0, |(_, times)| *times), row.own);
            }
        }
    }
}
