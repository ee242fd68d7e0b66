//! `/debug/pprof/profile`: a CPU profile of the process, in the form and at the place of Go's services.
//! As with `/control`, requests are never in the ledger and never wait for the service's engine.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::fastapi::{self, Rejection};
use crate::profiler::{MOST_FREQUENT, Profiler, Refused};
use crate::service::Context;

/// Where the profile is.
pub(crate) const PREFIX: &str = "/debug/pprof";

/// Header of the answer: samples that came for each second of CPU time that the process used.
pub const EFFECTIVE: &str = "x-samples-per-cpu-second";

/// Longest profile, seconds.
const LONGEST: f64 = 600.0;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    seconds: f64,
    frequency: u32,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted { seconds: 10.0, frequency: 99 }
    }
}

/// The route, relative to [`PREFIX`].
pub(crate) fn router(context: &Context) -> Router {
    Router::new()
        .route("/profile", get(profile))
        .fallback(fastapi::not_found)
        .method_not_allowed_fallback(fastapi::method_not_allowed)
        .with_state(context.clone())
}

/// Samples until the time is over or the service ends. Where the client leaves, sampling ends.
async fn profile(
    State(context): State<Context>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Rejection> {
    let refused = |detail: String| Rejection::detail(StatusCode::UNPROCESSABLE_ENTITY, detail);
    let Query(wanted) = wanted.map_err(|error| refused(error.body_text()))?;
    if !(wanted.seconds > 0.0 && wanted.seconds <= LONGEST) {
        return Err(refused(format!("seconds: above 0, and at most {LONGEST}")));
    }
    if !(1..=MOST_FREQUENT).contains(&wanted.frequency) {
        return Err(refused(format!("frequency: 1 to {MOST_FREQUENT}")));
    }
    let profiler = Profiler::start(wanted.frequency).map_err(no_profile)?;
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs_f64(wanted.seconds)) => {}
        () = context.shutdown.cancelled() => {}
    }
    // The lookup of names would hold up the connections of this thread.
    let encoded = tokio::task::spawn_blocking(move || {
        let sampled = profiler.finish().map_err(io::Error::other)?;
        Ok::<_, io::Error>((sampled.effective(), sampled.encoded()?))
    });
    let failed = |error: &dyn std::fmt::Display| {
        Rejection::detail(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    };
    let (rate, encoded) = encoded.await.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
    let rate = rate.map(|rate| [(EFFECTIVE, format!("{rate:.1}"))]);
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], rate, encoded).into_response())
}

fn no_profile(refused: Refused) -> Rejection {
    let status = match refused {
        Refused::Busy => StatusCode::CONFLICT,
        Refused::NotPrimed => StatusCode::SERVICE_UNAVAILABLE,
        Refused::System => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Rejection::detail(status, refused.to_string())
}
