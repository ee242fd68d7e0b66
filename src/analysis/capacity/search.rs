//! The search for the largest load that keeps to all rules: which load to try next, given what was
//! seen. Pure: the same sightings give the same answer.

use std::collections::BTreeMap;

use crate::store::sweep::Stage;

/// Loads that held in some runs and broke in others, beyond which there is no sharp limit.
const MOST_MIXED: usize = 3;

/// Where a search may go.
#[derive(Debug, Clone, PartialEq)]
pub struct Ladder {
    /// Loads to climb, rising.
    pub loads: Vec<f64>,
    /// Distance of the answer's two loads at which the search ends; above 0.
    pub resolution: f64,
    /// Runs that confirm each of the two.
    pub confirmations: u32,
}

/// What a run said about its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// All rules held.
    Held,
    /// A rule was broken.
    Broke,
    /// There were too few data, or the run was not valid.
    Undecided,
}

/// A load that was tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tried {
    /// The load.
    pub load: f64,
    /// Why it was tried.
    pub stage: Stage,
    /// What was seen.
    pub judged: Judged,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Try this load.
    Try(f64, Stage),
    /// Nothing: this is the answer.
    Done(Outcome),
}

/// So many of so many runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Of {
    /// Runs that did.
    pub did: u32,
    /// All runs.
    pub all: u32,
}

/// The answer of a search.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A load holds, and the next above breaks a rule, each in most of the runs that confirm it.
    Limit {
        /// Largest load that holds, with none below it that breaks.
        safe: f64,
        /// Confirming runs in which it held.
        held: Of,
        /// The next load above that was tried.
        next: f64,
        /// Confirming runs in which that broke.
        broke: Of,
        /// Largest load, of the answer and those below it, that held in all its runs; `None` where
        /// none did.
        always_held: Option<f64>,
        /// Smallest load that broke in all its runs; `None` where none did.
        always_broke: Option<f64>,
        /// Loads that broke in some of their runs and held in others.
        mixed: Vec<f64>,
        /// Loads that held although a smaller one broke.
        above: Vec<f64>,
    },
    /// Every load held.
    NoLimit {
        /// The largest load that was tried.
        safe: f64,
        /// Confirming runs in which it held.
        held: Of,
        /// Loads that broke in some of their runs and held in others.
        mixed: Vec<f64>,
    },
    /// Even the smallest load breaks a rule.
    NoneSafe {
        /// That load.
        smallest: f64,
        /// Confirming runs in which it broke a rule.
        broke: Of,
    },
    /// There is no clear answer.
    Unclear {
        /// Why.
        why: String,
        /// Largest load that held, with none below it that broke.
        safe: Option<f64>,
    },
}

/// Runs of one load.
///
/// Its first run says provisionally whether it holds. It was that run that made the load one of the
/// two to be confirmed: once the load is confirmed, the majority of its confirming runs decides,
/// where these are even that of all its runs, and where these are even too, it breaks.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    held: u32,
    broke: u32,
    undecided: u32,
    confirmed_held: u32,
    confirmed_broke: u32,
}

impl Tally {
    fn confirmations(&self) -> u32 {
        self.confirmed_held + self.confirmed_broke
    }

    fn breaks(&self) -> bool {
        let majority = self.confirmed_broke.cmp(&self.confirmed_held);
        let majority = majority.then(self.broke.cmp(&self.held));
        self.broke > 0 && majority.is_ge()
    }

    fn holds(&self) -> bool {
        self.held > 0 && !self.breaks()
    }

    fn held_when_confirmed(&self) -> Of {
        Of { did: self.confirmed_held, all: self.confirmations() }
    }

    fn broke_when_confirmed(&self) -> Of {
        Of { did: self.confirmed_broke, all: self.confirmations() }
    }

    fn is_mixed(&self) -> bool {
        self.held > 0 && self.broke > 0
    }
}

/// All sightings, by load in rising order. Loads are above 0, so that their bits rise as they do.
struct Seen(BTreeMap<u64, Tally>);

impl Seen {
    fn of(tried: &[Tried]) -> Seen {
        let mut seen: BTreeMap<u64, Tally> = BTreeMap::new();
        for Tried { load, stage, judged } in tried {
            let tally = seen.entry(load.to_bits()).or_default();
            let confirms = u32::from(*stage == Stage::Confirm);
            match judged {
                Judged::Held => {
                    (tally.held, tally.confirmed_held) =
                        (tally.held + 1, tally.confirmed_held + confirms)
                }
                Judged::Broke => {
                    (tally.broke, tally.confirmed_broke) =
                        (tally.broke + 1, tally.confirmed_broke + confirms)
                }
                Judged::Undecided => tally.undecided += 1,
            }
        }
        Seen(seen)
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = (f64, Tally)> + '_ {
        self.0.iter().map(|(bits, tally)| (f64::from_bits(*bits), *tally))
    }

    fn at(&self, load: f64) -> Tally {
        self.0.get(&load.to_bits()).copied().unwrap_or_default()
    }

    /// Smallest load that breaks.
    fn high(&self) -> Option<f64> {
        self.all().find(|(_, tally)| tally.breaks()).map(|(load, _)| load)
    }

    /// Largest load below `high` that holds.
    fn low(&self, high: Option<f64>) -> Option<f64> {
        let below = |load: f64| high.is_none_or(|high| load < high);
        self.all().rev().find(|(load, tally)| below(*load) && tally.holds()).map(|(load, _)| load)
    }

    fn loads(&self, is_wanted: impl Fn(f64, Tally) -> bool) -> Vec<f64> {
        self.all().filter(|(load, tally)| is_wanted(*load, *tally)).map(|(load, _)| load).collect()
    }

    fn mixed(&self) -> Vec<f64> {
        self.loads(|_, tally| tally.is_mixed())
    }
}

/// What to do after `tried`: climb until a load breaks a rule, bisect between it and the largest that
/// held, and confirm both. A load that held and breaks when it is confirmed lowers the answer; one
/// that broke and holds when it is confirmed was no limit, and the search goes on above it.
///
/// It ends: a load is tried once to climb or to bisect, for those that are tried lie where no run was
/// judged yet, and then confirmed so many times, after which what it says is settled; and there are
/// finitely many loads, the ladder's and those at whole distances of the resolution between them.
pub fn next(ladder: &Ladder, tried: &[Tried]) -> Next {
    let seen = Seen::of(tried);
    let high = seen.high();
    let low = seen.low(high);
    let unclear = |why: String| Next::Done(Outcome::Unclear { why, safe: low });
    if let Some(lost) =
        tried.iter().find(|tried| tried.stage != Stage::Climb && tried.judged == Judged::Undecided)
    {
        return unclear(format!("a run at load {} could not be judged", lost.load));
    }
    if seen.mixed().len() > MOST_MIXED {
        return unclear(format!(
            "more than {MOST_MIXED} loads held in some of their runs and broke in others"
        ));
    }
    // What is half confirmed decides nothing.
    let begun = |tally: &Tally| (1..ladder.confirmations).contains(&tally.confirmations());
    if let Some((load, _)) = seen.all().find(|(_, tally)| begun(tally)) {
        return Next::Try(load, Stage::Confirm);
    }
    let Some(high) = high else { return climb(ladder, &seen, low) };
    let Some(low) = low else { return from_below(ladder, &seen, high) };
    if high - low > ladder.resolution * (1.0 + 1e-9) {
        let steps = ((high - low) / 2.0 / ladder.resolution).floor().max(1.0);
        let middle = low + steps * ladder.resolution;
        return match seen.at(middle).undecided {
            0 => Next::Try(middle, Stage::Bisect),
            _ => unclear(format!("a run at load {middle} could not be judged")),
        };
    }
    for load in [low, high] {
        if seen.at(load).confirmations() < ladder.confirmations {
            return Next::Try(load, Stage::Confirm);
        }
    }
    let always_held = seen.loads(|load, tally| load <= low && tally.held > 0 && tally.broke == 0);
    let always_broke = seen.loads(|_, tally| tally.held == 0 && tally.broke > 0);
    Next::Done(Outcome::Limit {
        safe: low,
        held: seen.at(low).held_when_confirmed(),
        next: high,
        broke: seen.at(high).broke_when_confirmed(),
        always_held: always_held.last().copied(),
        always_broke: always_broke.first().copied(),
        mixed: seen.mixed(),
        above: seen.loads(|load, tally| load > high && tally.held > 0),
    })
}

/// Nothing breaks so far.
fn climb(ladder: &Ladder, seen: &Seen, low: Option<f64>) -> Next {
    let highest = seen.all().next_back().map(|(load, _)| load);
    let above = |load: &&f64| highest.is_none_or(|highest| **load > highest);
    if let Some(load) = ladder.loads.iter().find(above) {
        return Next::Try(*load, Stage::Climb);
    }
    let Some(safe) = low else {
        let why = "no run could be judged".to_owned();
        return Next::Done(Outcome::Unclear { why, safe: None });
    };
    if highest.is_some_and(|highest| highest > safe) {
        let why = format!("no run above load {safe} could be judged");
        return Next::Done(Outcome::Unclear { why, safe: Some(safe) });
    }
    let tally = seen.at(safe);
    match tally.confirmations() < ladder.confirmations {
        true => Next::Try(safe, Stage::Confirm),
        false => Next::Done(Outcome::NoLimit {
            safe,
            held: tally.held_when_confirmed(),
            mixed: seen.mixed(),
        }),
    }
}

/// Nothing below `high` held.
fn from_below(ladder: &Ladder, seen: &Seen, high: f64) -> Next {
    if seen.all().next().is_some_and(|(load, _)| load < high) {
        let why = format!("no run below load {high}, which breaks a rule, could be judged");
        return Next::Done(Outcome::Unclear { why, safe: None });
    }
    let tally = seen.at(high);
    match tally.confirmations() < ladder.confirmations {
        true => Next::Try(high, Stage::Confirm),
        false => {
            Next::Done(Outcome::NoneSafe { smallest: high, broke: tally.broke_when_confirmed() })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn doubling() -> Ladder {
        let loads = (0..10).map(|power| f64::from(1 << power)).collect();
        Ladder { loads, resolution: 1.0, confirmations: 3 }
    }

    /// Runs a search against a target whose n-th run at a load is judged by `judge`.
    fn search(ladder: &Ladder, judge: impl Fn(f64, usize) -> Judged) -> (Outcome, Vec<Tried>) {
        let mut tried: Vec<Tried> = Vec::new();
        loop {
            assert!(tried.len() < 200, "no end: {tried:?}");
            match next(ladder, &tried) {
                Next::Try(load, stage) => {
                    let before = tried.iter().filter(|tried| tried.load == load).count();
                    tried.push(Tried { load, stage, judged: judge(load, before) });
                }
                Next::Done(outcome) => return (outcome, tried),
            }
        }
    }

    /// Runs at `load` that held, and that broke.
    fn judged(tried: &[Tried], load: f64) -> (usize, usize) {
        let here = |judged: Judged| {
            tried.iter().filter(|tried| tried.load == load && tried.judged == judged).count()
        };
        (here(Judged::Held), here(Judged::Broke))
    }

    fn up_to(limit: f64) -> impl Fn(f64, usize) -> Judged {
        move |load, _| if load <= limit { Judged::Held } else { Judged::Broke }
    }

    proptest! {
        #[test]
        fn the_limit_is_found_exactly_and_confirmed(limit in 1u32..512) {
            let (outcome, tried) = search(&doubling(), up_to(f64::from(limit)));
            let Outcome::Limit { safe, held, next, broke, always_held, always_broke, mixed, above } =
                outcome
            else {
                return Err(TestCaseError::fail(format!("{outcome:?}")));
            };
            prop_assert_eq!(always_held, Some(safe));
            prop_assert_eq!((safe, next), (f64::from(limit), f64::from(limit) + 1.0));
            prop_assert_eq!((held, broke), (Of { did: 3, all: 3 }, Of { did: 3, all: 3 }));
            prop_assert_eq!(always_broke, Some(next));
            prop_assert!(mixed.is_empty() && above.is_empty());
            prop_assert!(tried.len() <= 10 + 9 + 6);
        }

        #[test]
        fn every_target_gets_an_answer_that_its_runs_bear_out(odds in prop::collection::vec(0u8..=2, 64)) {
            let judge = |load: f64, before: usize| {
                match odds[(load as usize * 7 + before * 13) % odds.len()] {
                    0 => Judged::Broke,
                    1 => Judged::Held,
                    _ => if before == 0 { Judged::Held } else { Judged::Undecided },
                }
            };
            let (outcome, tried) = search(&doubling(), judge);
            if let Outcome::Limit { safe, held, next, broke, .. } = outcome {
                prop_assert!(held.did >= 2 && held.all == 3, "{held:?}");
                prop_assert!(broke.did >= 2 && broke.all == 3, "{broke:?}");
                prop_assert_eq!(next, safe + 1.0);
                // No load up to it broke more often than it held.
                for load in tried.iter().map(|tried| tried.load).filter(|load| *load <= safe) {
                    let (held, broke) = judged(&tried, load);
                    prop_assert!(broke <= held, "{load} broke {broke} times, held {held} times");
                }
            }
        }

        #[test]
        fn a_load_that_mostly_held_is_no_limit(
            limit in 1u32..1024, share in 0.0..0.3_f64, luck in prop::collection::vec(0.0..1.0_f64, 256),
        ) {
            let judge = |load: f64, before: usize| {
                let is_unlucky = luck[(load as usize * 7 + before * 13) % luck.len()] < share;
                match load <= f64::from(limit) && !is_unlucky {
                    true => Judged::Held,
                    false => Judged::Broke,
                }
            };
            let (outcome, tried) = search(&doubling(), judge);
            let mostly_broke = |load: f64| {
                let confirm = |tried: &&Tried| tried.load == load && tried.stage == Stage::Confirm;
                let runs: Vec<&Tried> = tried.iter().filter(confirm).collect();
                runs.iter().filter(|run| run.judged == Judged::Broke).count() * 2 > runs.len()
            };
            match outcome {
                Outcome::Limit { safe, next, broke, .. } => {
                    prop_assert!(mostly_broke(next) && broke.did * 2 > broke.all, "{broke:?}");
                    prop_assert!(safe <= f64::from(limit) && !mostly_broke(safe));
                }
                Outcome::NoneSafe { smallest, broke } => {
                    prop_assert!(mostly_broke(smallest) && broke.did * 2 > broke.all, "{broke:?}");
                }
                Outcome::NoLimit { safe, .. } => prop_assert!(safe <= f64::from(limit)),
                Outcome::Unclear { .. } => {}
            }
        }
    }

    #[test]
    fn a_ladder_of_steps_ends_between_two_of_them() {
        let loads = (1..=20).map(|step| f64::from(step * 5)).collect();
        let ladder = Ladder { loads, resolution: 5.0, confirmations: 3 };
        let (outcome, tried) = search(&ladder, up_to(33.0));
        assert!(matches!(outcome, Outcome::Limit { safe: 30.0, next: 35.0, .. }), "{outcome:?}");
        assert_eq!(tried.len(), 7 + 6);
    }

    #[test]
    fn the_ends_of_the_ladder_are_said() {
        let (outcome, _) = search(&doubling(), up_to(0.5));
        assert_eq!(outcome, Outcome::NoneSafe { smallest: 1.0, broke: Of { did: 3, all: 3 } });
        let (outcome, _) = search(&doubling(), up_to(1e9));
        let (held, mixed) = (Of { did: 3, all: 3 }, vec![]);
        assert_eq!(outcome, Outcome::NoLimit { safe: 512.0, held, mixed });
    }

    #[test]
    fn one_unlucky_run_is_no_limit() {
        // 8 breaks the first time that it is tried, the limit is 20.
        let (outcome, tried) = search(&doubling(), |load, before| match load {
            8.0 if before == 0 => Judged::Broke,
            load => up_to(20.0)(load, before),
        });
        let Outcome::Limit { safe, next, held, mixed, always_held, .. } = &outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!((*safe, *next, always_held), (20.0, 21.0, &Some(20.0)));
        assert_eq!((held, mixed), (&Of { did: 3, all: 3 }, &vec![8.0]));
        assert_eq!(judged(&tried, 8.0), (3, 1));

        // So does the smallest load.
        let (outcome, _) = search(&doubling(), |load, before| match load {
            1.0 if before == 0 => Judged::Broke,
            load => up_to(20.0)(load, before),
        });
        assert!(matches!(outcome, Outcome::Limit { safe: 20.0, .. }), "{outcome:?}");

        // And the answer itself, when it is confirmed: it is said in how many runs it held.
        let (outcome, _) = search(&doubling(), |load, before| match load {
            20.0 if before == 2 => Judged::Broke,
            load => up_to(20.0)(load, before),
        });
        let Outcome::Limit { safe, held, always_held, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!((safe, held, always_held), (20.0, Of { did: 2, all: 3 }, Some(16.0)));
    }

    #[test]
    fn a_load_that_breaks_when_confirmed_lowers_the_answer() {
        let (outcome, _) = search(&doubling(), |load, before| match load {
            l if l < 20.0 || (l == 20.0 && before == 0) => Judged::Held,
            _ => Judged::Broke,
        });
        let Outcome::Limit { safe, next, mixed, always_broke, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!((safe, next, mixed, always_broke), (19.0, 20.0, vec![20.0], Some(21.0)));
    }

    #[test]
    fn loads_that_hold_above_the_limit_are_said() {
        let (outcome, _) = search(&doubling(), |load, before| match load {
            l if l <= 10.0 || (l == 16.0 && before == 0) => Judged::Held,
            _ => Judged::Broke,
        });
        let Outcome::Limit { safe, above, .. } = outcome else { panic!("{outcome:?}") };
        // 16 held once and 32 broke; 24, 20, 18 and 17 broke on the way down, and then 16 and below.
        assert_eq!(safe, 10.0);
        assert!(above.is_empty() || above == [16.0], "{above:?}");
    }

    #[test]
    fn undecided_runs_are_passed_over_in_the_climb_and_end_the_search_later() {
        let few_data = |limit: f64| {
            move |load: f64, before: usize| match load {
                l if l < 4.0 => Judged::Undecided,
                l => up_to(limit)(l, before),
            }
        };
        let (outcome, _) = search(&doubling(), few_data(20.0));
        assert!(matches!(outcome, Outcome::Limit { safe: 20.0, .. }), "{outcome:?}");
        let (outcome, _) = search(&doubling(), few_data(2.0));
        assert!(matches!(outcome, Outcome::Unclear { safe: None, .. }), "{outcome:?}");
    }
}
