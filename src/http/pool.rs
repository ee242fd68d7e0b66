//! Connections that are free: of one user, or shared by all.

use std::sync::{Arc, Mutex, PoisonError};

use super::connection::Connection;
use super::target::HttpTarget;
use crate::clock::Clock;

/// Connections to one target. Whoever sends a request takes one, and gives it back.
#[derive(Debug)]
pub struct Pool {
    target: Arc<HttpTarget>,
    clock: Clock,
    free: Mutex<Vec<Connection>>,
}

impl Pool {
    /// A pool without connections; they are opened when they are needed.
    pub fn new(target: Arc<HttpTarget>, clock: Clock) -> Pool {
        Pool { target, clock, free: Mutex::new(Vec::new()) }
    }

    /// The connection that was given back last, or a new one.
    pub async fn take(&self) -> Connection {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| Connection::new(Arc::clone(&self.target), self.clock))
    }

    /// Gives a connection back.
    pub fn give(&self, connection: Connection) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
