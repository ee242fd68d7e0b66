//! The ground truth of a service: what it accepted, what it answered, and how long that took.
//!
//! One lock guards all of it, so every snapshot is of one moment. A request takes the lock twice, to
//! be opened and to be closed, each time for a few additions.

pub(crate) mod metrics;
mod snapshot;
mod sockets;
mod streams;
pub(crate) mod totals;
mod upstream;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::Method;

pub(crate) use snapshot::Times;
pub use snapshot::{Figures, Requests, Route, Snapshot, Sockets, Streams, Tokens, UpstreamCalls};
pub(crate) use sockets::Socket;
pub(crate) use streams::StreamTimes;
pub(crate) use upstream::CallOutcome;

/// The work behind one answer, attached to a response as an extension by the service.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Items (texts, rows, snapshots) worked on.
    pub items: u32,
    /// The time drawn from the latency model.
    pub intended: Duration,
    /// The time that the work itself took; of a stream, until its head was ready.
    pub spent: Duration,
    /// Tokens, as the answer's usage states them.
    pub tokens: Tokens,
}

/// The ledger of one running service.
#[derive(Debug)]
pub struct Ledger {
    service: &'static str,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    since: Instant,
    in_flight: u64,
    peak_in_flight: u64,
    sockets: Sockets,
    /// Few enough that a scan is the fastest search; an index stays valid for ever.
    routes: Vec<Account>,
    /// What the service counts of its own work, by name.
    counters: Vec<(&'static str, u64)>,
    upstream: upstream::Books,
}

/// One method of one route.
#[derive(Debug, Clone, Default)]
struct Account {
    method: &'static str,
    path: String,
    requests: Requests,
    items: u64,
    request_body_bytes: u64,
    response_body_bytes: u64,
    statuses: BTreeMap<u16, Times>,
    faults: BTreeMap<String, u64>,
    intended: Times,
    work: Times,
    tokens: Tokens,
    streams: streams::Books,
}

impl Ledger {
    /// An empty ledger of the service with this name.
    pub fn new(service: &'static str) -> Arc<Ledger> {
        let books = Mutex::new(Books {
            since: Instant::now(),
            in_flight: 0,
            peak_in_flight: 0,
            sockets: Sockets::default(),
            routes: Vec::new(),
            counters: Vec::new(),
            upstream: upstream::Books::default(),
        });
        Arc::new(Ledger { service, books })
    }

    /// Opens the entry of a request whose head has been read. `path` is the route's pattern, never
    /// what a client wrote, so that the ledger stays small.
    pub fn accept(self: &Arc<Self>, method: &Method, path: &str) -> Entry {
        let method = known(method);
        let mut books = self.books();
        let found = books.routes.iter().position(|r| r.path == path && r.method == method);
        let route = found.unwrap_or_else(|| {
            books.routes.push(Account { method, path: path.to_owned(), ..Account::default() });
            books.routes.len() - 1
        });
        books.open(route);
        drop(books);
        Entry {
            ledger: Arc::clone(self),
            route,
            since: Instant::now(),
            request_body_bytes: 0,
            fault: None,
            stream: None,
            end: End::Abandoned,
        }
    }

    /// Adds to what the service counts of its own work, by name.
    pub(crate) fn count(&self, counts: &[(&'static str, u64)]) {
        let mut books = self.books();
        for (name, n) in counts {
            match books.counters.iter_mut().find(|(known, _)| known == name) {
                Some((_, counter)) => *counter += n,
                None => books.counters.push((name, *n)),
            }
        }
    }

    /// Requests in flight now.
    pub(crate) fn in_flight(&self) -> u64 {
        self.books().in_flight
    }

    /// What the ledger says now.
    pub fn snapshot(&self) -> Snapshot {
        // Quantiles are computed outside the lock: requests wait for the copy only.
        let (elapsed, peak_in_flight, sockets, accounts, counters, upstream) = {
            let books = self.books();
            let (routes, counters) = (books.routes.clone(), books.counters.clone());
            let (elapsed, upstream) = (books.since.elapsed(), books.upstream.clone());
            (elapsed, books.peak_in_flight, books.sockets, routes, counters, upstream)
        };
        let mut snapshot = Snapshot {
            service: self.service.to_owned(),
            elapsed_s: elapsed.as_secs_f64(),
            requests: Requests::default(),
            peak_in_flight,
            items: 0,
            request_body_bytes: 0,
            response_body_bytes: 0,
            sockets,
            faults: BTreeMap::new(),
            tokens: Tokens::default(),
            counters: counters.into_iter().map(|(name, n)| (name.to_owned(), n)).collect(),
            upstream: upstream.calls(),
            routes: BTreeMap::new(),
        };
        for account in accounts.into_iter().filter(|a| a.requests.accepted > 0) {
            snapshot.requests += account.requests;
            snapshot.tokens += account.tokens;
            for (kind, count) in &account.faults {
                *snapshot.faults.entry(kind.clone()).or_default() += count;
            }
            snapshot.items += account.items;
            snapshot.request_body_bytes += account.request_body_bytes;
            snapshot.response_body_bytes += account.response_body_bytes;
            let name = format!("{} {}", account.method, account.path);
            snapshot.routes.insert(name, account.into_route());
        }
        snapshot
    }

    /// Forgets all that has ended. Requests in flight and open connections stay: they count as
    /// accepted after the reset, so that every identity of [`Snapshot`] still holds.
    pub fn reset(&self) {
        let mut books = self.books();
        books.since = Instant::now();
        books.peak_in_flight = books.in_flight;
        books.sockets.accepted = books.sockets.open;
        books.counters.clear();
        books.upstream.reset();
        for account in &mut books.routes {
            let in_flight = account.requests.in_flight;
            *account = Account {
                method: account.method,
                path: std::mem::take(&mut account.path),
                requests: Requests { accepted: in_flight, in_flight, ..Requests::default() },
                ..Account::default()
            };
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // A panic elsewhere leaves complete books: no change spans more than one lock.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn open(&mut self, route: usize) {
        let requests = &mut self.routes[route].requests;
        requests.accepted += 1;
        requests.in_flight += 1;
        self.in_flight += 1;
        self.peak_in_flight = self.peak_in_flight.max(self.in_flight);
    }

    fn close(&mut self, route: usize) -> &mut Account {
        self.in_flight -= 1;
        let account = &mut self.routes[route];
        account.requests.in_flight -= 1;
        account
    }
}

impl Account {
    fn into_route(self) -> Route {
        Route {
            requests: self.requests,
            items: self.items,
            request_body_bytes: self.request_body_bytes,
            response_body_bytes: self.response_body_bytes,
            statuses: self.statuses.iter().map(|(status, t)| (*status, t.figures())).collect(),
            faults: self.faults,
            intended: self.intended.figures(),
            work: self.work.figures(),
            tokens: self.tokens,
            streams: self.streams.figures(),
        }
    }
}

/// The open entry of one request. Dropped without an answer, it counts as abandoned, or as broken
/// off where a fault was to cut the answer short.
#[derive(Debug)]
pub struct Entry {
    ledger: Arc<Ledger>,
    route: usize,
    since: Instant,
    request_body_bytes: u64,
    fault: Option<String>,
    stream: Option<StreamTimes>,
    end: End,
}

/// How an entry ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Answered,
    Broken,
    Abandoned,
}

impl Entry {
    /// The request has been read to its end: its service time begins.
    pub fn complete(&mut self, body_bytes: u64) {
        self.request_body_bytes = body_bytes;
        self.since = Instant::now();
    }

    /// A fault of this kind was injected.
    pub(crate) fn fault(&mut self, kind: String) {
        self.fault = Some(kind);
    }

    /// The answer is a stream with these times; its entry is closed when the stream ends.
    pub(crate) fn stream(&mut self, times: StreamTimes) {
        self.stream = Some(times);
    }

    /// A fault cuts the answer short: whatever the client does, it gets no whole one.
    pub(crate) fn break_off(&mut self) {
        self.end = End::Broken;
    }

    /// The response is handed to the connection: the service time ends and the entry is closed. A
    /// request that was answered before it was complete is timed from its head.
    pub fn answer(mut self, status: u16, body_bytes: u64, work: Option<Work>) {
        self.end = End::Answered;
        let took = self.since.elapsed();
        let mut books = self.ledger.books();
        let account = books.close(self.route);
        account.requests.answered += 1;
        account.request_body_bytes += self.request_body_bytes;
        account.response_body_bytes += body_bytes;
        account.statuses.entry(status).or_default().record(took);
        if let Some(work) = work {
            account.items += u64::from(work.items);
            account.intended.record(work.intended);
            account.work.record(work.spent);
            account.tokens += work.tokens;
        }
        account.note(self.fault.take(), self.stream.take());
    }
}

impl Account {
    fn note(&mut self, fault: Option<String>, stream: Option<StreamTimes>) {
        if let Some(kind) = fault {
            *self.faults.entry(kind).or_default() += 1;
        }
        if let Some(times) = stream {
            self.streams.record(&times);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.end == End::Answered {
            return;
        }
        let mut books = self.ledger.books();
        let account = books.close(self.route);
        match self.end {
            End::Broken => account.requests.broken += 1,
            _ => account.requests.abandoned += 1,
        }
        account.note(self.fault.take(), self.stream.take());
    }
}

/// The method's name if HTTP defines it, and `OTHER` else: a client cannot make the ledger grow.
fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|name| *name == method.as_str()).unwrap_or("OTHER")
}
