//! What a service suffers from: rules over measured evidence, each with its figures, what to change,
//! what to expect of that, and how sure it is. `docs/diagnosis.md` has every rule.
//!
//! How sure: the measured part is drawn again in stretches of time ([`crate::stats::blocks`]), and the
//! confidence is the share of the draws in which the rule still fires. What comes from samples (a
//! profile, a cache, a slope) has the share of a normal error that lies on this side of the threshold.

mod cause;
mod cells;
mod evidence;
mod rules;
mod sweep;
mod words;

use serde::Serialize;

use crate::measure::distribution::Damaged;
use crate::stats::blocks::{Layout, share_of_replicates};
use crate::store::run::Run;

use super::Assessment;
use super::profile::ProfileFindings;
pub use cause::Cause;
use evidence::Evidence;
use rules::{Found, Judgement, judge};

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Confidence {
    /// The share (0 to 1) of draws of the measured time in which the rule still fires.
    Redrawn {
        /// Of all draws.
        share: f64,
    },
    /// The share (0 to 1) of the sampling error that lies on this side of the threshold.
    Sampled {
        /// Of a normal distribution.
        share: f64,
    },
    /// It was seen, and nothing about it is estimated.
    Seen,
    /// There is too little time in the run to draw from.
    TooShort,
}

impl Confidence {
    /// The share; `None` where there is none.
    pub fn share(self) -> Option<f64> {
        match self {
            Confidence::Redrawn { share } | Confidence::Sampled { share } => Some(share),
            Confidence::Seen => Some(1.0),
            Confidence::TooShort => None,
        }
    }
}

/// A cause that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Which.
    pub cause: Cause,
    /// Whether it is something to mend.
    pub is_fault: bool,
    /// How sure it is.
    pub confidence: Confidence,
    /// Sentences with the measured figures.
    pub evidence: Vec<String>,
    /// What to change.
    pub advice: String,
    /// What to expect of the change, with the formula.
    pub gain: String,
    /// What looks the same in this evidence.
    pub or_else: Vec<Cause>,
    /// What would tell them apart.
    pub tell_apart: Option<String>,
}

impl Finding {
    fn new(cause: Cause, found: Found, confidence: Confidence) -> Finding {
        let Found { evidence, advice, gain, or_else, tell_apart, .. } = found;
        let is_fault = cause.is_fault();
        Finding { cause, is_fault, confidence, evidence, advice, gain, or_else, tell_apart }
    }
}

/// A rule that had nothing to judge by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NotJudged {
    /// Whose.
    pub cause: Cause,
    /// Why.
    pub why: String,
}

/// What was found, what was looked for in vain, and what could not be looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Diagnosis {
    /// What was found.
    pub findings: Vec<Finding>,
    /// Causes that the evidence speaks against.
    pub clear: Vec<Cause>,
    /// Causes that could not be judged.
    pub not_judged: Vec<NotJudged>,
}

impl Diagnosis {
    /// What `run` suffers from.
    ///
    /// # Errors
    ///
    /// Where its records are damaged.
    pub fn of(
        run: &Run,
        assessment: &Assessment,
        profile: Option<&ProfileFindings>,
    ) -> Result<Diagnosis, Damaged> {
        let evidence = Evidence::of(run, assessment, profile)?;
        let mut diagnosis = Diagnosis::default();
        let whole = evidence.facts();
        for cause in Cause::ALL {
            if diagnosis.has(Cause::GeneratorBound) {
                let why = "gander was the bottleneck: nothing is known of the target".to_owned();
                diagnosis.not_judged.push(NotJudged { cause, why });
                continue;
            }
            match judge(cause, &whole) {
                Judgement::Clear => diagnosis.clear.push(cause),
                Judgement::NotJudged(why) => diagnosis.not_judged.push(NotJudged { cause, why }),
                Judgement::Found(found) => {
                    let confidence = found.confidence.unwrap_or_else(|| redrawn(cause, &evidence));
                    diagnosis.findings.push(Finding::new(cause, found, confidence));
                }
            }
        }
        Ok(diagnosis)
    }

    /// Whether `cause` was found.
    pub fn has(&self, cause: Cause) -> bool {
        self.finding(cause).is_some()
    }

    /// The finding of `cause`.
    pub fn finding(&self, cause: Cause) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.cause == cause)
    }

    /// What is to be mended.
    pub fn faults(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.is_fault)
    }
}

/// How often the rule for `cause` fires where the measured time is drawn again.
fn redrawn(cause: Cause, evidence: &Evidence<'_>) -> Confidence {
    let layout = Layout::of(vec![evidence.cells.len()], 1);
    let fires =
        |weights: &[u32]| matches!(judge(cause, &evidence.facts_of(weights)), Judgement::Found(_));
    match share_of_replicates(&layout, evidence.plan().seed, fires) {
        Some(share) => Confidence::Redrawn { share },
        None => Confidence::TooShort,
    }
}
