//! The ground truth of a service: what it accepted, what it answered, and how long that took.
//!
//! One lock guards all of it, so every snapshot is of one moment. A request takes the lock twice, to
//! be opened and to be closed, each time for a few additions.

mod snapshot;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::Method;

use snapshot::Times;
pub use snapshot::{Figures, Requests, Route, Snapshot, Sockets};

/// The work behind one answer, attached to a response as an extension by the service.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// Items (texts) worked on.
    pub items: u32,
    /// The time drawn from the latency model.
    pub intended: Duration,
    /// The time that the work itself took.
    pub spent: Duration,
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
    intended: Times,
    work: Times,
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
            answered: false,
        }
    }

    /// Opens the entry of a connection.
    pub(crate) fn socket(self: &Arc<Self>) -> Socket {
        self.books().sockets.count();
        Socket { ledger: Arc::clone(self), state: AtomicU8::new(FRESH) }
    }

    /// What the ledger says now.
    pub fn snapshot(&self) -> Snapshot {
        // Quantiles are computed outside the lock: requests wait for the copy only.
        let (elapsed, peak_in_flight, sockets, accounts) = {
            let books = self.books();
            (books.since.elapsed(), books.peak_in_flight, books.sockets, books.routes.clone())
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
            routes: BTreeMap::new(),
        };
        for account in accounts.into_iter().filter(|a| a.requests.accepted > 0) {
            snapshot.requests.accepted += account.requests.accepted;
            snapshot.requests.answered += account.requests.answered;
            snapshot.requests.abandoned += account.requests.abandoned;
            snapshot.requests.in_flight += account.requests.in_flight;
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

impl Sockets {
    fn count(&mut self) {
        self.accepted += 1;
        self.open += 1;
    }

    fn uncount(&mut self) {
        self.accepted -= 1;
        self.open -= 1;
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
            intended: self.intended.figures(),
            work: self.work.figures(),
        }
    }
}

/// The open entry of one request. Dropped without an answer, it counts as abandoned.
#[derive(Debug)]
pub struct Entry {
    ledger: Arc<Ledger>,
    route: usize,
    since: Instant,
    request_body_bytes: u64,
    answered: bool,
}

impl Entry {
    /// The request has been read to its end: its service time begins.
    pub fn complete(&mut self, body_bytes: u64) {
        self.request_body_bytes = body_bytes;
        self.since = Instant::now();
    }

    /// The response is handed to the connection: the service time ends and the entry is closed. A
    /// request that was answered before it was complete is timed from its head.
    pub fn answer(mut self, status: u16, body_bytes: u64, work: Option<Work>) {
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
        }
        self.answered = true;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.answered {
            self.ledger.books().close(self.route).requests.abandoned += 1;
        }
    }
}

/// The open entry of one connection.
///
/// It counts from the moment it is accepted. When its first request turns out to be a control
/// request it is taken out again, until it carries a request that counts.
#[derive(Debug)]
pub(crate) struct Socket {
    ledger: Arc<Ledger>,
    state: AtomicU8,
}

const FRESH: u8 = 0;
const CONTROL: u8 = 1;
const SERVICE: u8 = 2;

impl Socket {
    /// The connection carries a control request.
    pub(crate) fn carries_control(&self) {
        if self.exchange(FRESH, CONTROL) {
            self.ledger.books().sockets.uncount();
        }
    }

    /// The connection carries a request of the service.
    pub(crate) fn carries_service(&self) {
        if !self.exchange(FRESH, SERVICE) && self.exchange(CONTROL, SERVICE) {
            self.ledger.books().sockets.count();
        }
    }

    fn exchange(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if *self.state.get_mut() != CONTROL {
            self.ledger.books().sockets.open -= 1;
        }
    }
}

/// The method's name if HTTP defines it, and `OTHER` else: a client cannot make the ledger grow.
fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|name| *name == method.as_str()).unwrap_or("OTHER")
}
