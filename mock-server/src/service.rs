//! What a service is to the rest: its routes, which of them do its work, and how it says no.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use tokio_util::sync::CancellationToken;

use crate::conditions::Conditions;
use crate::ledger::Ledger;

/// What a service is given when it is made.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub ledger: Arc<Ledger>,
    pub conditions: Arc<Conditions>,
    /// Cancelled when the service is to end: tasks of its own end with it.
    pub shutdown: CancellationToken,
}

impl Refusal {
    /// An error with this status and nothing special about it.
    pub(crate) fn new(route: &str, status: StatusCode) -> Refusal {
        let route = route.to_owned();
        Refusal { route, status, by_content_filter: false, is_unloaded: false, retry_after: None }
    }
}

/// Says in the headers of an error when to come again: in whole seconds by the standard, and beside
/// them in milliseconds, which the clients of chat services read first. Both are rounded up.
pub(crate) fn come_again(headers: &mut HeaderMap, after: Duration) {
    let ms = u64::try_from(after.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
    headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000)));
    headers.insert("retry-after-ms", HeaderValue::from(ms));
}

/// What a service attaches to an answer that a fault of its own kind has changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Struck;

/// Lets a service forget what it has counted.
pub(crate) type Forget = Arc<dyn Fn() + Send + Sync>;

/// A service as it is served.
pub(crate) struct Service {
    pub router: Router,
    /// Patterns of the routes that do the service's work. Their requests are numbered and carry an
    /// [`Arrival`](crate::conditions::Arrival) as an extension; faults strike them alone.
    pub work: &'static [&'static str],
    /// How an error looks in the service's own form. `Retry-After` is set by the caller.
    pub refuse: fn(&Refusal) -> Response,
    /// Fields of an answer without which it is of no use: a fault may leave them out.
    pub essential: &'static [&'static str],
    /// What the service counts beside the ledger begins anew when the ledger does.
    pub forget: Forget,
}

/// An error that a fault makes a service answer with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The pattern of the route: a service may speak differently on different routes.
    pub route: String,
    pub status: StatusCode,
    /// Whether a content filter refuses the prompt; the status is 400 then.
    pub by_content_filter: bool,
    /// Whether the model is not there; the status is 503 then.
    pub is_unloaded: bool,
    pub retry_after: Option<Duration>,
}
