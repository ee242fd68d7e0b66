//! The search for the largest load that keeps to all rules: which load to try next, given what was
//! seen. Pure: the same sightings give the same answer.

use std::collections::BTreeMap;

use crate::store::sweep::Stage;

/// Loads that once held and broke when they were confirmed, beyond which there is no sharp limit.
const MOST_CHANGED: usize = 3;

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
    /// A load holds, and the next above breaks a rule.
    Limit {
        /// Largest load that held in all its runs, with none below it that ever broke.
        safe: f64,
        /// Confirming runs in which it held.
        held: Of,
        /// The next load above that was tried.
        next: f64,
        /// Confirming runs in which that broke.
        broke: Of,
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
    },
    /// Even the smallest load breaks a rule.
    NoneSafe {
        /// That load.
        smallest: f64,
        /// Its runs that broke a rule.
        broke: Of,
    },
    /// There is no clear answer.
    Unclear {
        /// Why.
        why: String,
        /// Largest load that held in all its runs, with none below it that ever broke.
        safe: Option<f64>,
    },
}

/// Runs of one load.
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

    /// Smallest load that ever broke.
    fn high(&self) -> Option<f64> {
        self.all().find(|(_, tally)| tally.broke > 0).map(|(load, _)| load)
    }

    /// Largest load below `high` that held.
    fn low(&self, high: Option<f64>) -> Option<f64> {
        let below = |load: f64| high.is_none_or(|high| load < high);
        self.all().rev().find(|(load, tally)| below(*load) && tally.held > 0).map(|(load, _)| load)
    }
}

/// What to do after `tried`: climb until a load breaks a rule, bisect between it and the largest that
/// held, and confirm both. A load that held and breaks when it is confirmed lowers the answer.
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
    if seen.all().filter(|(_, tally)| tally.is_mixed()).count() > MOST_CHANGED {
        return unclear("loads that held broke when they were tried again".to_owned());
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
    let (at_low, at_high) = (seen.at(low), seen.at(high));
    let loads = |is_wanted: &dyn Fn(f64, Tally) -> bool| -> Vec<f64> {
        seen.all().filter(|(load, tally)| is_wanted(*load, *tally)).map(|(load, _)| load).collect()
    };
    Next::Done(Outcome::Limit {
        safe: low,
        held: Of { did: at_low.confirmed_held, all: at_low.confirmations() },
        next: high,
        broke: Of { did: at_high.confirmed_broke, all: at_high.confirmations() },
        always_broke: loads(&|_, tally| tally.held == 0 && tally.broke > 0).first().copied(),
        mixed: loads(&|_, tally| tally.is_mixed()),
        above: loads(&|load, tally| load > high && tally.held > 0),
    })
}

/// Nothing broke yet.
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
            held: Of { did: tally.confirmed_held, all: tally.confirmations() },
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
        false => Next::Done(Outcome::NoneSafe {
            smallest: high,
            broke: Of { did: tally.broke, all: tally.broke + tally.held },
        }),
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

    fn up_to(limit: f64) -> impl Fn(f64, usize) -> Judged {
        move |load, _| if load <= limit { Judged::Held } else { Judged::Broke }
    }

    proptest! {
        #[test]
        fn the_limit_is_found_exactly_and_confirmed(limit in 1u32..512) {
            let (outcome, tried) = search(&doubling(), up_to(f64::from(limit)));
            let Outcome::Limit { safe, held, next, broke, always_broke, mixed, above } = outcome else {
                return Err(TestCaseError::fail(format!("{outcome:?}")));
            };
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
            if let Outcome::Limit { safe, held, .. } = outcome {
                let broke = |tried: &&Tried| tried.load <= safe && tried.judged == Judged::Broke;
                prop_assert_eq!(tried.iter().find(broke), None);
                prop_assert_eq!(held, Of { did: 3, all: 3 });
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
        assert_eq!(outcome, Outcome::NoneSafe { smallest: 1.0, broke: Of { did: 4, all: 4 } });
        let (outcome, _) = search(&doubling(), up_to(1e9));
        assert_eq!(outcome, Outcome::NoLimit { safe: 512.0, held: Of { did: 3, all: 3 } });
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
