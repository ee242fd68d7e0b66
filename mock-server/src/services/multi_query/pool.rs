//! Places for calls in progress: as many as the pool is large, shared by all requests of the service.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, PollSemaphore};

use super::settings::{Execution, MultiQuery};
use crate::pool;

/// The places, and the threads behind them where calls have threads.
pub(super) struct Pool {
    places: Arc<Semaphore>,
    size: usize,
    threads: Option<pool::Pool>,
    busy: Arc<Busy>,
    /// Least time between two dispatches, and when the next may be.
    pace: Duration,
    next_dispatch: Mutex<Instant>,
    /// Cancelled when the service is gone: no thread then waits for an answer any more.
    over: CancellationToken,
}

/// Places in use, now and at most.
#[derive(Debug, Default)]
struct Busy {
    now: AtomicUsize,
    peak: AtomicUsize,
}

/// A place in the pool, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    busy: Arc<Busy>,
    _permit: OwnedSemaphorePermit,
}

/// One after another of the pool's places, in fair turn with all others who wait.
pub(super) struct Places {
    semaphore: PollSemaphore,
    busy: Arc<Busy>,
}

/// The pool does not run anything any more.
#[derive(Debug)]
pub(super) struct Stopped;

impl Pool {
    /// A pool for these settings; it stops when `over` is cancelled.
    ///
    /// # Errors
    /// Its threads cannot be started.
    pub(super) fn new(settings: &MultiQuery, over: CancellationToken) -> io::Result<Pool> {
        let size = NonZeroUsize::new(settings.pool_size).unwrap_or(NonZeroUsize::MIN);
        let threads = match settings.execution {
            Execution::Threads => Some(pool::Pool::start(size)?),
            Execution::Async => None,
        };
        Ok(Pool {
            places: Arc::new(Semaphore::new(size.get())),
            size: size.get(),
            threads,
            busy: Arc::default(),
            pace: Duration::from_millis(settings.min_dispatch_delay_ms),
            next_dispatch: Mutex::new(Instant::now()),
            over,
        })
    }

    /// Places for a batch to come.
    pub(super) fn places(&self) -> Places {
        let semaphore = PollSemaphore::new(Arc::clone(&self.places));
        Places { semaphore, busy: Arc::clone(&self.busy) }
    }

    /// Waits until the least time since the dispatch before is over.
    pub(super) async fn pace(&self) {
        if self.pace.is_zero() {
            return;
        }
        let turn = {
            let mut next = self.next_dispatch.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = (*next).max(Instant::now());
            *next = turn + self.pace;
            turn
        };
        tokio::time::sleep_until(turn).await;
    }

    /// Does `work` in `place`, where the pool's calls are done, and gives the place back.
    ///
    /// Who stops waiting cancels the work, unless it is on a thread: there it is done to its end, and
    /// keeps its place so long.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Stopped> {
        let Some(threads) = &self.threads else {
            let done = work.await;
            drop(place);
            return Ok(done);
        };
        let (runtime, over) = (Handle::current(), self.over.clone());
        let job = move || {
            let done = runtime.block_on(over.run_until_cancelled(work));
            drop(place);
            done
        };
        threads.run(job).await.ok().flatten().ok_or(Stopped)
    }

    /// Number of places.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Places in use now, and the most that were in use together.
    pub(super) fn in_use(&self) -> (usize, usize) {
        (self.busy.now.load(Ordering::Relaxed), self.busy.peak.load(Ordering::Relaxed))
    }

    /// The most places that were in use are those in use now.
    pub(super) fn forget_peak(&self) {
        self.busy.peak.store(self.busy.now.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Places {
    /// The next place; cancelled and called again, it has kept its turn.
    pub(super) async fn next(&mut self) -> Place {
        let permit = std::future::poll_fn(|context| self.semaphore.poll_acquire(context)).await;
        let permit = permit.expect("invariant: the pool's semaphore is never closed");
        let now = self.busy.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.busy.peak.fetch_max(now, Ordering::Relaxed);
        Place { busy: Arc::clone(&self.busy), _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Before the permit is given back, so that no more places than there are seem in use.
        self.busy.now.fetch_sub(1, Ordering::Relaxed);
    }
}
