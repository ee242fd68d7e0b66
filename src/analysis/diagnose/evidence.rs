//! What was measured, as rules look at it.

use std::collections::BTreeMap;

use crate::analysis::Assessment;
use crate::analysis::leak::{self, ResourceVerdict};
use crate::analysis::profile::{ProfileFindings, Waiting};
use crate::analysis::server::{self, Server};
use crate::measure::distribution::{Damaged, Distribution};
use crate::measure::interval::Phase;
use crate::measure::metric::Metric;
use crate::measure::sample::{Offset, Outcome, StepId};
use crate::measure::summary::ms;
use crate::plan::{PlanRecord, StepRecord};
use crate::profile::Profiles;
use crate::schedule::LoadModel;
use crate::store::run::Run;

use super::cells::{self, Sums};

/// The lowest share of responses that a time is read from.
const LOWEST: f64 = 0.02;
/// Words in a path that only asks whether the service is there.
const HEALTH: [&str; 6] = ["health", "healthz", "ping", "ready", "live", "alive"];

/// A run as rules look at it.
pub struct Evidence<'a> {
    /// The run.
    pub run: &'a Run,
    /// Its figures and whether they may be trusted.
    pub assessment: &'a Assessment,
    /// Its profiles; `None` where it was not profiled.
    pub profile: Option<&'a ProfileFindings>,
    /// What the target said of itself; `None` where it was not asked or did not answer.
    pub server: Option<Server>,
    /// What requests did with their time; `None` where the target's processor time is not known.
    pub waiting: Option<Waiting>,
    /// Its steps.
    pub steps: Vec<StepEvidence>,
    /// The measured part in stretches, without the first requests.
    pub cells: Vec<Sums>,
    /// Errors, with what the target said.
    pub messages: BTreeMap<(Outcome, Option<u16>), (u64, Vec<String>)>,
    /// Whether resources grow.
    pub leaks: Vec<ResourceVerdict>,
}

/// One step of the scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct StepEvidence {
    /// Its name.
    pub name: String,
    /// Method and path.
    pub place: String,
    /// Whether it only asks if the service is there.
    pub is_health: bool,
    /// Items that a request carries, as the name of the step says: `batch of 25` carries 25.
    pub items: Option<f64>,
    /// Bytes sent with each request; `None` where there was none.
    pub sent_bytes: Option<f64>,
    /// Service time when hardly anybody else asked: the lowest of the first requests, in ms.
    pub alone_ms: Option<f64>,
    /// The same quantile of the requests of the measured part, in milliseconds.
    pub low_ms: Option<f64>,
    /// The shortest service time of the whole run, in milliseconds.
    pub least_ms: Option<f64>,
    /// Median service time in the measured part, in milliseconds.
    pub p50_ms: Option<f64>,
}

/// What a rule is held against: the sums may be those of time that was drawn again.
pub struct Facts<'a, 'e> {
    /// The run.
    pub evidence: &'e Evidence<'a>,
    /// Sums over the measured part.
    pub sums: Sums,
}

impl<'a> Evidence<'a> {
    /// The evidence of `run`.
    pub fn of(
        run: &'a Run,
        assessment: &'a Assessment,
        profile: Option<&'a ProfileFindings>,
    ) -> Result<Evidence<'a>, Damaged> {
        let first = First::of(run)?;
        let steps = steps(run, assessment, &first)?;
        let medians: Vec<Option<f64>> = steps.iter().map(|step| step.p50_ms).collect();
        let waiting = match profile {
            Some(findings) => findings.waiting,
            None => ProfileFindings::of(&Profiles::default(), run).waiting,
        };
        Ok(Evidence {
            run,
            assessment,
            profile,
            server: server::server(run, &assessment.summary),
            waiting,
            cells: cells::cells(run, first.until, &medians)?,
            steps,
            messages: cells::messages(run),
            leaks: leak::judge(run),
        })
    }

    /// What was planned.
    pub fn plan(&self) -> &PlanRecord {
        &self.run.start.plan
    }

    /// Whether arrivals do not wait for each other.
    pub fn is_open(&self) -> bool {
        matches!(self.plan().load, LoadModel::Open(_))
    }

    /// All of the measured part.
    pub fn facts(&self) -> Facts<'a, '_> {
        self.facts_of(&vec![1; self.cells.len()])
    }

    /// The measured part with each stretch as often as `weights` says.
    pub fn facts_of(&self, weights: &[u32]) -> Facts<'a, '_> {
        let mut sums = Sums { steps: vec![(0.0, 0.0); self.steps.len()], ..Sums::default() };
        for (cell, weight) in self.cells.iter().zip(weights).filter(|(_, weight)| **weight > 0) {
            sums.add(cell, f64::from(*weight));
        }
        Facts { evidence: self, sums }
    }
}

/// The first requests of a run, which met a service that had nothing else to do.
struct First {
    times: BTreeMap<StepId, Distribution>,
    /// They ended before.
    until: Offset,
}

impl First {
    /// Those that ended in the first second in which one succeeded; of steps that none of them is of,
    /// those of the second after it.
    fn of(run: &Run) -> Result<First, Damaged> {
        let mut first = First { times: BTreeMap::new(), until: Offset::default() };
        let mut seconds = 0;
        for interval in run.intervals() {
            let interval = interval?;
            let known: Vec<StepId> = first.times.keys().copied().collect();
            let successes = interval.distributions.iter().filter(|(key, times)| {
                key.metric == Metric::ServiceTime && key.outcome.is_success() && !times.is_empty()
            });
            let mut any = false;
            for (key, times) in successes {
                any = true;
                if !known.contains(&key.step) {
                    first.times.entry(key.step).or_default().merge(times);
                }
            }
            if any || seconds > 0 {
                seconds += 1;
                first.until = first.until.max(interval.end);
            }
            let is_whole = first.times.len() == run.start.plan.steps.len();
            if seconds == 2 || (seconds == 1 && is_whole) {
                break;
            }
        }
        Ok(first)
    }
}

fn steps(run: &Run, assessment: &Assessment, first: &First) -> Result<Vec<StepEvidence>, Damaged> {
    let mut later: BTreeMap<StepId, Distribution> = BTreeMap::new();
    for interval in run.intervals() {
        let interval = interval?;
        if interval.start < first.until {
            continue;
        }
        for (key, times) in &interval.distributions {
            let is_it = key.metric == Metric::ServiceTime && key.phase == Phase::Measured;
            if is_it && key.outcome.is_success() {
                later.entry(key.step).or_default().merge(times);
            }
        }
    }
    let of = |(index, step): (usize, &StepRecord)| {
        let id = StepId(index as u16);
        let (alone, later) = (first.times.get(&id), later.get(&id));
        // The least of n values stands for the quantile 1 / (n + 1): the same one is compared.
        let q = alone.map_or(LOWEST, |times| LOWEST.max(1.0 / (times.count() + 1) as f64));
        let at = |times: Option<&Distribution>, q| times.and_then(|it| it.quantile(q)).map(ms);
        let figures = assessment.summary.steps.get(index);
        let sent = figures.map(|figures| (figures.traffic.bytes.sent, figures.count()));
        StepEvidence {
            name: step.name.clone(),
            place: format!("{} {}", step.method, step.path),
            is_health: is_health(&step.method, &step.path),
            items: items(&step.name),
            sent_bytes: sent.filter(|(_, n)| *n > 0).map(|(bytes, n)| bytes as f64 / n as f64),
            alone_ms: at(alone, q),
            low_ms: at(later, q),
            least_ms: [at(alone, 0.0), at(later, 0.0)].into_iter().flatten().reduce(f64::min),
            p50_ms: at(later, 0.5),
        }
    };
    Ok(run.start.plan.steps.iter().enumerate().map(of).collect())
}

fn is_health(method: &str, path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or(path).to_lowercase();
    let words = path.split(|c: char| !c.is_alphanumeric());
    let mut words = words.filter(|word| !word.is_empty());
    matches!(method, "GET" | "HEAD") && words.any(|word| HEALTH.contains(&word))
}

/// The one number in the name of a step.
fn items(name: &str) -> Option<f64> {
    let mut numbers = name.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let number = numbers.next()?.parse().ok().filter(|number: &f64| *number > 0.0)?;
    numbers.next().is_none().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_ask_whether_the_service_is_there() {
        let health = [("GET", "/health"), ("HEAD", "/api/ready?full=1"), ("GET", "/livez/ping")];
        assert!(health.into_iter().all(|(method, path)| is_health(method, path)));
        let others = [("POST", "/health"), ("GET", "/healthcare/patients"), ("GET", "/delivery")];
        assert!(!others.into_iter().any(|(method, path)| is_health(method, path)));
    }

    #[test]
    fn a_name_with_one_number_says_how_many_items() {
        let found = ["batch of 25", "batch_50", "single", "v2 batch of 5", "batch 0"].map(items);
        assert_eq!(found, [Some(25.0), Some(50.0), None, None, None]);
    }
}
