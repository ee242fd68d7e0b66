//! What a service does not give back: memory, sockets, files and threads that are really held, so
//! that whoever looks for leaks has some to find. The ledger counts them.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::ledger::Ledger;

/// What is leaked as requests come that do the service's work. 0 is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Leaks {
    /// Memory that is leaked a minute, bytes: what is due since the request before.
    pub memory_per_minute: u64,
    /// Memory that each request leaks, bytes.
    pub memory_per_request: u64,
    /// Every so many requests one leaves a connection open whose other side has closed it.
    pub sockets_every: u64,
    /// Every so many requests one leaves a file open.
    pub files_every: u64,
    /// Every so many requests one leaves a thread waiting.
    pub threads_every: u64,
    /// Size of a cache, bytes, that fills by as much a request as `cache_per_request` says, and then
    /// grows no more: no leak.
    pub cache: u64,
    /// Memory that each request adds to the cache, bytes.
    pub cache_per_request: u64,
    /// Size of garbage, bytes, at which it is collected, all of it at once: no leak.
    pub garbage: u64,
    /// Memory that each request adds to the garbage, bytes.
    pub garbage_per_request: u64,
}

/// Below this a freed block may stay with the process: glibc gives larger ones back to the system.
const GIVEN_BACK: usize = 33 << 20;

/// What a running service holds.
#[derive(Debug)]
pub(crate) struct Leaking {
    leaks: Leaks,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    requests: u64,
    since: Option<Instant>,
    /// Of what is leaked by the minute.
    by_time: u64,
    memory: Vec<Vec<u8>>,
    cache: Vec<u8>,
    garbage: Vec<u8>,
    sockets: Vec<TcpStream>,
    files: Vec<File>,
    threads: Vec<(Sender<()>, JoinHandle<()>)>,
}

impl Leaking {
    /// A service that holds nothing yet.
    pub(crate) fn new(leaks: Leaks) -> Leaking {
        Leaking { leaks, held: Mutex::default() }
    }

    /// A request has come. What cannot be leaked any more, for the system gives no more of it, is
    /// not counted.
    pub(crate) fn request(&self, ledger: &Ledger) {
        let leaks = self.leaks;
        if leaks == Leaks::default() {
            return;
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.requests += 1;
        let is_due = |every: u64| every > 0 && held.requests.is_multiple_of(every);
        let [socket, file, thread] =
            [leaks.sockets_every, leaks.files_every, leaks.threads_every].map(is_due);
        let due = held.due(leaks);
        held.by_time += due;
        let bytes = held.leak_memory(leaks.memory_per_request + due);
        let cached = fill(&mut held.cache, leaks.cache, leaks.cache_per_request);
        let garbage = fill(&mut held.garbage, leaks.garbage, leaks.garbage_per_request);
        let mut counts = vec![("leaked_bytes", bytes), ("cached_bytes", cached)];
        counts.push(("garbage_bytes", garbage));
        if leaks.garbage > 0 && held.garbage.len() as u64 >= leaks.garbage {
            counts.push(("collected_bytes", std::mem::take(&mut held.garbage).len() as u64));
        }
        counts.push(("leaked_sockets", u64::from(socket && held.leak_socket().is_ok())));
        counts.push(("leaked_files", u64::from(file && held.leak_file().is_ok())));
        counts.push(("leaked_threads", u64::from(thread && held.leak_thread().is_ok())));
        drop(held);
        counts.retain(|(_, count)| *count > 0);
        ledger.count(&counts);
    }
}

impl Held {
    /// Bytes that are to be leaked by now, less what was.
    fn due(&mut self, leaks: Leaks) -> u64 {
        let minutes = self.since.get_or_insert_with(Instant::now).elapsed().as_secs_f64() / 60.0;
        ((leaks.memory_per_minute as f64 * minutes) as u64).saturating_sub(self.by_time)
    }

    /// Writes to every byte: memory that is never touched is none.
    fn leak_memory(&mut self, bytes: u64) -> u64 {
        if bytes > 0 {
            self.memory.push(vec![1; bytes as usize]);
        }
        bytes
    }

    fn leak_socket(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let socket = TcpStream::connect(listener.local_addr()?)?;
        // Its other side closes: ours waits to be closed for ever.
        drop(listener.accept()?);
        self.sockets.push(socket);
        Ok(())
    }

    fn leak_file(&mut self) -> io::Result<()> {
        self.files.push(File::open(std::env::current_exe()?)?);
        Ok(())
    }

    fn leak_thread(&mut self) -> io::Result<()> {
        let (hold, held) = channel();
        // It ends when the service drops its end of the channel.
        let thread = std::thread::Builder::new().name("leaked".to_owned());
        let thread = thread.spawn(move || held.recv().unwrap_or(()))?;
        self.threads.push((hold, thread));
        Ok(())
    }
}

/// Grows `block` by `more` bytes up to `most`; says by how many.
fn fill(block: &mut Vec<u8>, most: u64, more: u64) -> u64 {
    let (most, before) = (most as usize, block.len());
    if before < most {
        if block.capacity() == 0 {
            block.reserve_exact(most.max(GIVEN_BACK));
        }
        block.resize(most.min(before + more as usize), 1);
    }
    (block.len() - before) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(leaks: Leaks, requests: u64) -> Vec<(String, u64)> {
        let ledger = Ledger::new("inference");
        let leaking = Leaking::new(leaks);
        (0..requests).for_each(|_| leaking.request(&ledger));
        ledger.snapshot().counters.into_iter().collect()
    }

    #[test]
    fn the_ledger_counts_what_is_held() {
        let leaks = Leaks {
            memory_per_request: 1_000,
            sockets_every: 4,
            files_every: 5,
            threads_every: 10,
            cache: 2_500,
            cache_per_request: 1_000,
            garbage: 3_000,
            garbage_per_request: 1_000,
            ..Leaks::default()
        };
        let expected = [
            ("cached_bytes", 2_500),
            ("collected_bytes", 6_000),
            ("garbage_bytes", 8_000),
            ("leaked_bytes", 8_000),
            ("leaked_files", 1),
            ("leaked_sockets", 2),
        ];
        assert_eq!(counters(leaks, 8), expected.map(|(name, n)| (name.to_owned(), n)));
        let threads = Leaks { threads_every: 2, ..Leaks::default() };
        assert_eq!(counters(threads, 5), [("leaked_threads".to_owned(), 2)]);
        assert_eq!(counters(Leaks::default(), 5), []);
    }

    #[test]
    fn memory_by_the_minute_is_what_is_due() {
        let mut held = Held { since: Instant::now().checked_sub(MINUTE), ..Held::default() };
        let leaks = Leaks { memory_per_minute: 1_000_000, ..Leaks::default() };
        let due = held.due(leaks);
        assert!(due >= 1_000_000, "{due}");
        held.by_time = due;
        assert!(held.due(leaks) < due);
    }

    const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);
}
