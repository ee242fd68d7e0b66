//! Threads that do the work of requests, first come, first served.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The pool no longer takes work, because the service is shutting down.
#[derive(Debug)]
pub(crate) struct Stopped;

/// Worker threads with one queue. A job that is queued is done even when nobody waits for its result
/// any more, as a model call goes on after its client has left. When the pool is dropped, workers end
/// after the job they are at.
pub(crate) struct Pool {
    queue: Sender<Job>,
    stopping: Arc<AtomicBool>,
}

impl Pool {
    /// Starts `workers` threads.
    pub(crate) fn start(workers: NonZeroUsize) -> io::Result<Pool> {
        let (queue, jobs) = mpsc::channel();
        let jobs = Arc::new(Mutex::new(jobs));
        let stopping = Arc::new(AtomicBool::new(false));
        for number in 0..workers.get() {
            let (jobs, stopping) = (Arc::clone(&jobs), Arc::clone(&stopping));
            thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || work(&jobs, &stopping))?;
        }
        Ok(Pool { queue, stopping })
    }

    /// Queues `job` behind all that were queued before, and waits for its result.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        self.submit(move |reply| {
            // Nobody waits if the client has left: the work is done all the same.
            let _ = reply.send(job());
        })
        .await
    }

    /// As [`run`](Self::run), but the worker takes no other job before the [`Turn`] is dropped.
    pub(crate) async fn run_in_turn<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, Turn), Stopped> {
        let (turn, over) = mpsc::channel();
        self.submit(move |reply| {
            // If nobody waits, the turn comes back with the error and is over.
            let _ = reply.send((job(), Turn(turn)));
            let _ = over.recv();
        })
        .await
    }

    async fn submit<T: Send + 'static>(
        &self,
        job: impl FnOnce(oneshot::Sender<T>) + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, result) = oneshot::channel();
        self.queue.send(Box::new(move || job(reply))).map_err(|_| Stopped)?;
        result.await.map_err(|_| Stopped)
    }
}

/// Keeps a worker waiting until it, and every clone of it, is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Turn(#[expect(dead_code, reason = "only its drop is heard")] Sender<()>);

impl Drop for Pool {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, stopping: &AtomicBool) {
    loop {
        // The lock is held while waiting for a job, and released before the job is done.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) if !stopping.load(Ordering::Relaxed) => job(),
            _ => return,
        }
    }
}
