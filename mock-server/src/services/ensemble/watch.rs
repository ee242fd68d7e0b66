//! Who is told of the progress of a request.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use super::monitoring::Monitor;
use super::stream::Event;

/// Who is told of the progress of a request.
#[derive(Debug)]
pub(super) struct Watch {
    /// Gets the time of every component.
    pub monitor: Arc<Monitor>,
    /// Gets every event, where the answer is a stream.
    pub events: Option<UnboundedSender<Event>>,
}

impl Watch {
    /// Passes an event on, where somebody reads them.
    pub(super) fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(events) = &self.events {
            // The reader lives as long as the work on the answer: it drives it.
            let _ = events.send(event());
        }
    }
}
