//! How the ensemble service behaves, as plain data.

mod lifetime;
mod switch;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::prompts;
use crate::duration;
use crate::faults::Faults;
use crate::latency::{Distribution, Latency};
use crate::services::llm::{PromptKind, Reply};
use crate::upstream::{ClientUse, UpstreamSettings};

/// How the ensemble service behaves.
///
/// Every time here is written as it would be in production, and is multiplied by `time_scale` while
/// the service runs; measured times are divided by it before the service states them. Three things
/// are left in real time: `latency` and `faults`, which mean the same on every service, and how long
/// the cache keeps an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub struct Ensemble {
    /// Seed of all draws.
    pub seed: u64,
    /// Time that the service itself adds to each request, not scaled.
    pub latency: Latency,
    /// What goes wrong in the service itself.
    pub faults: Faults,
    /// The chat completions service behind it. `client`, `keep_alive` and `idle_timeout` have no
    /// effect: `pooling` says how connections are used.
    pub upstream: UpstreamSettings,
    /// Seconds that pass in the service for each second that it states, above 0 and at most 1.
    pub time_scale: f64,
    /// Whether snapshots wait for each other.
    pub snapshots: Snapshots,
    /// How many calls find what changed from snapshot to snapshot.
    pub key_changes: KeyChanges,
    /// Connections that all calls share; none: a new client and a new connection for each call.
    #[serde(with = "switch")]
    pub pooling: Option<Pooling>,
    /// Snapshot calls that may be in flight together, over all requests; 0: any number.
    pub semaphore: usize,
    /// When calls are no longer tried; none: they always are.
    #[serde(with = "switch")]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Where answers are kept for the next who asks the same.
    pub cache: CacheKind,
    /// How long the cache keeps an answer that does not depend on the time, not scaled; days (`7d`)
    /// are a unit here.
    #[serde(with = "lifetime")]
    pub stable_ttl: Duration,
    /// How long the cache keeps any other answer, not scaled.
    #[serde(with = "lifetime")]
    pub changing_ttl: Duration,
    /// Whether questions that differ in case, white space and final punctuation alone are the same
    /// to the cache.
    pub normalise: bool,
    /// Whether common questions are asked in the background at the start, so that they are in the
    /// cache before anybody asks.
    pub warming: bool,
    /// Models that are warmed up, each with all of the common questions.
    pub warm_models: Vec<String>,
    /// Model of snapshots and narratives, where a request names none.
    pub model: String,
    /// Smaller model that finds the key changes of all snapshots in one call.
    pub extraction_model: String,
    /// Prices by model; a request may name any of these models.
    pub prices: BTreeMap<String, Price>,
    /// What a request gets when every snapshot failed.
    pub outage: Outage,
    /// A stream without other events says at this pace that it is alive.
    #[serde(with = "duration")]
    pub heartbeat: Duration,
    /// How long the llm service started beside this one takes for a snapshot.
    pub snapshot_latency: Latency,
    /// How long it takes to find key changes.
    pub key_changes_latency: Latency,
    /// How long it takes for a narrative.
    pub narrative_latency: Latency,
}

/// Whether snapshots wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Snapshots {
    /// Each waits for the one before.
    Sequential,
    /// All are asked for at once.
    Parallel,
}

/// How many calls find what changed from snapshot to snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyChanges {
    /// One for each snapshot but the first, one after another, with the model of the snapshots.
    PerTransition,
    /// One for all, with the extraction model, from the beginnings of the answers.
    Batched,
}

/// Connections that all calls share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pooling {
    /// Connections in use at most: further calls wait.
    pub connections: usize,
    /// Idle connections that are kept at most.
    pub keep_alive: usize,
    /// How long an idle connection is kept.
    #[serde(with = "duration")]
    pub expiry: Duration,
}

impl Default for Pooling {
    /// 20 connections, 10 of them kept for 30 s.
    fn default() -> Self {
        Pooling { connections: 20, keep_alive: 10, expiry: Duration::from_secs(30) }
    }
}

/// When calls are no longer tried, and when they are again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CircuitBreaker {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before calls are tried again.
    #[serde(with = "duration")]
    pub recovery: Duration,
    /// Successes in a row after that which close it; one failure opens it again.
    pub successes: u32,
}

impl Default for CircuitBreaker {
    /// 5 failures, 30 s, 3 successes.
    fn default() -> Self {
        CircuitBreaker { failures: 5, recovery: Duration::from_secs(30), successes: 3 }
    }
}

/// Where answers are kept. Written as `"none"`, `"memory"`, or the URL of a Redis such as
/// `"redis://127.0.0.1:6379/"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CacheKind {
    /// Nowhere.
    None,
    /// In the service's memory.
    Memory,
    /// In the Redis at this URL.
    Redis(String),
}

/// What a model costs, in US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Tokens of prompts.
    pub prompt: f64,
    /// Tokens of completions.
    pub completion: f64,
}

/// What a request gets when every snapshot failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outage {
    /// Status 200 and an answer that is not eligible, as the system this one stands for does: only
    /// a look into the body tells it from a success.
    NotEligible,
    /// Status 503; a stream ends with an error.
    Unavailable,
}

impl Default for Ensemble {
    /// [`Ensemble::optimised`].
    fn default() -> Self {
        Ensemble::optimised()
    }
}

impl Ensemble {
    /// The service after its optimisation: parallel snapshots, at most 5 together; batched key
    /// changes; a connection pool; a circuit breaker. The cache is off, so that a load test that
    /// asks the same question again measures the pipeline. A hundredth of the real times.
    pub fn optimised() -> Ensemble {
        let uniform = |low, high| {
            let (low, high) = (Duration::from_secs(low), Duration::from_secs(high));
            Latency::of(Distribution::Uniform { low, high })
        };
        let price =
            |model: &str, prompt, completion| (model.to_owned(), Price { prompt, completion });
        Ensemble {
            seed: 42,
            latency: Latency::ZERO,
            faults: Faults::default(),
            upstream: UpstreamSettings::default(),
            time_scale: 0.01,
            snapshots: Snapshots::Parallel,
            key_changes: KeyChanges::Batched,
            pooling: Some(Pooling::default()),
            semaphore: 5,
            circuit_breaker: Some(CircuitBreaker::default()),
            cache: CacheKind::None,
            stable_ttl: 7 * lifetime::DAY,
            changing_ttl: lifetime::DAY,
            normalise: true,
            warming: false,
            warm_models: vec!["gpt-4o".to_owned(), "gpt-4o-mini".to_owned()],
            model: "gpt-4o".to_owned(),
            extraction_model: "gpt-4o-mini".to_owned(),
            prices: [price("gpt-4o", 2.5, 10.0), price("gpt-4o-mini", 0.15, 0.6)].into(),
            outage: Outage::NotEligible,
            heartbeat: Duration::from_secs(10),
            snapshot_latency: uniform(18, 22),
            key_changes_latency: uniform(4, 5),
            narrative_latency: uniform(4, 5),
        }
    }

    /// The service before its optimisation: one call after another, each on a connection of its own,
    /// and neither semaphore nor circuit breaker nor cache.
    pub fn original() -> Ensemble {
        Ensemble {
            snapshots: Snapshots::Sequential,
            key_changes: KeyChanges::PerTransition,
            pooling: None,
            semaphore: 0,
            circuit_breaker: None,
            cache: CacheKind::None,
            normalise: false,
            ..Ensemble::optimised()
        }
    }

    /// What the llm service behind this one is to do with the three kinds of prompts: how long it
    /// takes, scaled, and what it says where the form matters. No prompt is of two kinds.
    pub fn prompt_kinds(&self) -> [PromptKind; 3] {
        let kind = |pattern: &str, latency: &Latency, reply: Option<&str>| PromptKind {
            pattern: pattern.parse().expect("invariant: the patterns of prompts are constants"),
            reply: reply.map(|template| Reply::Template(template.to_owned())),
            latency: Some(latency.scaled(self.time_scale)),
        };
        [
            kind(prompts::SNAPSHOT, &self.snapshot_latency, None),
            kind(prompts::KEY_CHANGES, &self.key_changes_latency, Some(prompts::KEY_CHANGES_REPLY)),
            kind(prompts::NARRATIVE, &self.narrative_latency, Some(prompts::NARRATIVE_REPLY)),
        ]
    }

    /// The same behaviour if it makes sense.
    ///
    /// # Errors
    /// What does not, and what to do about it.
    pub(super) fn checked(self) -> Result<Ensemble, String> {
        if !(self.time_scale > 0.0 && self.time_scale <= 1.0) {
            return Err(format!(
                "`time_scale` is above 0 and at most 1, not {}: 1 is real time, 0.01 a hundredth",
                self.time_scale
            ));
        }
        if self.heartbeat.is_zero() {
            return Err("`heartbeat` is longer than 0: raise it to an hour to see none".to_owned());
        }
        if let Some(Pooling { connections: 0, .. }) = self.pooling {
            return Err(
                "`pooling.connections` is at least 1; for a connection of its own for each \
                        call, set `pooling = false`"
                    .to_owned(),
            );
        }
        if let Some(breaker) = self.circuit_breaker
            && (breaker.failures == 0 || breaker.successes == 0)
        {
            return Err("`failures` and `successes` of the circuit breaker are at least 1; to do \
                        without one, set `circuit_breaker = false`"
                .to_owned());
        }
        if self.warming && self.cache == CacheKind::None {
            return Err(
                "`warming` fills the cache, and there is none: set `cache` to \"memory\" or \
                        to the URL of a Redis, or leave `warming` out"
                    .to_owned(),
            );
        }
        let warmed = self.warm_models.iter().filter(|_| self.warming);
        for model in [&self.model, &self.extraction_model].into_iter().chain(warmed) {
            if !self.prices.contains_key(model) {
                return Err(format!(
                    "the model {model:?} has no price: add \
                     `[prices.{model:?}]` with `prompt` and `completion`, dollars per million tokens"
                ));
            }
        }
        Ok(self)
    }

    /// A time as it passes in the service.
    pub(super) fn scaled(&self, time: Duration) -> Duration {
        time.mul_f64(self.time_scale)
    }

    /// A measured time as the service states it.
    pub(super) fn stated(&self, measured: Duration) -> Duration {
        // A measured time of a day and the smallest scale overflow: then the longest there is.
        Duration::try_from_secs_f64(measured.as_secs_f64() / self.time_scale)
            .unwrap_or(Duration::MAX)
    }

    /// The upstream's settings as `pooling` and `time_scale` make them.
    pub(super) fn upstream(&self) -> UpstreamSettings {
        let pooling = self.pooling.unwrap_or_default();
        let client = match self.pooling {
            Some(_) => ClientUse::Shared,
            None => ClientUse::PerRequest,
        };
        UpstreamSettings {
            client,
            keep_alive: Some(pooling.keep_alive),
            idle_timeout: self.scaled(pooling.expiry),
            timeout: self.scaled(self.upstream.timeout),
            ..self.upstream.clone()
        }
    }
}

impl TryFrom<String> for CacheKind {
    type Error = String;

    fn try_from(text: String) -> Result<CacheKind, String> {
        match text.as_str() {
            "none" => Ok(CacheKind::None),
            "memory" => Ok(CacheKind::Memory),
            url => match redis::Client::open(url) {
                Ok(_) => Ok(CacheKind::Redis(text)),
                // The URL may hold a password.
                Err(_) => Err("expected \"none\", \"memory\" or the URL of a Redis such as \
                               \"redis://127.0.0.1:6379/\""
                    .to_owned()),
            },
        }
    }
}

impl From<CacheKind> for String {
    fn from(cache: CacheKind) -> String {
        match cache {
            CacheKind::None => "none".to_owned(),
            CacheKind::Memory => "memory".to_owned(),
            CacheKind::Redis(url) => url,
        }
    }
}

impl Serialize for Ensemble {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Ensemble::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Ensemble {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ensemble::deserialize(deserializer)?.checked().map_err(serde::de::Error::custom)
    }
}
