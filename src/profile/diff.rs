//! Two profiles of the same work: which functions take more or less processor time a request, and
//! which of these differences are larger than what sampling alone brings about.

use std::collections::BTreeSet;

use super::Folded;
use super::table::Table;

/// A difference smaller than so many standard errors may be chance: comparisons of a program with
/// itself reached 2, and there are many functions.
const FLAG_Z: f64 = 3.0;
/// A difference smaller than this share of all that a request took before is not worth a word.
const FLAG_SHARE: f64 = 0.01;

/// One of two profiles: a table, and what its samples stand for.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Functions or modules.
    pub table: &'a Table,
    /// All samples, those without a stack too.
    pub samples: u64,
    /// Processor time a request, in milliseconds.
    pub ms_per_request: f64,
}

/// Which samples of a function are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Its own.
    Own,
    /// Its own and those of what it calls.
    Cumulative,
}

/// How a function differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Function or module.
    pub name: String,
    /// Milliseconds of processor time a request, before.
    pub before_ms: f64,
    /// After.
    pub after_ms: f64,
    /// The difference in standard errors: `(after - before) / sqrt(var_before + var_after)`, each
    /// variance that of a share of so many samples, `(ms a request)^2 p (1 - p) / n`, p with half a
    /// sample added on either side, so that none is no certainty.
    pub z: f64,
    /// Whether it is larger than sampling noise: more than 3 standard errors, and more than one
    /// hundredth of what a request took before.
    pub is_real: bool,
}

impl Difference {
    /// What a request takes more, in milliseconds.
    pub fn more_ms(&self) -> f64 {
        self.after_ms - self.before_ms
    }
}

/// All functions of both sides, the largest differences first. Nothing is `is_real` unless
/// `are_sound`: a conclusion from poor profiles is none.
pub fn differences(before: Side<'_>, after: Side<'_>, by: By, are_sound: bool) -> Vec<Difference> {
    let names: BTreeSet<&str> = before.table.names().chain(after.table.names()).collect();
    let mut all: Vec<Difference> = names
        .into_iter()
        .map(|name| {
            let (before_ms, before_var) = before.estimate(name, by);
            let (after_ms, after_var) = after.estimate(name, by);
            let more = after_ms - before_ms;
            let error = (before_var + after_var).sqrt();
            let z = if error > 0.0 { more / error } else { 0.0 };
            let is_large = more.abs() > FLAG_SHARE * before.ms_per_request;
            let is_real = are_sound && is_large && z.abs() > FLAG_Z;
            Difference { name: name.to_owned(), before_ms, after_ms, z, is_real }
        })
        .collect();
    all.sort_by(|a, b| b.more_ms().abs().total_cmp(&a.more_ms().abs()));
    all
}

impl Side<'_> {
    /// Milliseconds a request, and their variance.
    fn estimate(&self, name: &str, by: By) -> (f64, f64) {
        let (own, cumulative) = self.table.get(name);
        let seen = match by {
            By::Own => own,
            By::Cumulative => cumulative,
        };
        let n = self.samples as f64;
        if n == 0.0 {
            return (0.0, 0.0);
        }
        let p = (seen as f64 + 0.5) / (n + 1.0);
        let all = self.ms_per_request;
        (all * seen as f64 / n, all * all * p * (1.0 - p) / n)
    }
}

/// The stacks of `folded` in nanoseconds a request, of which all its samples together took
/// `ms_per_request`: what flamegraphs of two profiles compare.
pub fn in_nanoseconds(folded: &Folded, samples: u64, ms_per_request: f64) -> Folded {
    let mut scaled = Folded::default();
    for (stack, times) in folded.stacks() {
        let ns = ms_per_request * 1e6 * times as f64 / samples.max(1) as f64;
        scaled.add(stack.to_vec(), ns.round() as u64);
    }
    scaled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        Table::of_functions(&Folded::parse(text).expect("folded"))
    }

    fn flagged(before: (&Table, f64), after: (&Table, f64), sound: bool) -> Vec<String> {
        let before = Side { table: before.0, samples: before.0.total, ms_per_request: before.1 };
        let after = Side { table: after.0, samples: after.0.total, ms_per_request: after.1 };
        let all = differences(before, after, By::Own, sound);
        all.into_iter().filter(|it| it.is_real).map(|it| it.name).collect()
    }

    #[test]
    fn only_what_became_cheaper_is_flagged() {
        let before = table("main;feature_a 2000\nmain;feature_b 2010\nmain;rest 990\n");
        // feature_a takes half: the shares of all others grew, their time did not.
        let after = table("main;feature_a 1010\nmain;feature_b 1985\nmain;rest 1005\n");
        assert_eq!(flagged((&before, 10.0), (&after, 8.0), true), ["feature_a"]);
        assert!(flagged((&before, 10.0), (&after, 8.0), false).is_empty(), "of poor profiles");
    }

    #[test]
    fn noise_is_not_flagged() {
        let before = table("main;a 520\nmain;b 480\n");
        let after = table("main;a 480\nmain;b 515\nmain;c 5\n");
        assert!(flagged((&before, 10.0), (&after, 10.0), true).is_empty());
    }

    #[test]
    fn small_stacks_are_not_lost_in_scaling() {
        let folded = Folded::parse("main;a 1\nmain;b 9999\n").expect("folded");
        let scaled = in_nanoseconds(&folded, 10_000, 2.0);
        assert_eq!(scaled.to_string(), "main;a 200\nmain;b 1999800\n");
    }
}
