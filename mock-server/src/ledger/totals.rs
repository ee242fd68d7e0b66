//! The few counts that somebody who watches a service wants to see again and again.

use super::{Ledger, Requests};

/// Counts at one moment, without any distribution, so that reading them holds no request up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Requests of all routes.
    pub requests: Requests,
    /// Answers with a status from 400 to 499.
    pub client_errors: u64,
    /// Answers with a status from 500 on.
    pub server_errors: u64,
    /// Faults injected.
    pub faults: u64,
    /// Connections open now.
    pub open_sockets: u64,
    /// Calls begun to the service behind this one.
    pub upstream_calls: u64,
}

impl Ledger {
    /// The counts now.
    pub(crate) fn totals(&self) -> Totals {
        let books = self.books();
        let mut totals = Totals {
            open_sockets: books.sockets.open,
            upstream_calls: books.upstream.begun(),
            ..Totals::default()
        };
        for account in &books.routes {
            totals.requests += account.requests;
            totals.faults += account.faults.values().sum::<u64>();
            for (status, times) in &account.statuses {
                match status {
                    400..=499 => totals.client_errors += times.count(),
                    500.. => totals.server_errors += times.count(),
                    _ => {}
                }
            }
        }
        totals
    }
}
