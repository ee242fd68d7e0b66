//! How long a gate must run to see a change of a given size at the noise that was measured.

use serde::Serialize;

use crate::analysis::compare::Scale;
use crate::stats::sequential;

use super::judge::{Sample, floor, off_scale, on_scale};
use super::round::Round;
use super::{FEWEST_ROUNDS, Looks, Rules, Subject};

/// Numbers of rounds that are tried: beyond the last of them a change is out of reach.
const TRIED: [u32; 18] = [6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 50, 60, 80, 100, 140, 200, 300];

/// What the noise of a figure allows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reach {
    /// Which figure.
    pub subject: Subject,
    /// Standard deviation of its rounds, as a share.
    pub deviation: f64,
    /// Rounds after which a change is found with 80% chance: the change, and the rounds; `None` where
    /// the most that are tried are not enough.
    pub rounds: Vec<(f64, Option<u32>)>,
}

/// For each of `subjects`, after how many rounds worsenings by `effects` (shares) would be found, by
/// the noise of `rounds`, in which nothing changed. Failures are left out: where nothing changed there
/// are none, and how often they are after a change is not known before it.
pub fn reach(rounds: &[Round], subjects: &[Subject], rules: &Rules, effects: &[f64]) -> Vec<Reach> {
    // The same for each figure: the level of the last look of a gate of so many rounds.
    let alpha = rules.alpha / subjects.len().max(1) as f64;
    let levels: Vec<(u32, f64)> = TRIED
        .iter()
        .map(|most| {
            let shares = Looks::up_to(*most).shares(*most);
            (*most, sequential::levels(alpha, &shares).last().copied().unwrap_or(0.0))
        })
        .collect();
    let of = |subject: &Subject| {
        let values = rounds.iter().filter_map(|it| it.value(subject)?.difference);
        let values: Vec<f64> = values.collect();
        let deviation = deviation(&values)?;
        let scale = subject.quantity.scale();
        let floor = on_scale(scale, floor(rules.margins.of(subject.quantity)));
        let needed = |effect: f64| {
            let wanted = on_scale(scale, effect);
            let finds = |(most, level): &&(u32, f64)| {
                let n = f64::from(*most);
                let error = deviation / n.sqrt();
                let sample = Sample { mean: 0.0, error, freedom: n - 1.0 };
                sample.detectable(floor, *level) <= wanted
            };
            levels.iter().find(finds).map(|(most, _)| *most)
        };
        Some(Reach {
            subject: subject.clone(),
            deviation: off_scale(scale, deviation),
            rounds: effects.iter().map(|effect| (*effect, needed(*effect))).collect(),
        })
    };
    let relative = subjects.iter().filter(|it| it.quantity.scale() == Scale::Relative);
    relative.filter_map(of).collect()
}

/// Around zero, for nothing changed. `None` of too few values.
fn deviation(values: &[f64]) -> Option<f64> {
    let n = values.len();
    if n < FEWEST_ROUNDS as usize {
        return None;
    }
    Some((values.iter().map(|value| value * value).sum::<f64>() / n as f64).sqrt())
}
