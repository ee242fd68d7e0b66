//! Profiles as values: what was sampled, by whom, and what can be made of it. Nothing here looks at a
//! process; the samplers do.

pub mod diff;
pub mod flamegraph;
pub mod folded;
pub mod frame;
pub mod pprof;
pub mod speedscope;
pub mod table;
mod wire;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::measure::resource::Observed;
use crate::measure::sample::Offset;
use crate::measure::summary::MeasuredWindow;

pub use folded::Folded;

/// Where Go's services show their profile, and the reference services.
pub const USUAL_PLACE: &str = "/debug/pprof/profile";

/// What takes the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SamplerKind {
    /// The sampler inside our own process.
    InProcess,
    /// The target's own profile over HTTP, in the form that `pprof` opens.
    Http,
    /// py-spy, for Python.
    PySpy,
    /// perf, for native code.
    Perf,
}

impl SamplerKind {
    /// All of them.
    pub const ALL: [SamplerKind; 4] =
        [SamplerKind::InProcess, SamplerKind::Http, SamplerKind::PySpy, SamplerKind::Perf];

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            SamplerKind::InProcess => "in-process",
            SamplerKind::Http => "http",
            SamplerKind::PySpy => "py-spy",
            SamplerKind::Perf => "perf",
        }
    }
}

/// Which threads a sample counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// Those on a processor: shares are shares of CPU time.
    Cpu,
    /// All of them, waiting ones too: shares are shares of the threads' time.
    Wall,
}

/// What is known of a profile beside its stacks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProfileRecord {
    /// Name of its files in the run folder: `target-cpu`, `target-wall`, `generator-cpu`.
    pub name: String,
    /// Whose.
    pub who: Observed,
    /// What it counts.
    pub counts: Counts,
    /// Who sampled.
    pub sampler: SamplerKind,
    /// When sampling began and ended, on the run's clock.
    pub from: Offset,
    #[allow(missing_docs, reason = "beside from")]
    pub to: Offset,
    /// Time within `from` and `to` in which samples were taken: less where it was done in slices.
    pub sampled: Duration,
    /// Samples a second that were asked for.
    pub frequency: f64,
    /// Samples, empty ones included.
    pub samples: u64,
    /// Samples without any frame.
    pub empty: u64,
    /// Samples that the sampler says it lost; `None` where it does not say.
    pub lost: Option<u64>,
    /// What else a reader must know, a line each.
    pub notes: Vec<String>,
}

impl ProfileRecord {
    /// The time in which it was taken.
    pub fn window(&self) -> MeasuredWindow {
        MeasuredWindow { start: self.from, end: self.to }
    }
}

/// A profile that was asked for, or would be of use, and is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Whose.
    pub who: Observed,
    /// By which sampler, where one was chosen.
    pub sampler: Option<SamplerKind>,
    /// Why not, in one line.
    pub why: String,
    /// What to install or allow, in one line; a command where there is one.
    pub mend: Option<String>,
}

/// All that sampling a run brought.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Profiles {
    /// Profiles.
    pub taken: Vec<(ProfileRecord, Folded)>,
    /// What is not there.
    pub missing: Vec<Missing>,
}
