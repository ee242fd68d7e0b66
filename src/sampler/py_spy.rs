//! py-spy, for Python: the whole process tree, by turns the threads on a processor and all threads.

use std::path::Path;
use std::time::Duration;

use crate::measure::resource::Observed;
use crate::observe::resources::tree;
use crate::profile::{Counts, Folded, Missing, Profiles, SamplerKind};
use crate::target::helper::Helper;

use super::growing::{Growing, Slice, not_begun, too_short};
use super::process::{is_python, is_stopped, program};
use super::refused::{allow, cause, is_refusal, was_too_slow};
use super::span::Span;

/// Share of the time for which the target may be stopped: it is for each sample.
const STOPPED_AT_MOST: f64 = 0.02;
/// Frequency of the first slice, until it is known how long the target stands still for a sample.
const FIRST_HZ: u32 = 20;
/// Length of the first two slices, and of all others.
const FIRST_SLICE: Duration = Duration::from_secs(1);
const SLICE: Duration = Duration::from_secs(3);
/// A slice too short for a sample would tell nothing.
const SHORTEST_SLICE: Duration = Duration::from_millis(200);
/// How long py-spy may take to write what it has.
const WRITES_WITHIN: Duration = Duration::from_secs(10);

/// Samples the Python processes below `root` while `span` lasts, at most `frequency` times a second.
pub fn sample(span: &Span, root: u32, frequency: u32) -> Profiles {
    let mut profiles = Profiles::default();
    let Some(py_spy) = program("py-spy") else {
        let mend =
            "pip install py-spy   # or --sampler perf, which sees the interpreter alone".to_owned();
        profiles.missing.push(missing("py-spy is not installed".to_owned(), Some(mend)));
        return profiles;
    };
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => {
            profiles.missing.push(missing(format!("no temporary folder: {error}"), None));
            return profiles;
        }
    };
    if !span.begins() {
        profiles.missing.push(not_begun(Observed::Target, SamplerKind::PySpy));
        return profiles;
    }
    let mut spy = Spy {
        py_spy,
        root,
        file: folder.path(),
        hz: frequency.min(FIRST_HZ),
        frequency,
        taken: 0.0,
        time: 0.0,
        stopped: 0.0,
        looks: 0.0,
    };
    let growing = |counts| Growing::new(Observed::Target, counts, SamplerKind::PySpy, frequency);
    let mut both = [growing(Counts::Cpu), growing(Counts::Wall)];
    let (mut slices, mut has_any) = (0, false);
    while let Some(left) = span.left() {
        if slices > 0 && left < SHORTEST_SLICE {
            break;
        }
        let length = left.min(if slices < both.len() { FIRST_SLICE } else { SLICE });
        let growing = &mut both[slices % 2];
        match spy.slice(span, length, slices % 2 == 1) {
            Ok(slice) => {
                growing.add(slice);
                has_any = true;
            }
            Err(why) if was_too_slow(&why) => {}
            Err(why) if !has_any => {
                profiles.missing.push(spy.not_taken(span, why));
                return profiles;
            }
            // One that was stopped as it started has nothing to say.
            Err(_) if span.left().is_none() => break,
            Err(why) => {
                both.iter_mut().for_each(|growing| growing.note(format!("it broke off: {why}")));
                break;
            }
        }
        slices += 1;
    }
    for mut growing in both {
        growing.frequency(spy.rate());
        if let Some(note) = spy.slower() {
            growing.note(note);
        }
        profiles.taken.extend(growing.finish());
    }
    if profiles.taken.is_empty() {
        profiles.missing.push(too_short(SamplerKind::PySpy));
    }
    profiles
}

/// The setting that lets processes look into others of the same user; `None` where the kernel has
/// nothing that forbids it.
fn yama() -> Option<&'static str> {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok()?;
    (scope.trim() != "0").then_some("kernel.yama.ptrace_scope=0")
}

/// How py-spy is called.
struct Spy<'a> {
    py_spy: String,
    root: u32,
    file: &'a Path,
    /// Samples a second of the next slice.
    hz: u32,
    /// What was asked for.
    frequency: u32,
    /// Samples that were asked of it so far, and seconds that this took.
    taken: f64,
    time: f64,
    /// Looks at which the target stood still, and all looks, each times the frequency at that time.
    stopped: f64,
    looks: f64,
}

impl Spy<'_> {
    /// Samples for `length`; `idle` threads too, or only those on a processor.
    fn slice(&mut self, span: &Span, length: Duration, idle: bool) -> Result<Slice, String> {
        let file = self.file.join("slice.folded");
        // A file of the slice before must not be taken for this one's.
        let _ = std::fs::remove_file(&file);
        let hz = self.hz.to_string();
        let pid = self.root.to_string();
        let longest = (length.as_secs() + 2).to_string();
        let mut command = [
            self.py_spy.as_str(),
            "record",
            "--subprocesses",
            "--function",
            "--format=raw",
            "--pid",
            &pid,
            "--rate",
            &hz,
            "--duration",
            &longest,
        ]
        .map(str::to_owned)
        .to_vec();
        command.extend(["--output".to_owned(), file.display().to_string()]);
        command.extend(idle.then(|| "--idle".to_owned()));
        let helper = Helper::start(&command).map_err(|error| error.to_string())?;
        let from = span.now();
        let processes = tree(self.root);
        let (mut looks, mut stopped) = (0_u32, 0_u32);
        let sampled = span.wait(length, || {
            looks += 1;
            stopped += u32::from(processes.iter().any(|pid| is_stopped(*pid)));
            !helper.has_ended()
        });
        helper.interrupt();
        let has_ended = helper.ends_within(WRITES_WITHIN);
        let said = helper.said();
        drop(helper);
        let text = std::fs::read_to_string(&file);
        let text = text.ok().filter(|_| has_ended).ok_or_else(|| cause("py-spy", &said))?;
        self.taken += f64::from(self.hz) * sampled.as_secs_f64();
        self.time += sampled.as_secs_f64();
        self.stopped += f64::from(stopped);
        self.looks += f64::from(looks) * f64::from(self.hz);
        self.slow_down();
        let lost = after(&said, "Errors: ").and_then(|number| number.parse().ok());
        Ok(Slice { from, sampled, folded: folded(&text)?, empty: 0, lost })
    }

    /// What is said where the first slice did not come, for `why`.
    fn not_taken(&self, span: &Span, why: String) -> Missing {
        let refused = Some(&why).filter(|why| is_refusal(why)).cloned();
        match refused.or_else(|| self.said_of_one()) {
            Some(why) => missing(why, Some(allow(self.root, yama(), "SYS_PTRACE"))),
            // One that was stopped as it started has nothing to say.
            None if span.left().is_none() => too_short(SamplerKind::PySpy),
            None => missing(why, None),
        }
    }

    /// Why it takes no profile, as it says it of one process. Of a tree into which it may not look it says
    /// that there is no Python in it. `None` where it can look into this one, or none is Python.
    fn said_of_one(&self) -> Option<String> {
        let pid = tree(self.root).into_iter().find(|pid| is_python(*pid))?.to_string();
        let command = [self.py_spy.as_str(), "dump", "--pid", &pid].map(str::to_owned);
        let helper = Helper::start(&command).ok()?;
        helper.ends_within(WRITES_WITHIN);
        let why = cause("py-spy", &helper.said());
        is_refusal(&why).then_some(why)
    }

    /// Takes so few samples from now on that the target is not held up.
    fn slow_down(&mut self) {
        let pause = self.stopped / self.looks.max(1.0);
        // Without a pause, everything is allowed.
        let allowed = STOPPED_AT_MOST / pause;
        self.hz = (allowed.min(f64::from(self.frequency)) as u32).max(1);
    }

    /// Samples a second, on average.
    fn rate(&self) -> f64 {
        if self.time > 0.0 { self.taken / self.time } else { f64::from(self.hz) }
    }

    /// A line where fewer samples were taken than asked for, so as not to hold the target up.
    fn slower(&self) -> Option<String> {
        (self.hz < self.frequency).then(|| {
            format!(
                "py-spy stops the target for each sample, for {:.1} ms on average: {} a second were \
                 taken in the end and not {}, so that it stands still for at most {:.0}% of the time",
                self.stopped / self.looks.max(1.0) * 1e3,
                self.hz,
                self.frequency,
                STOPPED_AT_MOST * 100.0
            )
        })
    }
}

/// The stacks, without the process that py-spy puts first where it follows children.
fn folded(text: &str) -> Result<Folded, String> {
    let read = Folded::parse(text).map_err(|error| format!("py-spy wrote no profile: {error}"))?;
    let mut folded = Folded::default();
    for (stack, times) in read.stacks() {
        let frames = match stack {
            [first, rest @ ..] if first.starts_with("process ") && !rest.is_empty() => rest,
            all => all,
        };
        folded.add(frames.to_vec(), times);
    }
    Ok(folded)
}

/// The word that stands behind `key` in what py-spy said.
fn after<'a>(said: &'a str, key: &str) -> Option<&'a str> {
    said.split(key).nth(1)?.split_whitespace().next()
}

fn missing(why: String, mend: Option<String>) -> Missing {
    Missing { who: Observed::Target, sampler: Some(SamplerKind::PySpy), why, mend }
}
