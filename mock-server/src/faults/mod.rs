//! What goes wrong, when, and how often: faults as data, settable at the start and while a service
//! runs.

pub(crate) mod damage;
mod decide;
mod kind;
mod presets;
mod text;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use kind::{Effect, Kind};
pub use presets::Preset;

use crate::duration;

/// The faults of a service: a list of rules, of which at most one acts on a request.
///
/// Written as a list of [`Rule`]s, or as the name of a [`Preset`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Faults {
    rules: Vec<Rule>,
}

/// One fault and when it acts.
///
/// A rule with `every` acts on every so-manieth request; one with `rate` on that share of them; one
/// with neither on all. With `burst` it does so only in the first part of each interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What goes wrong.
    pub kind: Kind,
    /// The share of requests, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Requests number N, 2N, 3N, …, counted from 1 over all routes that do the service's work, since
    /// the start or the last reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Only in bursts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<Burst>,
    /// Only requests of these routes, such as `/predict`; none: all that do the service's work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<String>>,
    /// How long a slow answer is held back, a slow drip takes, or a connection may be idle.
    #[serde(default, with = "duration::option", skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
    /// What a refusal says about when to come again.
    #[serde(default, with = "duration::option", skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
}

/// The first `for` of each `every`, counted from the start of the service or its last reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// From the beginning of one burst to the beginning of the next.
    #[serde(with = "duration")]
    pub every: Duration,
    /// Length of a burst.
    #[serde(rename = "for", with = "duration")]
    pub length: Duration,
}

impl Rule {
    /// A rule that always acts.
    pub fn always(kind: Kind) -> Rule {
        let (rate, every, burst, routes) = (None, None, None, None);
        Rule { kind, rate, every, burst, routes, delay: None, retry_after: None }
    }

    /// A rule that acts on this share of requests.
    pub fn at_rate(kind: Kind, rate: f64) -> Rule {
        Rule { rate: Some(rate), ..Rule::always(kind) }
    }

    /// A rule that acts on every `n`th request.
    pub fn every(kind: Kind, n: u64) -> Rule {
        Rule { every: Some(n), ..Rule::always(kind) }
    }
}

impl Faults {
    /// These rules.
    ///
    /// # Errors
    /// What is wrong with them: a rate that is none, rates that add up to more than 1, a burst longer
    /// than its interval, a fault of the whole service that is to act on single requests.
    pub fn new(rules: Vec<Rule>) -> Result<Faults, String> {
        for rule in &rules {
            rule.check().map_err(|error| format!("fault {}: {error}", rule.kind))?;
        }
        let sum: f64 = rules.iter().filter(|r| r.burst.is_none()).filter_map(|r| r.rate).sum();
        if sum > 1.0 + 1e-9 {
            return Err(format!("the rates of the faults add up to {sum}, which is more than 1"));
        }
        Ok(Faults { rules })
    }

    /// The rules, in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether nothing ever goes wrong.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        if self.rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
            return Err("`rate` is a share from 0 to 1".to_owned());
        }
        if self.every == Some(0) {
            return Err("`every` counts from 1".to_owned());
        }
        if self.rate.is_some() && self.every.is_some() {
            return Err("`rate` and `every` exclude each other".to_owned());
        }
        if let Some(burst) = self.burst
            && (burst.every.is_zero() || burst.length > burst.every)
        {
            return Err("a burst is at most as long as its interval, which is not 0".to_owned());
        }
        if self.kind == Kind::Refused && self.burst.is_none_or(|burst| burst.length == burst.every)
        {
            return Err("it needs a `burst` shorter than its interval: a service that nobody can \
                        reach could not be told to stop it"
                .to_owned());
        }
        let of_requests = self.rate.is_some() || self.every.is_some() || self.routes.is_some();
        if self.kind.is_of_service() && of_requests {
            return Err("it befalls the whole service: only `burst` says when".to_owned());
        }
        Ok(())
    }

    /// Whether the rule acts at all, this long after the start.
    pub(crate) fn is_open(&self, elapsed: Duration) -> bool {
        self.burst.is_none_or(|burst| burst.is_open(elapsed))
    }
}

impl Burst {
    fn is_open(self, elapsed: Duration) -> bool {
        elapsed.as_nanos() % self.every.as_nanos() < self.length.as_nanos()
    }

    /// How long it stays as it is, open or not, from `elapsed` on.
    pub(crate) fn until_change(self, elapsed: Duration) -> Duration {
        let every = self.every.as_nanos();
        let at = elapsed.as_nanos() % every;
        let next = if at < self.length.as_nanos() { self.length.as_nanos() } else { every };
        Duration::from_nanos(u64::try_from(next - at).unwrap_or(u64::MAX))
    }
}
