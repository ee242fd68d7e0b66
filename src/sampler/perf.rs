//! perf, for native code: the whole process tree, user and kernel, by the processor's clock.

use std::ffi::OsStr;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inferno::collapse::Collapse as _;
use inferno::collapse::perf::Folder;

use crate::measure::resource::Observed;
use crate::measure::sample::Offset;
use crate::observe::resources::tree;
use crate::profile::{Counts, Folded, Missing, Profiles, SamplerKind};
use crate::target::helper::Helper;

use super::growing::{Growing, Slice, not_begun, too_short};
use super::process::program;
use super::refused::{allow, cause, is_refusal, was_too_slow};
use super::span::Span;

/// More samples than this without a stack, or this share without a caller, and frame pointers are not
/// what this program has.
const EMPTY_AT_MOST: f64 = 0.1;
const ALONE_AT_MOST: f64 = 0.5;
/// Samples from which that can be told.
const ENOUGH: u64 = 20;
/// Length of slices while it is not known how stacks are found, and afterwards. Each begins with the
/// processes that there are then.
const FIRST_SLICE: Duration = Duration::from_secs(1);
const SLICE: Duration = Duration::from_secs(10);
/// What perf says of a sample. Not how long it stands for: each counts as one.
const FIELDS: &str = "comm,pid,tid,time,event,ip,sym,dso";
/// Has perf write its text to a file, which is there once it is whole.
const SCRIPT: &str = r#""$0" script --no-inline -F "$1" -i "$2" >"$3.part" && mv "$3.part" "$3""#;
/// Bytes of recordings that wait for the run's end; beyond, names are looked up while it goes on.
const MOST_WAITING: u64 = 256 << 20;
/// How long perf may take to write what it has.
const WRITES_WITHIN: Duration = Duration::from_secs(10);

/// How callers are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stacks {
    /// By frame pointers.
    Pointers,
    /// By a copy of the stack, and the program's own unwind tables.
    Dwarf,
}

/// Samples the processes below `root` while `span` lasts.
pub fn sample(span: &Span, root: u32, frequency: u32) -> Profiles {
    let mut profiles = Profiles::default();
    let Some(perf) = program("perf") else {
        let mend = "sudo apt install linux-perf (Ubuntu: linux-tools-generic)".to_owned();
        profiles.missing.push(missing("perf is not installed".to_owned(), Some(mend)));
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
        profiles.missing.push(not_begun(Observed::Target, SamplerKind::Perf));
        return profiles;
    }
    let recording = Recording { perf: &perf, root, folder: folder.path(), frequency };
    match recording.all(span) {
        Ok(growing) => profiles.taken.extend(growing.finish()),
        Err(why) if is_refusal(&why) => {
            let mend = allow(root, Some("kernel.perf_event_paranoid=1"), "PERFMON");
            profiles.missing.push(missing(why, Some(mend)));
        }
        // One that was stopped as it started has nothing to say.
        Err(_) if span.left().is_none() => {}
        Err(why) => profiles.missing.push(missing(why, None)),
    }
    if profiles.taken.is_empty() && profiles.missing.is_empty() {
        profiles.missing.push(too_short(SamplerKind::Perf));
    }
    profiles
}

/// What perf recorded, and whose names are not looked up yet.
struct Recorded {
    file: PathBuf,
    from: Offset,
    sampled: Duration,
}

/// How perf is called.
struct Recording<'a> {
    perf: &'a str,
    root: u32,
    folder: &'a Path,
    frequency: u32,
}

impl Recording<'_> {
    /// Samples while `span` lasts. An error is why there is nothing at all.
    fn all(&self, span: &Span) -> Result<Growing, String> {
        let fresh =
            || Growing::new(Observed::Target, Counts::Cpu, SamplerKind::Perf, self.frequency);
        let mut growing = fresh();
        let mut stacks = Stacks::Pointers;
        // Until it is known how stacks are found, they are looked at as they come.
        let (mut seen, mut alone, mut length) = (0, 0, FIRST_SLICE);
        while seen < ENOUGH
            && let Some(left) = span.left()
        {
            let recorded = self.record(span, left.min(length), stacks);
            let slice = match recorded.and_then(|recorded| self.read(&recorded)) {
                Ok(slice) => slice,
                Err(why) if was_too_slow(&why) => {
                    length *= 2;
                    continue;
                }
                Err(why) if seen == 0 => return Err(why),
                Err(why) => {
                    broke_off(&mut growing, span, &why);
                    break;
                }
            };
            seen += slice.folded.total() + slice.empty;
            alone += callerless(&slice.folded);
            growing.add(slice);
        }
        let is_alone = alone as f64 > ALONE_AT_MOST * seen as f64;
        if is_alone || growing.empty_share() > EMPTY_AT_MOST {
            // What was seen so far knows no callers.
            (growing, stacks) = (fresh(), Stacks::Dwarf);
            let note = "the target is built without frame pointers: stacks were unwound by its own \
                        tables, which costs more";
            growing.note(note.to_owned());
        }
        let mut waiting = Vec::new();
        while let Some(left) = span.left() {
            match self.record(span, left.min(SLICE), stacks) {
                Ok(recorded) => waiting.push(recorded),
                Err(why) if was_too_slow(&why) => {}
                Err(why) => {
                    broke_off(&mut growing, span, &why);
                    break;
                }
            }
            if bytes(&waiting) > MOST_WAITING {
                self.read_all(&mut waiting, &mut growing);
            }
        }
        self.read_all(&mut waiting, &mut growing);
        Ok(growing)
    }

    /// Looks the names of all that waits up. What cannot be read is said, and the rest is kept.
    fn read_all(&self, waiting: &mut Vec<Recorded>, growing: &mut Growing) {
        for recorded in waiting.drain(..) {
            match self.read(&recorded) {
                Ok(slice) => growing.add(slice),
                Err(why) => growing.note(format!("a part of it is missing: {why}")),
            }
        }
    }

    fn record(&self, span: &Span, length: Duration, stacks: Stacks) -> Result<Recorded, String> {
        let file = self.folder.join(format!("{}.data", span.now().0));
        let name = file.display().to_string();
        let processes: Vec<String> = tree(self.root).iter().map(u32::to_string).collect();
        let frequency = self.frequency.to_string();
        let stacks = match stacks {
            Stacks::Pointers => "--call-graph=fp",
            Stacks::Dwarf => "--call-graph=dwarf",
        };
        let processes = processes.join(",");
        let command = [
            self.perf,
            "record",
            "-e",
            "cpu-clock",
            "-F",
            &frequency,
            stacks,
            "-p",
            &processes,
            "-o",
            &name,
        ];
        let helper = Helper::start(&command.map(str::to_owned)).map_err(|e| e.to_string())?;
        let from = span.now();
        let sampled = span.wait(length, || !helper.has_ended());
        helper.interrupt();
        let is_whole = helper.ends_within(WRITES_WITHIN) && file.is_file();
        let said = helper.said();
        // One that was stopped as it started leaves a file that is none.
        if !is_whole || !said.contains("Captured and wrote") {
            return Err(cause("perf", &said));
        }
        Ok(Recorded { file, from, sampled })
    }

    /// Looks the names up.
    fn read(&self, recorded: &Recorded) -> Result<Slice, String> {
        let script = self.script(&recorded.file)?;
        let (folded, empty) = folded(&script)?;
        // It is in a folder that goes soon; this only keeps that small.
        let _ = std::fs::remove_file(&recorded.file);
        let Recorded { from, sampled, .. } = *recorded;
        Ok(Slice { from, sampled, folded, empty, lost: None })
    }

    /// What perf recorded, as text. Inlined calls are left out: to find them takes perf minutes.
    fn script(&self, file: &Path) -> Result<Vec<u8>, String> {
        let text = file.with_extension("txt");
        let words = ["sh", "-c", SCRIPT, self.perf, FIELDS].map(OsStr::new);
        let words = words.into_iter().chain([file.as_os_str(), text.as_os_str()]);
        let command: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let helper = Helper::start(&command).map_err(|e| e.to_string())?;
        // However long it takes: it ends.
        while !helper.ends_within(WRITES_WITHIN) {}
        let script = std::fs::read(&text).map_err(|_| cause("perf", &helper.said()));
        let _ = std::fs::remove_file(&text);
        script
    }
}

/// A sampler that did not get to its end: a word on it, unless the run's own end stopped it.
fn broke_off(growing: &mut Growing, span: &Span, why: &str) {
    if span.left().is_some() {
        growing.note(format!("it broke off: {why}"));
    }
}

/// Samples of one frame.
fn callerless(folded: &Folded) -> u64 {
    folded.stacks().filter(|(stack, _)| stack.len() == 1).map(|(_, times)| times).sum()
}

/// How much waits for its names.
fn bytes(waiting: &[Recorded]) -> u64 {
    waiting.iter().filter_map(|one| one.file.metadata().ok()).map(|file| file.len()).sum()
}

/// The stacks, and the number of samples without one, which inferno leaves out.
fn folded(script: &[u8]) -> Result<(Folded, u64), String> {
    let failed = |error: &dyn std::fmt::Display| format!("what perf wrote cannot be read: {error}");
    let empty = empty_samples(&String::from_utf8_lossy(script));
    if script.is_empty() {
        return Ok((Folded::default(), 0));
    }
    let mut text = Vec::new();
    Folder::default().collapse(Cursor::new(script), &mut text).map_err(|e| failed(&e))?;
    let read = Folded::parse(&String::from_utf8_lossy(&text)).map_err(|e| failed(&e))?;
    let mut folded = Folded::default();
    for (stack, times) in read.stacks() {
        // The name of the thread comes first; it is no function.
        folded.add(stack.get(1..).unwrap_or_default().to_vec(), times);
    }
    Ok((folded, empty))
}

/// Samples without a frame: a line for the sample, and none for frames after it, which are indented.
fn empty_samples(script: &str) -> u64 {
    let mut lines = script.lines().filter(|line| !line.starts_with('#')).peekable();
    let mut empty = 0;
    while let Some(line) = lines.next() {
        let is_sample = !line.is_empty() && !line.starts_with('\t');
        let has_frame = lines.peek().is_some_and(|next| next.starts_with('\t'));
        empty += u64::from(is_sample && !has_frame);
    }
    empty
}

fn missing(why: String, mend: Option<String>) -> Missing {
    Missing { who: Observed::Target, sampler: Some(SamplerKind::Perf), why, mend }
}
