//! Gates on rounds that are made up, of which the truth is known.

use gander::analysis::compare::{Quantity, Statistic};
use gander::analysis::gate::{
    Call, Decision, Judge, Looks, Round, Rules, Subject, Value, is_clear,
};
use gander::measure::metric::Metric;
use gander::stats::bootstrap::{generator, normal};
use rand::{Rng, RngExt as _};

/// What a gate over made-up rounds came to.
pub struct Ended {
    pub decision: Decision,
    pub rounds: usize,
    pub calls: Vec<(Subject, Call)>,
}

/// The figures that every gate judges of a service without streams.
pub fn subjects() -> Vec<Subject> {
    let time = |it| Quantity::Time(Metric::ResponseTime, it);
    let all = [
        time(Statistic::P50),
        time(Statistic::P95),
        time(Statistic::P99),
        Quantity::Throughput,
        Quantity::Failures,
        Quantity::CpuPerRequest,
        Quantity::Memory,
    ];
    all.map(Subject::of_all).into()
}

/// A gate over `rounds` as they come, with at most so many.
pub fn gate(judge: &Judge, rounds: &[Round]) -> Ended {
    let mut last = Vec::new();
    let mut made = 0;
    for count in judge.looks().planned().iter().map(|count| *count as usize) {
        let Some(seen) = rounds.get(..count) else { break };
        last = judge.judge(seen);
        made = count;
        if is_clear(&last) {
            break;
        }
    }
    let calls = last.iter().map(|it| (it.subject.clone(), it.call)).collect();
    Ended { decision: Decision::of(&last, &[]), rounds: made, calls }
}

pub fn judge(most: u32) -> Judge {
    Judge::new(Rules::default(), subjects(), Looks::up_to(most))
}

/// A value of a round.
pub fn value(subject: &Subject, difference: f64) -> Value {
    let is_share = subject.quantity == Quantity::Failures;
    let (base, head) = if is_share { (0.0, 0.0) } else { (1.0, difference.exp()) };
    Value {
        subject: subject.clone(),
        base: Some(base),
        head: Some(head),
        difference: Some(difference),
        lacks: None,
        counts: is_share.then_some([(0, 800), (0, 800)]),
    }
}

/// Shapes of noise: all have a standard deviation of about one.
#[derive(Debug, Clone, Copy)]
pub enum Noise {
    Normal,
    /// One round in ten is off by far.
    Outliers,
    /// Skewed to one side: the logarithm of an exponential variate has such a tail.
    Skewed,
    /// All figures of a round move together.
    Shared,
}

impl Noise {
    pub const ALL: [Noise; 4] = [Noise::Normal, Noise::Outliers, Noise::Skewed, Noise::Shared];

    fn draw(self, random: &mut impl Rng, shared: f64) -> f64 {
        match self {
            Noise::Normal => normal(random),
            Noise::Outliers if random.random::<f64>() < 0.1 => 4.0 * normal(random),
            Noise::Outliers => 0.7 * normal(random),
            // Base and head are disturbed alike: the difference of two skewed variates.
            Noise::Skewed => {
                let mut exponential = || -(1.0 - random.random::<f64>()).ln();
                (exponential() - exponential()) / std::f64::consts::SQRT_2
            }
            Noise::Shared => 0.9 * shared + 0.436 * normal(random),
        }
    }
}

/// `most` rounds whose figures scatter by `deviation`, the head worse by `effect` (a share) in those
/// that `is_hit` picks.
pub fn rounds(
    seed: u64,
    most: u32,
    noise: Noise,
    deviation: f64,
    effect: f64,
    is_hit: impl Fn(&Subject) -> bool,
) -> Vec<Round> {
    let mut random = generator(seed);
    let subjects = subjects();
    (1..=most)
        .map(|number| {
            let shared = normal(&mut random);
            let values = subjects.iter().map(|subject| {
                let noise = noise.draw(&mut random, shared) * deviation;
                let worse = if is_hit(subject) { effect.ln_1p() } else { 0.0 };
                match subject.quantity {
                    Quantity::Failures => value(subject, 0.0),
                    Quantity::Throughput => value(subject, 0.002 * noise - worse),
                    _ => value(subject, noise + worse),
                }
            });
            Round { number, values: values.collect() }
        })
        .collect()
}

/// `most` rounds drawn from those that were recorded between equal versions. Which of the two was the
/// head was chance, so that each may be turned round. The figures that `is_hit` picks are worse by
/// `effect`.
pub fn recorded(
    seed: u64,
    most: u32,
    effect: f64,
    is_hit: impl Fn(&Subject) -> bool,
) -> Vec<Round> {
    let lines = include_str!("noise.csv").lines().filter(|line| !line.starts_with('#')).skip(1);
    let known: Vec<Vec<f64>> = lines
        .map(|line| line.split(',').map(|it| it.parse().expect("a number")).collect())
        .collect();
    let mut random = generator(seed);
    let subjects = subjects();
    (1..=most)
        .map(|number| {
            let mut noise = known[random.random_range(0..known.len())].clone();
            // Failures had none.
            noise.insert(4, 0.0);
            let sign = if random.random::<bool>() { 1.0 } else { -1.0 };
            let values = subjects.iter().zip(noise).map(|(subject, noise)| {
                let worse = if is_hit(subject) { effect.ln_1p() } else { 0.0 };
                value(subject, sign * noise + worse)
            });
            Round { number, values: values.collect() }
        })
        .collect()
}
