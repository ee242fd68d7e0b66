//! What stands between the connections and a service: every request goes into the ledger, meets the
//! fault that strikes it, and is answered.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::body::{Open, Outgoing, Spoil, whole};
use crate::fastapi::Rejection;
use crate::faults::damage::damaged;
use crate::faults::{Effect, Kind, Rule};
use crate::leaks::Leaking;
use crate::ledger::{Entry, StreamTimes, Work};
use crate::service::{Context, Refusal, Service, Struck, come_again};
use crate::wire::{After, Cut, How, Scissors};

/// Longest request body that is read, bytes. The largest valid batch is well below it.
const LONGEST_BODY: usize = 16 << 20;

/// What a slow answer, a slow drip or an idle connection takes where a rule does not say.
const DELAY: Duration = Duration::from_secs(2);

/// Bytes of an answer's head that are sent where it is cut: less than any status line and header.
const HALF_HEADER: usize = 24;

/// What stands between the connections and a service.
struct Gate {
    context: Context,
    leaking: Leaking,
    work: &'static [&'static str],
    refuse: fn(&Refusal) -> Response,
    essential: &'static [&'static str],
}

/// Records every request of `service`, those that match no route included.
pub(crate) fn recorded(service: Service, leaking: Leaking, context: &Context) -> Router {
    let Service { router, work, refuse, essential, .. } = service;
    let gate = Arc::new(Gate { context: context.clone(), leaking, work, refuse, essential });
    router.layer(middleware::from_fn_with_state(gate, record))
}

async fn record(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let path = route.as_ref().map_or("(unrouted)", MatchedPath::as_str);
    let mut entry = gate.context.ledger.accept(request.method(), path);
    // A probe or a preflight of a browser is no work, and takes no number from one that is.
    let is_work = request.method() == Method::POST && gate.work.contains(&path);
    let is_head = request.method() == Method::HEAD;
    let arrival = is_work.then(|| gate.context.conditions.arrive(path));

    if is_work {
        gate.leaking.request(&gate.context.ledger);
    }
    let fault = arrival.as_ref().and_then(|arrival| arrival.fault.clone());
    if let Some(arrival) = arrival {
        request.extensions_mut().insert(arrival);
    }
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, LONGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let response = (gate.refuse)(&Refusal::new(path, StatusCode::PAYLOAD_TOO_LARGE));
            return gate.hand_over(entry, response, Spoil::Nothing, Scissors::default());
        }
        // The client stopped sending in the middle of a body: nobody will read an answer, and the
        // entry closes as abandoned.
        Err(error) if is_incomplete(&*error) => return StatusCode::BAD_REQUEST.into_response(),
        Err(_) => {
            let response = Rejection::detail(StatusCode::BAD_REQUEST, "Malformed request body");
            let response = response.into_response();
            return gate.hand_over(entry, response, Spoil::Nothing, Scissors::default());
        }
    };
    entry.complete(body.len() as u64);
    gate.context.conditions.until_over(Kind::Freeze).await;
    if is_work && gate.context.conditions.of_service(Kind::ModelNotLoaded).0 {
        entry.fault(Kind::ModelNotLoaded.to_string());
        let response = gate.refusal(&Rule::always(Kind::ModelNotLoaded), path);
        return gate.hand_over(entry, response, Spoil::Nothing, Scissors::default());
    }
    let scissors = head.extensions.get::<Scissors>().cloned().unwrap_or_default();
    let request = Request::from_parts(head, Body::from(body));
    match fault {
        Some(rule) => gate.strike(&rule, entry, scissors, request, next).await,
        None => {
            let response = gate.worked(request, next).await;
            if is_head {
                // A body is not sent, and so has no end.
                entry.answer(response.status().as_u16(), 0, None);
                return response;
            }
            gate.hand_over(entry, response, Spoil::Nothing, scissors)
        }
    }
}

/// Whether a body ends before its end, and not in something that is no HTTP.
fn is_incomplete(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut errors = std::iter::successors(Some(error), |error| error.source());
    errors.any(|error| {
        error.downcast_ref::<hyper::Error>().is_some_and(|error| {
            error.is_incomplete_message() || error.is_closed() || error.is_canceled()
        }) || error.downcast_ref::<io::Error>().is_some_and(|error| {
            !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        })
    })
}

impl Gate {
    /// Closes the entry of a request whose answer is whole; that of a stream, or of a body that is
    /// spoilt on its way, is closed when the body ends.
    fn hand_over(
        &self,
        mut entry: Entry,
        mut response: Response,
        spoil: Spoil,
        scissors: Scissors,
    ) -> Response {
        let work = response.extensions().get::<Work>().copied();
        let status = response.status().as_u16();
        let length = response.body().size_hint().exact();
        if let (Some(length), Spoil::Nothing) = (length, &spoil) {
            entry.answer(status, length, work);
            return response;
        }
        if let Some(times) = response.extensions_mut().remove::<StreamTimes>() {
            entry.stream(times);
        }
        let open = Open { entry, status, work };
        let context = &self.context;
        response.map(|body| Body::new(Outgoing::new(body, open, spoil, scissors, context)))
    }

    /// The service's answer, once it is there and the service is not frozen.
    async fn worked(&self, request: Request, next: Next) -> Response {
        let response = next.run(request).await;
        self.context.conditions.until_over(Kind::Freeze).await;
        response
    }

    /// What a request comes to that a fault strikes.
    async fn strike(
        &self,
        rule: &Rule,
        mut entry: Entry,
        scissors: Scissors,
        request: Request,
        next: Next,
    ) -> Response {
        let delay = rule.delay.unwrap_or(DELAY);
        // Damage, and what a service does itself, is for good answers; an idle connection may not be.
        let is_certain = !matches!(rule.kind.effect(), Effect::Damage | Effect::Own)
            && rule.kind != Kind::IdleTimeout;
        if is_certain {
            entry.fault(rule.kind.to_string());
        }
        match rule.kind.effect() {
            Effect::Refuse | Effect::Service => {
                let route = request.extensions().get::<MatchedPath>();
                let route = route.map_or("", MatchedPath::as_str);
                let response = self.refusal(rule, route);
                self.context.conditions.until_over(Kind::Freeze).await;
                self.hand_over(entry, response, Spoil::Nothing, scissors)
            }
            Effect::Own => {
                let response = self.worked(request, next).await;
                if response.extensions().get::<Struck>().is_some() {
                    entry.fault(rule.kind.to_string());
                }
                self.hand_over(entry, response, Spoil::Nothing, scissors)
            }
            Effect::Damage => {
                let response = self.worked(request, next).await;
                if response.status() != StatusCode::OK {
                    return self.hand_over(entry, response, Spoil::Nothing, scissors);
                }
                entry.fault(rule.kind.to_string());
                let (response, spoil) = self.damage(rule.kind, response).await;
                self.hand_over(entry, response, spoil, scissors)
            }
            Effect::Cut => {
                let response = self.worked(request, next).await;
                self.cut(rule.kind, entry, response, scissors)
            }
            Effect::Delay => match rule.kind {
                Kind::Hang => {
                    self.context.shutdown.cancelled().await;
                    broken_off(entry, &scissors, How::Close)
                }
                Kind::SlowDrip => {
                    let response = self.worked(request, next).await;
                    self.hand_over(entry, response, Spoil::Drip(delay), scissors)
                }
                Kind::IdleTimeout => match tokio::time::timeout(delay, self.worked(request, next))
                    .await
                {
                    Ok(response) => self.hand_over(entry, response, Spoil::Idle(delay), scissors),
                    Err(_) => {
                        entry.fault(rule.kind.to_string());
                        broken_off(entry, &scissors, How::Close)
                    }
                },
                _ => {
                    tokio::time::sleep(delay).await;
                    let response = self.worked(request, next).await;
                    self.hand_over(entry, response, Spoil::Nothing, scissors)
                }
            },
        }
    }

    /// The error that a fault asks for, in the service's own form.
    fn refusal(&self, rule: &Rule, route: &str) -> Response {
        let status = match rule.kind {
            Kind::Status(status) => status,
            Kind::ContentFilter => 400,
            _ => 503,
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let refusal = Refusal {
            by_content_filter: rule.kind == Kind::ContentFilter,
            is_unloaded: rule.kind == Kind::ModelNotLoaded,
            retry_after: rule.retry_after,
            ..Refusal::new(route, status)
        };
        let mut response = (self.refuse)(&refusal);
        if let Some(time) = rule.retry_after {
            come_again(response.headers_mut(), time);
        }
        response
    }

    /// The response with a damaged body; a stream is damaged on its way.
    async fn damage(&self, kind: Kind, mut response: Response) -> (Response, Spoil) {
        if kind == Kind::WrongContentType {
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, html);
            return (response, Spoil::Nothing);
        }
        if response.body().size_hint().exact().is_none() {
            return (response, Spoil::Events(kind, self.essential));
        }
        let (mut head, body) = response.into_parts();
        head.headers.remove(header::CONTENT_LENGTH);
        let body = damaged(kind, &whole(body).await, self.essential);
        (Response::from_parts(head, Body::from(body)), Spoil::Nothing)
    }

    fn cut(&self, kind: Kind, entry: Entry, response: Response, scissors: Scissors) -> Response {
        let is_stream = response.body().size_hint().exact().is_none();
        let half = match kind {
            Kind::Reset => return broken_off(entry, &scissors, How::Reset),
            Kind::EarlyEof if !is_stream => return broken_off(entry, &scissors, How::Close),
            Kind::HalfHeader => {
                scissors.cut(Cut { after: After::Bytes(HALF_HEADER), how: How::Close });
                let mut entry = entry;
                entry.break_off();
                return response;
            }
            Kind::Stall => None,
            _ => Some(How::Close),
        };
        self.hand_over(entry, response, Spoil::Half(half), scissors)
    }
}

/// The connection ends without a byte of an answer: what is returned here is never sent.
fn broken_off(mut entry: Entry, scissors: &Scissors, how: How) -> Response {
    entry.break_off();
    scissors.cut(Cut { after: After::Bytes(0), how });
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
