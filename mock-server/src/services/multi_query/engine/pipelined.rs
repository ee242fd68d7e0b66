//! First come, first served: rows of all requests enter one pipeline in their order, and overlap.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;

use tokio_util::sync::PollSemaphore;

use super::{Batch, JOINED};

/// Rows in the pipeline at a time.
pub(in super::super) const MOST_PENDING: usize = 30;

/// A row is pending from its first query to the end of it and of all rows of the batch before it.
pub(super) async fn run(batch: &mut Batch) {
    let mut pipeline = PollSemaphore::new(Arc::clone(&batch.core.pipeline));
    let mut ready = VecDeque::new();
    // Places in the pipeline, oldest row first; row `left` is the oldest.
    let mut pending = VecDeque::new();
    let mut left = 0;
    loop {
        let next = left + pending.len();
        tokio::select! {
            entered = poll_fn(|context| pipeline.poll_acquire(context)),
                if next < batch.rows.len() && ready.is_empty() =>
            {
                pending.push_back(entered);
                ready.extend(batch.row(next));
            }
            place = batch.places.next(), if !ready.is_empty() => {
                if let Some(position) = ready.pop_front() {
                    batch.dispatch(position, place);
                }
            }
            Some(done) = batch.tasks.join_next() => {
                if batch.collect(done.expect(JOINED)) {
                    while !pending.is_empty() && batch.is_merged(left) {
                        pending.pop_front();
                        left += 1;
                    }
                }
            }
            else => return,
        }
    }
}
