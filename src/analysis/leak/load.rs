//! Whether the load of a run was steady while the target's resources are judged.

use crate::schedule::LoadModel;
use crate::store::run::Run;

use super::{BURN_IN, Z_99};

/// Load that grew by more than this share explains growth of its own, and load that fell by more hides
/// it.
const STEADY: f64 = 0.1;
/// So few iterations in flight come and go by chance.
const FEW: f64 = 3.0;

/// By which share the load changed from the first half of what is judged to the second; `None` where
/// it did so by less than matters. One kind of load may grow while another falls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    /// It grew: so may what the target holds open.
    pub grew: Option<f64>,
    /// It fell: what leaks with each request leaks less, and what is open falls.
    pub fell: Option<f64>,
}

impl Load {
    /// What the load of `run` did. Load is what was active (users, or iterations in flight: those of a
    /// service that falls behind pile up), in open load what was due, and, where it fell, what was sent.
    pub fn of(run: &Run) -> Load {
        let window = run.window();
        let (start, length) = (window.start.as_secs_f64(), window.length().as_secs_f64());
        let (from, middle) = (start + length * BURN_IN, start + length * (1.0 + BURN_IN) / 2.0);
        let is_open = matches!(run.start.plan.load, LoadModel::Open(_));
        let [mut active, mut due, mut sent, mut seconds] = [[0.0; 2]; 4];
        let mut before = (0, 0);
        for interval in &run.intervals {
            let (begin, end) = (interval.start.as_secs_f64(), interval.end.as_secs_f64());
            let now = (interval.ledger.scheduled, interval.ledger.sent);
            if begin >= from && end <= start + length {
                let half = usize::from(begin >= middle);
                seconds[half] += end - begin;
                active[half] += f64::from(interval.users) * (end - begin);
                due[half] += now.0.saturating_sub(before.0) as f64;
                sent[half] += now.1.saturating_sub(before.1) as f64;
            }
            before = now;
        }
        let means = |sums: [f64; 2]| [sums[0] / seconds[0], sums[1] / seconds[1]];
        let (active, due) = (means(active), means(due));
        // Counts of random arrivals differ by about the root of their sum.
        let by_chance = Z_99 * (sent[0] + sent[1]).sqrt() / seconds[0];
        let sent = means(sent);
        let few = if is_open { FEW } else { 0.0 };
        // By which share the load after is above the one before, where that is more than chance.
        let more = |[before, after]: [f64; 2], chance: f64| {
            let share = after / before - 1.0;
            (share > STEADY && after - before >= chance).then_some(share)
        };
        let less = |[before, after]: [f64; 2], chance: f64| {
            let share = 1.0 - after / before;
            (share > STEADY && before - after >= chance).then_some(share)
        };
        let due = is_open.then(|| more(due, 0.0)).flatten();
        Load {
            grew: more(active, few).into_iter().chain(due).reduce(f64::max),
            fell: less(active, few).into_iter().chain(less(sent, by_chance)).reduce(f64::max),
        }
    }
}
