//! CPU profiles of this process, sampled from inside: stacks of whatever thread is on a processor.
//!
//! There is one profiler a process. It must be [primed](prime) while the process is still quiet: what
//! unwinds stacks is built inside the first signal, which may interrupt an allocation, and a process
//! that was under load then has hung or crashed.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use flate2::Compression;
use flate2::write::GzEncoder;
use pprof::protos::Message as _;
use pprof::{Frames, ProfilerGuard, ProfilerGuardBuilder, Report};

/// Samples a second, at most. The system's own clock may allow fewer.
pub const MOST_FREQUENT: u32 = 1_000;

/// Frequency while priming: the first sample is to come soon.
const PRIMING_HZ: i32 = 997;
/// CPU time within which priming must have met a sample.
const PRIMED_WITHIN: Duration = Duration::from_secs(2);

/// Why no profile is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// [`prime`] has not been called, or did not succeed.
    #[error(
        "this process is not ready to be profiled: the profiler is primed at the start or not at all"
    )]
    NotPrimed,
    /// There is one profiler a process.
    #[error("a profile is being taken already: try again when it has ended")]
    Busy,
    /// The system refused a timer or memory.
    #[error("the system refused the profiler")]
    System,
}

/// Makes the process ready for [`Profiler::start`]; says whether it is. Takes some milliseconds of CPU
/// time, once. To be called before there are threads that allocate.
pub fn prime() -> bool {
    *primed().get_or_init(|| {
        let Ok(guard) = ProfilerGuardBuilder::default().frequency(PRIMING_HZ).build() else {
            return false;
        };
        let started = ProcessTime::now();
        while started.elapsed() < PRIMED_WITHIN {
            // The timer counts CPU time, so that a sleep would bring no sample.
            let until = Instant::now() + Duration::from_millis(1);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            if guard.report().build_unresolved().is_ok_and(|report| !report.data.is_empty()) {
                return true;
            }
        }
        false
    })
}

fn primed() -> &'static OnceLock<bool> {
    static PRIMED: OnceLock<bool> = OnceLock::new();
    &PRIMED
}

/// A profile being taken; it ends when this is dropped.
pub struct Profiler {
    guard: ProfilerGuard<'static>,
    frequency: u32,
    cpu: ProcessTime,
}

impl Profiler {
    /// Begins to sample, `frequency` times for each second of CPU time that the process uses, 1 to
    /// [`MOST_FREQUENT`].
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn start(frequency: u32) -> Result<Profiler, Refused> {
        if primed().get() != Some(&true) {
            return Err(Refused::NotPrimed);
        }
        let frequency = frequency.clamp(1, MOST_FREQUENT);
        let builder = ProfilerGuardBuilder::default().frequency(frequency.cast_signed());
        let guard = builder.build().map_err(|error| match error {
            pprof::Error::Running => Refused::Busy,
            _ => Refused::System,
        })?;
        Ok(Profiler { guard, frequency, cpu: ProcessTime::now() })
    }

    /// Ends sampling. Names of functions are looked up afterwards, which takes CPU time of its own.
    ///
    /// # Errors
    /// [`Refused::System`]
    pub fn finish(self) -> Result<Sampled, Refused> {
        let report = self.guard.report().build_unresolved().map_err(|_| Refused::System)?;
        let cpu = self.cpu.elapsed();
        drop(self.guard);
        let mut resolved = Report { data: Default::default(), timing: report.timing };
        let (mut samples, mut empty) = (0, 0);
        for (stack, times) in report.data {
            let mut frames = Frames::from(stack);
            // Where calls were inlined, a frame has several symbols, innermost first. The chain is
            // often attributed wrongly; the function that was really called never is.
            frames.frames.iter_mut().for_each(|symbols| {
                symbols.drain(..symbols.len().saturating_sub(1));
            });
            samples += times.unsigned_abs() as u64;
            if frames.frames.is_empty() {
                empty += times.unsigned_abs() as u64;
            }
            *resolved.data.entry(frames).or_default() += times;
        }
        Ok(Sampled { report: resolved, samples, empty, frequency: self.frequency, cpu })
    }
}

/// What was sampled.
pub struct Sampled {
    report: Report,
    samples: u64,
    empty: u64,
    frequency: u32,
    cpu: Duration,
}

impl Sampled {
    /// Samples, empty ones included.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Samples whose stack could not be unwound.
    pub fn empty(&self) -> u64 {
        self.empty
    }

    /// Samples for each second of CPU time that were asked for.
    pub fn frequency(&self) -> u32 {
        self.frequency
    }

    /// Samples for each second of CPU time that came; `None` where the process used none.
    pub fn effective(&self) -> Option<f64> {
        let seconds = self.cpu.as_secs_f64();
        (seconds > 0.0).then(|| self.samples as f64 / seconds)
    }

    /// Stacks of all threads, the empty one too; frames from the outermost to the innermost, and how often each was seen.
    pub fn stacks(&self) -> BTreeMap<Vec<String>, u64> {
        let mut stacks = BTreeMap::new();
        for (frames, times) in &self.report.data {
            let symbols = frames.frames.iter().rev().flatten();
            let stack: Vec<String> = symbols.map(pprof::Symbol::name).collect();
            *stacks.entry(stack).or_default() += times.unsigned_abs() as u64;
        }
        stacks
    }

    /// The profile in the form that `pprof` opens, compressed. Its comments say how many samples were
    /// asked for and came.
    ///
    /// # Errors
    /// The profile cannot be encoded.
    pub fn encoded(&self) -> io::Result<Vec<u8>> {
        let mut profile = self.report.pprof().map_err(io::Error::other)?;
        let effective = self.effective().map_or("none".to_owned(), |rate| format!("{rate:.1}"));
        for comment in [
            format!(
                "samples a second of CPU time: {} asked for, {effective} taken",
                self.frequency
            ),
            format!("samples: {}, without a stack: {}", self.samples, self.empty),
        ] {
            profile.comment.push(profile.string_table.len() as i64);
            profile.string_table.push(comment);
        }
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&profile.encode_to_vec())?;
        gzip.finish()
    }
}
