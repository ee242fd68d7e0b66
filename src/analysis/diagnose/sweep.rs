//! What the levels of a sweep say together: the same causes, seen from throughput against users.

use crate::analysis::capacity::{Capacity, Group, Level};
use crate::stats::usl::Fit;
use crate::store::sweep::{Dimension, SweepRecord};

use super::cause::Cause;
use super::rules::Found;
use super::words::{number, percent};
use super::{Confidence, Diagnosis, Finding, NotJudged};

/// Throughput that grows by no more than this from the first to the last level is flat …
const FLAT: f64 = 1.25;
/// … where the load grew by at least that,
const WIDE: f64 = 3.0;
/// and response times as the users: within this factor of it.
const LINEAR: f64 = 0.6;
/// The last two levels serve the same within this share.
const LEVELLED_OFF: f64 = 0.1;
/// Contention of a service that does one thing at a time: all but this of its work.
const ALL_OF_IT: f64 = 0.7;

impl Diagnosis {
    /// What the levels of `capacity` say of a service. Where several groups were swept, the first that
    /// shows a cause tells of it.
    pub fn of_sweep(record: &SweepRecord, capacity: &Capacity) -> Diagnosis {
        let mut diagnosis = Diagnosis::default();
        let dimension = record.axes.first().map(|axis| &axis.dimension);
        let causes = [Cause::Serialised, Cause::PoolTooSmall];
        match dimension {
            Some(Dimension::Users) => {
                for group in &capacity.groups {
                    diagnosis.add_users(group);
                }
            }
            Some(Dimension::Service(key)) => {
                capacity.groups.iter().for_each(|group| diagnosis.add_setting(key, group));
            }
            Some(Dimension::Rate) | None => {}
        }
        for cause in causes {
            let is_told = diagnosis.has(cause)
                || diagnosis.clear.contains(&cause)
                || diagnosis.not_judged.iter().any(|it| it.cause == cause);
            if !is_told {
                let why = "levels of users, or of a setting, are needed".to_owned();
                diagnosis.not_judged.push(NotJudged { cause, why });
            }
        }
        diagnosis
    }

    fn put(&mut self, cause: Cause, found: Option<(Found, Confidence)>) {
        if self.has(cause) {
            return;
        }
        self.clear.retain(|known| *known != cause);
        match found {
            Some((found, confidence)) => self.findings.push(Finding::new(cause, found, confidence)),
            None => self.clear.push(cause),
        }
    }

    fn add_users(&mut self, group: &Group) {
        let Some(users) = Users::of(group) else {
            for cause in [Cause::Serialised, Cause::PoolTooSmall] {
                let why = format!(
                    "at least three valid levels are needed, the last with {WIDE} times the users of the first"
                );
                self.not_judged.retain(|it| it.cause != cause);
                self.not_judged.push(NotJudged { cause, why });
            }
            return;
        };
        let fit = group.fit.as_ref().ok();
        self.put(Cause::Serialised, users.serialised(fit));
        self.put(Cause::PoolTooSmall, users.pool_too_small());
    }

    fn add_setting(&mut self, key: &str, group: &Group) {
        // Places, workers or connections, by the name of the setting.
        let lower = key.to_lowercase();
        if !["pool", "workers", "connections", "semaphore", "threads"]
            .iter()
            .any(|it| lower.contains(it))
        {
            return;
        }
        let found = group.gain.as_ref().map(|gain| {
            let found = Found {
                evidence: vec![format!(
                    "{key} = {} serves {} times as much as {}.",
                    gain.to,
                    number(gain.times),
                    gain.from
                )],
                advice: format!("Raise {key} to {}, as far as what stands behind allows.", gain.to),
                gain: format!("Measured: {} times the throughput.", number(gain.times)),
                or_else: Vec::new(),
                tell_apart: None,
                confidence: None,
            };
            (found, spread_confidence(group, gain.times))
        });
        self.put(Cause::PoolTooSmall, found);
    }
}

/// How far a gain lies above none, in the spread of the runs of a level; not known from single runs.
fn spread_confidence(group: &Group, times: f64) -> Confidence {
    let spreads = group.levels.iter().filter_map(|level| level.spread);
    match spreads.reduce(f64::max) {
        // The range of few runs is about twice their standard deviation (Tippett 1925).
        Some(spread) if spread > 0.0 => {
            let z = (times - 1.5) / (times * spread / 2.0);
            Confidence::Sampled { share: crate::stats::normal::below(z) }
        }
        _ => Confidence::TooShort,
    }
}

/// The first, the last and the last but one of the valid levels of users.
struct Users<'a> {
    first: &'a Level,
    before: &'a Level,
    last: &'a Level,
    /// Users, throughput and mean response time of the last over those of the first.
    grown: (f64, f64, f64),
    group: &'a Group,
}

impl<'a> Users<'a> {
    fn of(group: &'a Group) -> Option<Users<'a>> {
        let valid: Vec<&Level> = group.levels.iter().filter(|level| level.is_valid).collect();
        let [first, .., before, last] = valid[..] else { return None };
        let over = |of: fn(&Level) -> Option<f64>| Some(of(last)? / of(first)?);
        let grown = (
            over(|level| level.number)?,
            over(|level| level.figures.rps)?,
            over(|level| level.figures.mean_ms)?,
        );
        (grown.0 >= WIDE).then_some(Users { first, before, last, grown, group })
    }

    fn sentence(&self) -> String {
        let (users, rps, ms) = self.grown;
        let of = |level: &Level| level.figures.rps.map_or(String::new(), number);
        format!(
            "From {} to {} users ({} times) throughput grows {} times ({} to {} requests/s), and response time {} times.",
            self.first.value,
            self.last.value,
            number(users),
            number(rps),
            of(self.first),
            of(self.last),
            number(ms)
        )
    }

    fn serialised(&self, fit: Option<&Fit>) -> Option<(Found, Confidence)> {
        let (users, rps, ms) = self.grown;
        (rps <= FLAT && ms >= LINEAR * users).then(|| {
            let mut evidence = vec![self.sentence()];
            if let Some(fit) = fit.filter(|fit| fit.law.sigma >= ALL_OF_IT) {
                evidence.push(format!(
                    "Universal Scalability Law: {} of the work is done by one at a time.",
                    percent(fit.law.sigma)
                ));
            }
            let found = Found {
                evidence,
                advice: "Let more than one request be worked on at a time: take the work off the thread that accepts requests, or add worker processes.".to_owned(),
                gain: format!(
                    "With n at a time, throughput up to n times as high, at most {} (users over the first level's).",
                    number(users)
                ),
                or_else: vec![Cause::PoolTooSmall, Cause::CpuBound],
                tell_apart: Some("A pool with one place and one processor that is used up look the same here: the report of a point has the target's processors, and a step that asks a health check waits only where the loop is blocked.".to_owned()),
                confidence: None,
            };
            (found, self.confidence(FLAT))
        })
    }

    fn pool_too_small(&self) -> Option<(Found, Confidence)> {
        let (users, rps, _) = self.grown;
        let first_users = self.first.number?;
        let gained = self.last.figures.rps? / self.before.figures.rps?;
        let levelled = (gained - 1.0).abs() <= LEVELLED_OFF;
        (rps > FLAT && levelled && rps <= LINEAR * users).then(|| {
            let found = Found {
                evidence: vec![
                    self.sentence(),
                    format!("It levels off at that of about {} users.", number(rps * first_users)),
                ],
                advice: format!(
                    "About {} requests are worked on at a time: raise workers, threads or connections.",
                    number(rps * first_users)
                ),
                gain: format!(
                    "Throughput up to {} times as high at {} users: N over the places.",
                    number(users / rps),
                    self.last.value
                ),
                or_else: vec![Cause::CpuBound],
                tell_apart: Some("Processors that are used up look the same here: the report of a point has the target's processors.".to_owned()),
                confidence: None,
            };
            (found, self.confidence(LINEAR * users))
        })
    }

    /// How far the growth of throughput lies below `most`, in the spread of the runs of a level.
    fn confidence(&self, most: f64) -> Confidence {
        let spreads = self.group.levels.iter().filter_map(|level| level.spread);
        match spreads.reduce(f64::max) {
            Some(spread) if spread > 0.0 => {
                let z = (most - self.grown.1) / (self.grown.1 * spread / 2.0);
                Confidence::Sampled { share: crate::stats::normal::below(z) }
            }
            _ => Confidence::TooShort,
        }
    }
}
