//! Every request of a service, from its head to its answer, into the ledger.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::fastapi::Rejection;
use crate::ledger::{Ledger, Work};

/// Longest request body that is read, bytes. The largest valid batch is well below it.
const LONGEST_BODY: usize = 16 << 20;

/// Records every request of `service`, those that match no route included.
pub(crate) fn recorded(service: Router, ledger: &Arc<Ledger>) -> Router {
    service.layer(middleware::from_fn_with_state(Arc::clone(ledger), record))
}

async fn record(State(ledger): State<Arc<Ledger>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let path = route.map_or("(unrouted)", MatchedPath::as_str);
    let mut entry = ledger.accept(request.method(), path);

    let (head, body) = request.into_parts();
    let response = match Limited::new(body, LONGEST_BODY).collect().await {
        Ok(body) => {
            let body = body.to_bytes();
            entry.complete(body.len() as u64);
            next.run(Request::from_parts(head, Body::from(body))).await
        }
        Err(error) if error.is::<LengthLimitError>() => {
            let text = format!("Request body exceeds {LONGEST_BODY} bytes");
            Rejection::detail(StatusCode::PAYLOAD_TOO_LARGE, text).into_response()
        }
        // The client stopped sending in the middle of a body: nobody will read an answer, and the
        // entry closes as abandoned.
        Err(_) => {
            let text = "Incomplete request body";
            return Rejection::detail(StatusCode::BAD_REQUEST, text).into_response();
        }
    };

    let work = response.extensions().get::<Work>().copied();
    let body_bytes = response.body().size_hint().lower();
    entry.answer(response.status().as_u16(), body_bytes, work);
    response
}
