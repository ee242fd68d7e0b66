//! How the inference service behaves, as plain data.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::faults::Faults;
use crate::latency::{Distribution, Latency};
use crate::leaks::Leaks;

/// How the inference service behaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Inference {
    /// How requests share the model.
    pub engine: Engine,
    /// How long a prediction takes; its items are texts.
    pub latency: Latency,
    /// What a prediction does in that time.
    pub spend: Spend,
    /// Whether the model takes a batch in one pass, and not text after text.
    pub vectorised: bool,
    /// Whether the features of a text that was seen before are taken from a cache.
    pub feature_cache: bool,
    /// Whether a line is logged for each text.
    pub logging: bool,
    /// Seed of all draws.
    pub seed: u64,
    /// What goes wrong.
    pub faults: Faults,
    /// What is not given back.
    pub leak: Leaks,
}

impl Default for Inference {
    /// Four workers that sleep 75 ms a request and 2.5 ms a text, without jitter, text after text,
    /// without a cache and with a log; seed 42.
    fn default() -> Self {
        Inference {
            engine: Engine::default(),
            latency: Latency {
                base: Distribution::Fixed(Duration::from_millis(75)),
                per_item: Duration::from_micros(2_500),
                ..Latency::ZERO
            },
            spend: Spend::Sleep,
            vectorised: false,
            feature_cache: false,
            logging: true,
            seed: 42,
            faults: Faults::default(),
            leak: Leaks::default(),
        }
    }
}

/// How requests share the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A synchronous model call on the event loop: one request at a time. Every route waits, that of
    /// the health check too.
    Blocking,
    /// Model calls on threads of their own: one request a worker at a time; other routes answer at
    /// once.
    Threaded {
        /// Number of threads.
        workers: NonZeroUsize,
    },
}

impl Default for Engine {
    fn default() -> Self {
        Engine::Threaded { workers: const { NonZeroUsize::new(4).expect("invariant: 4 > 0") } }
    }
}

/// What a prediction does while it lasts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spend {
    /// Its thread sleeps, as one that waits for an accelerator: the time is wall-clock time.
    #[default]
    Sleep,
    /// Its thread computes: the time is the thread's own CPU time, however long that takes.
    Cpu,
}

/// The behaviour as it is written, in one flat table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default = "unwritten", deny_unknown_fields)]
struct Written {
    engine: EngineName,
    workers: Option<NonZeroUsize>,
    latency: Latency,
    spend: Spend,
    vectorised: bool,
    feature_cache: bool,
    logging: bool,
    seed: u64,
    faults: Faults,
    leak: Leaks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EngineName {
    Blocking,
    Threaded,
}

/// Threads that a process can be expected to start.
const MOST_WORKERS: usize = 1_024;

/// The default, without a number of workers, which would contradict the other engine.
fn unwritten() -> Written {
    Written { workers: None, ..Inference::default().into() }
}

impl From<Inference> for Written {
    fn from(inference: Inference) -> Written {
        let (engine, workers) = match inference.engine {
            Engine::Blocking => (EngineName::Blocking, None),
            Engine::Threaded { workers } => (EngineName::Threaded, Some(workers)),
        };
        Written {
            engine,
            workers,
            latency: inference.latency,
            spend: inference.spend,
            vectorised: inference.vectorised,
            feature_cache: inference.feature_cache,
            logging: inference.logging,
            seed: inference.seed,
            faults: inference.faults,
            leak: inference.leak,
        }
    }
}

impl TryFrom<Written> for Inference {
    type Error = String;

    fn try_from(written: Written) -> Result<Inference, String> {
        let engine = match (written.engine, written.workers) {
            (EngineName::Blocking, None) => Engine::Blocking,
            (EngineName::Blocking, Some(_)) => {
                return Err("`workers` has no meaning with engine \"blocking\", which serves one \
                            request at a time: leave it out, or use engine \"threaded\""
                    .to_owned());
            }
            (EngineName::Threaded, None) => Engine::default(),
            (EngineName::Threaded, Some(workers)) if workers.get() > MOST_WORKERS => {
                return Err(format!("`workers` are threads: at most {MOST_WORKERS}"));
            }
            (EngineName::Threaded, Some(workers)) => Engine::Threaded { workers },
        };
        Ok(Inference {
            engine,
            latency: written.latency,
            spend: written.spend,
            vectorised: written.vectorised,
            feature_cache: written.feature_cache,
            logging: written.logging,
            seed: written.seed,
            faults: written.faults,
            leak: written.leak,
        })
    }
}
