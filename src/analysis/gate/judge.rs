//! What the rounds of a gate say of each figure.
//!
//! A figure's values, one a round, are tested one-sided by Student's t. It has *regressed* where its
//! mean is above the floor, tested at the level that Holm (1979), "A simple sequentially rejective
//! multiple test procedure", gives it among all figures, spent over the looks by
//! [`sequential::levels`]. It is *unchanged* where it is below the margin and above its negative (two
//! one-sided tests, Schuirmann 1987), each at the level of beta, spent likewise: a figure that is worse
//! by its margin passes with that chance at most. All figures must pass, so that no correction is
//! needed for passing.

use std::collections::BTreeMap;

use statrs::distribution::{Binomial, DiscreteCDF};

use crate::analysis::compare::{Quantity, Scale};
use crate::measure::metric::Better;
use crate::stats::bootstrap::Interval;
use crate::stats::order::median;
use crate::stats::{normal, proportion, sequential, student};

use super::round::{Round, Value};
use super::{Call, FEWEST_ROUNDS, Judged, Looks, Rules, Subject};

/// The floor, as a share of the margin.
const FLOOR: f64 = 0.2;
/// Chance with which a change of the size that is said to be detectable is found.
const POWER: f64 = 0.8;
/// Values are known to three significant digits: rounds cannot differ by less than this says.
const RESOLUTION: f64 = 5e-4;

/// The floor that belongs to a margin.
pub fn floor(margin: f64) -> f64 {
    margin * FLOOR
}

/// Judges the rounds of a gate, look by look.
#[derive(Debug)]
pub struct Judge {
    rules: Rules,
    subjects: Vec<Subject>,
    looks: Looks,
    /// Of the planned looks, by the number of rounds.
    levels: BTreeMap<u32, Levels>,
}

impl Judge {
    /// Of a gate that judges `subjects` by `rules` at `looks`.
    pub fn new(rules: Rules, subjects: Vec<Subject>, looks: Looks) -> Judge {
        let all = Levels::of(&rules, subjects.len(), &looks.shares(looks.most()));
        let levels = looks.planned().iter().copied().zip(all).collect();
        Judge { rules, subjects, looks, levels }
    }

    /// When it looks.
    pub fn looks(&self) -> &Looks {
        &self.looks
    }

    /// What `rounds` say of each figure. A look that was not planned is the last one.
    pub fn judge(&self, rounds: &[Round]) -> Vec<Judged> {
        let count = rounds.len() as u32;
        let levels = self.levels.get(&count).cloned().unwrap_or_else(|| {
            let shares = self.looks.shares(count.max(1));
            Levels::of(&self.rules, self.subjects.len(), &shares).pop().unwrap_or_default()
        });
        let seen = |subject: &Subject| Seen::of(rounds, subject, &self.rules);
        let all: Vec<Seen> = self.subjects.iter().map(seen).collect();
        let worse = holm(&all, |it| it.p_worse, &levels);
        let better = holm(&all, |it| it.p_better, &levels);
        let end = self.end(count);
        let judged = all.into_iter().zip(worse).zip(better);
        judged.map(|((seen, worse), better)| seen.judged(worse, better, levels.beta, end)).collect()
    }

    /// The last look, of a gate that has made `count` rounds.
    fn end(&self, count: u32) -> End {
        let rounds = self.looks.most().max(count).max(2);
        let last = self.levels.last_key_value();
        let level = last.and_then(|(_, levels)| levels.alpha.first().copied());
        End { rounds: f64::from(rounds), level: level.unwrap_or(0.0) }
    }
}

/// The last look of a gate that runs to its end.
#[derive(Debug, Clone, Copy)]
struct End {
    rounds: f64,
    /// At which the first of its figures is tested.
    level: f64,
}

/// Whether more rounds would change nothing: something is worse for certain, or all is decided.
pub fn is_clear(judged: &[Judged]) -> bool {
    let is_worse = |it: &Judged| it.call == Call::Regressed;
    judged.iter().any(is_worse) || judged.iter().all(|it| it.call.is_decided())
}

/// The levels of a look.
#[derive(Debug, Clone, Default)]
struct Levels {
    /// Of a regression: of the smallest of all p-values, of the second, …
    alpha: Vec<f64>,
    /// Of being within the margin.
    beta: f64,
}

impl Levels {
    /// Of each look at these shares of all rounds, for so many figures.
    fn of(rules: &Rules, figures: usize, shares: &[f64]) -> Vec<Levels> {
        let alpha: Vec<Vec<f64>> = (0..figures)
            .map(|before| sequential::levels(rules.alpha / (figures - before) as f64, shares))
            .collect();
        let at = |(look, beta): (usize, f64)| Levels {
            alpha: alpha.iter().map(|levels| levels[look]).collect(),
            beta,
        };
        sequential::levels(rules.beta, shares).into_iter().enumerate().map(at).collect()
    }
}

/// Which of the hypotheses with these p-values are rejected, by Holm's procedure.
fn holm(all: &[Seen], p: impl Fn(&Seen) -> f64, levels: &Levels) -> Vec<bool> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|a, b| p(&all[*a]).total_cmp(&p(&all[*b])));
    let mut rejected = vec![false; all.len()];
    for (place, level) in order.into_iter().zip(&levels.alpha) {
        if p(&all[place]) >= *level {
            break;
        }
        rejected[place] = true;
    }
    rejected
}

/// Values in the direction of worse, and how sure their mean is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) mean: f64,
    /// Standard error of the mean.
    pub(super) error: f64,
    pub(super) freedom: f64,
}

impl Sample {
    /// `None` of fewer than two values.
    pub(super) fn of(values: &[f64], resolution: f64) -> Option<Sample> {
        let n = values.len() as f64;
        if values.len() < 2 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let deviation = (squares / (n - 1.0)).sqrt().max(resolution);
        Some(Sample { mean, error: deviation / n.sqrt(), freedom: n - 1.0 })
    }

    /// What it would be like after so many rounds, by the scatter of those that there are.
    fn after(self, rounds: f64) -> Sample {
        let error = self.error * ((self.freedom + 1.0) / rounds).sqrt();
        Sample { error, freedom: rounds - 1.0, ..self }
    }

    /// The p-value against a mean of at most `bound`.
    fn above(self, bound: f64) -> f64 {
        student::above((self.mean - bound) / self.error, self.freedom)
    }

    /// The p-value against a mean of at least `bound`.
    fn below(self, bound: f64) -> f64 {
        student::above((bound - self.mean) / self.error, self.freedom)
    }

    /// The smallest mean above `floor` that is found with 80% chance at `level`.
    pub(super) fn detectable(self, floor: f64, level: f64) -> f64 {
        let reach =
            student::quantile(1.0 - level, self.freedom) + student::quantile(POWER, self.freedom);
        floor + reach * self.error
    }
}

/// One figure over all rounds.
struct Seen {
    subject: Subject,
    base: Option<f64>,
    head: Option<f64>,
    margin: f64,
    sample: Option<Sample>,
    rounds: usize,
    lacks: Option<String>,
    p_worse: f64,
    p_better: f64,
    /// Against being worse, and better, by the margin.
    p_margins: [f64; 2],
    /// Where the difference of two shares lies by their counts alone.
    by_counts: Option<Interval>,
    /// Of shares: requests of the head.
    requests: Option<f64>,
}

impl Seen {
    fn of(rounds: &[Round], subject: &Subject, rules: &Rules) -> Seen {
        let values: Vec<&Value> = rounds.iter().filter_map(|it| it.value(subject)).collect();
        let sign = worse_is(subject.quantity);
        let worse: Vec<f64> = values.iter().filter_map(|it| Some(it.difference? * sign)).collect();
        let scale = subject.quantity.scale();
        let resolution = if scale == Scale::Points { 0.0 } else { RESOLUTION };
        let sample = Sample::of(&worse, resolution).filter(|_| is_enough(&worse));
        let margin = rules.margins.of(subject.quantity);
        let [limit, floor] = [margin, floor(margin)].map(|share| on_scale(scale, share));
        let sides = |of: fn(&Value) -> Option<f64>| {
            median(&values.iter().filter_map(|value| of(value)).collect::<Vec<_>>())
        };
        let mut seen = Seen {
            subject: subject.clone(),
            base: sides(|it| it.base),
            head: sides(|it| it.head),
            margin,
            sample,
            rounds: worse.len(),
            lacks: lacks(rounds.len(), &values, worse.len()),
            p_worse: sample.map_or(1.0, |it| it.above(floor)),
            p_better: sample.map_or(1.0, |it| it.below(-floor)),
            p_margins: sample.map_or([1.0; 2], |it| [it.below(limit), it.above(-limit)]),
            by_counts: None,
            requests: None,
        };
        if subject.quantity == Quantity::Failures {
            seen.add_counts(&values, limit);
        }
        seen
    }

    /// Failures are rare: rounds that all have none, or few, say little of how rounds differ. What their
    /// counts say by themselves must agree: of all failures, as many fall to the head as to the base
    /// where both fail alike (exact conditional test, Przyborowski and Wilenski 1940).
    fn add_counts(&mut self, values: &[&Value], limit: f64) {
        let sum = |side: usize| {
            let counts = values.iter().filter_map(|value| Some(value.counts?[side]));
            counts.fold((0, 0), |all, (hits, of)| (all.0 + hits, all.1 + of))
        };
        let [base, head] = [sum(0), sum(1)];
        let share = |(hits, of): (u64, u64)| (of > 0).then(|| hits as f64 / of as f64);
        (self.base, self.head) = (share(base), share(head));
        self.p_worse = self.p_worse.max(more_of_them(base, head));
        self.p_better = self.p_better.max(more_of_them(head, base));
        self.requests = Some(head.1 as f64).filter(|requests| *requests > 0.0);
        let float = |(hits, of): (u64, u64)| (hits as f64, of as f64);
        self.by_counts = proportion::difference(float(base), float(head));
        if self.by_counts.is_none_or(|alone| alone.high >= limit) {
            self.p_margins[0] = 1.0;
        }
        if self.by_counts.is_none_or(|alone| alone.low <= -limit) {
            self.p_margins[1] = 1.0;
        }
    }

    /// Where the effect lies. Rounds without a failure do not scatter, and their counts still do.
    fn interval(&self) -> Option<Interval> {
        let sample = self.sample?;
        let scale = self.subject.quantity.scale();
        let sign = worse_is(self.subject.quantity);
        let reach = student::quantile(0.95, sample.freedom) * sample.error;
        let ends = [sample.mean - reach, sample.mean + reach];
        let [one, other] = ends.map(|end| off_scale(scale, end * sign));
        let (low, high) = (one.min(other), one.max(other));
        let Interval { low: least, high: most } = self.by_counts.unwrap_or(Interval { low, high });
        Some(Interval { low: low.min(least), high: high.max(most) })
    }

    /// The smallest worsening that a gate which runs to its end finds with 80% chance, by the noise so
    /// far. Rounds without a failure do not scatter; the exact test still wants `k` failures, `2^-k`
    /// being the level, where the base has none, and so many come with that chance where about
    /// `k + 0.84 √k` are expected.
    fn detectable(&self, End { rounds, level }: End) -> Option<f64> {
        let sample = self.sample?.after(rounds);
        let scale = self.subject.quantity.scale();
        let found = sample.detectable(on_scale(scale, floor(self.margin)), level);
        let by_counts = self.requests.map_or(0.0, |requests| {
            let k = -level.log2();
            let of_all = requests / self.rounds.max(1) as f64 * rounds;
            (k + normal::quantile(POWER) * k.sqrt()) / of_all
        });
        Some(off_scale(scale, found).max(by_counts))
    }

    fn judged(self, is_worse: bool, is_better: bool, beta: f64, end: End) -> Judged {
        let [is_below, is_above] = self.p_margins.map(|p| p < beta);
        let call = match self.lacks {
            Some(_) => Call::Inconclusive,
            None if is_below && is_above => Call::Unchanged,
            None if is_worse => Call::Regressed,
            None if is_better => Call::Improved,
            None if is_below => Call::NoWorse,
            None => Call::Inconclusive,
        };
        let scale = self.subject.quantity.scale();
        let sign = worse_is(self.subject.quantity);
        Judged {
            effect: self.sample.map(|sample| off_scale(scale, sample.mean * sign)),
            interval: self.interval(),
            detectable: self.detectable(end),
            reason: self.lacks.or_else(|| (!call.is_decided()).then(|| reason(self.sample))),
            subject: self.subject,
            base: self.base,
            head: self.head,
            margin: self.margin,
            floor: floor(self.margin),
            call,
            rounds: self.rounds,
        }
    }
}

fn is_enough(values: &[f64]) -> bool {
    values.len() >= FEWEST_ROUNDS as usize
}

/// Why a figure cannot be judged, where it cannot.
fn lacks(rounds: usize, values: &[&Value], known: usize) -> Option<String> {
    if rounds < FEWEST_ROUNDS as usize {
        return Some(format!("{rounds} rounds, and {FEWEST_ROUNDS} are needed"));
    }
    if known >= FEWEST_ROUNDS as usize && known == rounds {
        return None;
    }
    let why = values.iter().find_map(|value| value.lacks.clone());
    let why = why.unwrap_or_else(|| "not measured".to_owned());
    match known {
        0 => Some(why),
        _ => Some(format!("{why} (in {} of {rounds} rounds)", rounds - known)),
    }
}

fn reason(sample: Option<Sample>) -> String {
    let is_worse = sample.is_some_and(|sample| sample.mean > 0.0);
    match is_worse {
        true => "too noisy to say: it may be worse by its margin".to_owned(),
        false => "too noisy to say".to_owned(),
    }
}

/// 1 where more is worse, -1 where less is.
fn worse_is(quantity: Quantity) -> f64 {
    match quantity.better() {
        Better::Lower => 1.0,
        Better::Higher => -1.0,
    }
}

/// A share on the scale of values.
pub(super) fn on_scale(scale: Scale, share: f64) -> f64 {
    match scale {
        Scale::Relative => share.ln_1p(),
        Scale::Points => share,
    }
}

/// And back.
pub(super) fn off_scale(scale: Scale, value: f64) -> f64 {
    match scale {
        Scale::Relative => value.exp_m1(),
        Scale::Points => value,
    }
}

/// The chance that so many of all hits, or more, fall to `second`, were both alike.
fn more_of_them(first: (u64, u64), second: (u64, u64)) -> f64 {
    let (hits, of) = (first.0 + second.0, first.1 + second.1);
    if second.0 == 0 || of == 0 {
        return 1.0;
    }
    let share = second.1 as f64 / of as f64;
    Binomial::new(share, hits).map_or(1.0, |binomial| binomial.sf(second.0 - 1))
}
