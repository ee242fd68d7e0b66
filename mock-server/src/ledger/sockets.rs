//! Connections in the ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::{Ledger, Sockets};

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

impl Ledger {
    /// Opens the entry of a connection.
    pub(crate) fn socket(self: &Arc<Self>) -> Socket {
        self.books().sockets.count();
        Socket { ledger: Arc::clone(self), state: AtomicU8::new(FRESH) }
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
