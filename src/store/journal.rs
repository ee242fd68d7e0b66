//! The journal: an append-only file of checksummed lines, the one record of a run.
//!
//! A line is `CRC32 in hex`, a space, the entry as JSON, a line feed. A process may be killed at
//! any byte: what was written before stays readable, and a torn line at the end is left out.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::error::Error;

use super::entry::{Entry, SCHEMA_VERSION};
use super::run::Run;

/// Name of the journal in a run folder.
pub const FILE_NAME: &str = "journal.log";
/// A longer line is damage; a full interval of a large scenario is some hundred kilobytes.
const MAX_LINE: u64 = 256 << 20;

/// Appends to the journal of a run. Holds the folder's lock as long as it lives.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Creates the journal in a new run folder, and locks it.
    pub fn create(folder: &Path) -> Result<Journal, Error> {
        let path = folder.join(FILE_NAME);
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(Error::storage(format!("cannot create {}", path.display())))?;
        lock(&file, folder)?;
        Ok(Journal { file, path })
    }

    /// Locks the journal of a run that is to go on, and reads it. A torn line at its end is cut off;
    /// the rest stays as it is, byte for byte. Says how long ago it was last written, where the file
    /// system tells.
    pub fn reopen(folder: &Path) -> Result<(Run, Journal, Option<Duration>), Error> {
        let path = folder.join(FILE_NAME);
        let cannot = || Error::storage(format!("cannot open {}", path.display()));
        let options = OpenOptions::new().read(true).append(true).open(&path);
        let file = options.map_err(|error| unreadable(folder, error))?;
        lock(&file, folder)?;
        let written = file.metadata().and_then(|found| found.modified()).ok();
        let away = written.and_then(|moment| moment.elapsed().ok());
        let (run, whole) = read_from(&file, folder)?;
        if run.lost_lines > 1 {
            return Err(Error::BadInput(format!(
                "{} is damaged in the middle: {} lines cannot be read; a run goes on only from whole \
                 records; see `gander report` for what is left of it",
                path.display(),
                run.lost_lines
            )));
        }
        file.set_len(whole).map_err(cannot())?;
        Ok((run, Journal { file, path }, away))
    }

    /// Appends `entry`: after this returns, a killed process does not lose it.
    pub fn append(&mut self, entry: &Entry) -> Result<(), Error> {
        let mut line = Vec::with_capacity(1024);
        line.extend_from_slice(b"00000000 ");
        serde_json::to_writer(&mut line, entry).map_err(|e| {
            Error::storage(format!("cannot write {}", self.path.display()))(e.into())
        })?;
        let checksum = crc32fast::hash(&line[9..]);
        line[..8].copy_from_slice(format!("{checksum:08x}").as_bytes());
        line.push(b'\n');
        self.file
            .write_all(&line)
            .map_err(Error::storage(format!("cannot write {}", self.path.display())))
    }

    /// Waits until all that was appended is on the disk: a crash of the machine does not lose it.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.file
            .sync_data()
            .map_err(Error::storage(format!("cannot write {}", self.path.display())))
    }
}

/// A file system without locks must not keep anyone from measuring.
fn lock(file: &File, folder: &Path) -> Result<(), Error> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) | Err(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(being_written(folder)),
        Err(e) => Err(Error::storage(format!("cannot lock {}", folder.display()))(e.into())),
    }
}

fn being_written(folder: &Path) -> Error {
    Error::BadInput(format!(
        "{} is being written by a running gander; try again when that run has ended",
        folder.display()
    ))
}

fn unreadable(folder: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::NotFound => Error::BadInput(format!(
            "{} is not a run folder: it has no {FILE_NAME}; run folders lie below reports/",
            folder.display()
        )),
        _ => Error::storage(format!("cannot read {}", folder.join(FILE_NAME).display()))(error),
    }
}

/// Reads the journal of `folder`. A torn or damaged end is left out and counted.
pub fn read(folder: &Path) -> Result<Run, Error> {
    let file = File::open(folder.join(FILE_NAME)).map_err(|error| unreadable(folder, error))?;
    refuse_if_being_written(&file, folder)?;
    read_from(&file, folder).map(|(run, _)| run)
}

/// The run, and how many bytes of the file are whole lines of it.
fn read_from(file: &File, folder: &Path) -> Result<(Run, u64), Error> {
    let path = folder.join(FILE_NAME);
    let mut lines = Lines { reader: BufReader::new(file), whole: 0 };
    let start = match lines.next_entry() {
        Some(Ok(Entry::Start(start))) => *start,
        _ => return Err(damaged_start(&path)),
    };
    if start.schema_version > SCHEMA_VERSION {
        return Err(Error::BadInput(format!(
            "{} was written by gander {} in form {}; this gander reads forms up to {SCHEMA_VERSION}: \
             use that version or a later one",
            folder.display(),
            start.environment.gander_version,
            start.schema_version
        )));
    }
    let mut run = Run {
        start,
        intervals: Vec::new(),
        resources: Vec::new(),
        scraped: Vec::new(),
        events: Vec::new(),
        resumed: Vec::new(),
        settled: None,
        end: None,
        lost_lines: 0,
    };
    while let Some(entry) = lines.next_entry() {
        match entry {
            Ok(entry) => add(&mut run, entry),
            Err(Torn) => {
                run.lost_lines = 1 + lines.count_rest();
                break;
            }
        }
    }
    Ok((run, lines.whole))
}

fn refuse_if_being_written(file: &File, folder: &Path) -> Result<(), Error> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => Err(being_written(folder)),
        // A file system without locks must not keep anyone from reading.
        _ => Ok(()),
    }
}

fn damaged_start(path: &Path) -> Error {
    Error::BadInput(format!(
        "{} does not begin with a readable start entry: the file is damaged or is not a journal of \
         gander; nothing can be recovered from it",
        path.display()
    ))
}

fn add(run: &mut Run, entry: Entry) {
    match entry {
        // Only the first line is a start; a second one cannot be written.
        Entry::Start(_) => {}
        Entry::Interval(interval) => run.intervals.push(*interval),
        Entry::Resource(sample) => run.resources.push(*sample),
        Entry::Scraped(look) => run.scraped.push(look),
        Entry::Event(event) => run.events.push(event),
        Entry::Resumed(resumed) => {
            run.end = None;
            run.settled = None;
            run.resumed.push(resumed);
        }
        Entry::Settled(settled) => run.settled = Some(settled),
        Entry::End(end) => run.end = Some(end),
    }
}

/// A line whose checksum or form is wrong.
struct Torn;

struct Lines<'a> {
    reader: BufReader<&'a File>,
    /// Bytes of the whole lines so far.
    whole: u64,
}

impl Lines<'_> {
    fn next_entry(&mut self) -> Option<Result<Entry, Torn>> {
        let mut line = Vec::new();
        match self.reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(bytes) => {
                let entry = parse(&line).ok_or(Torn);
                self.whole += if entry.is_ok() { bytes as u64 } else { 0 };
                Some(entry)
            }
            Err(_) => Some(Err(Torn)),
        }
    }

    fn count_rest(&mut self) -> usize {
        self.reader.by_ref().split(b'\n').count()
    }
}

fn parse(line: &[u8]) -> Option<Entry> {
    let line = line.strip_suffix(b"\n")?;
    let (checksum, json) = line.split_at_checked(9)?;
    let expected =
        u32::from_str_radix(std::str::from_utf8(checksum).ok()?.strip_suffix(' ')?, 16).ok()?;
    (crc32fast::hash(json) == expected).then(|| serde_json::from_slice(json).ok())?
}
