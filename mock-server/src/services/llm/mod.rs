//! The llm service: chat completions in OpenAI's and in Azure's form.

mod answer;
mod auth;
mod errors;
mod given;
mod headers;
mod limits;
mod probe;
mod reply;
mod request;
mod routes;
mod settings;
mod stream;
mod timing;
mod tokens;
mod validation;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use rand_xoshiro::rand_core::Rng;
use tokio::time::Instant;

use crate::conditions::{Arrival, Conditions};
use crate::draws::Purpose;
use crate::faults::Kind;
use crate::ledger::{StreamTimes, Tokens, Work};
use crate::service::{self, Context};
use answer::{Events, Heading, Usage};
use errors::{Dialect, Failure};
use limits::{Limits, Standing};
use probe::{Presence, Probe};
use reply::{Choice, Replies};
pub use reply::{Order, Reply, Words};
use request::{Asked, StreamAsked};
pub use settings::{Llm, Pattern, PromptKind};
use stream::{Clock, Stream};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

struct Service {
    behaviour: Llm,
    replies: Replies,
    limits: Limits,
    probe: Arc<Probe>,
    conditions: Arc<Conditions>,
}

/// The service with this behaviour.
pub(crate) fn service(behaviour: Llm, context: &Context) -> io::Result<service::Service> {
    let replies = Replies::new(&behaviour.replies, behaviour.kinds.clone())?;
    let limits = Limits::new(behaviour.requests_per_minute, behaviour.tokens_per_minute);
    let (probe, conditions) = (Arc::default(), Arc::clone(&context.conditions));
    let service = Arc::new(Service { behaviour, replies, limits, probe, conditions });
    let forgetful = Arc::clone(&service);
    Ok(service::Service {
        router: routes::router(service),
        work: &[routes::OPENAI, routes::AZURE],
        refuse: errors::refuse,
        essential: &["choices"],
        forget: Arc::new(move || {
            forgetful.probe.reset();
            forgetful.limits.refill();
        }),
    })
}

/// A request for a chat completion.
struct Call<'a> {
    dialect: Dialect,
    /// On Azure's route.
    deployment: Option<&'a str>,
    head: &'a Parts,
    arrival: &'a Arrival,
    since: Instant,
}

/// A completion that is ready to be sent at its time.
struct Completion {
    heading: Heading,
    choices: Vec<Choice>,
    usage: Usage,
    stream: Option<StreamAsked>,
    /// The intended time of the whole answer.
    intended: Duration,
    /// The times of its tokens; none where nothing takes any time.
    clock: Option<Clock>,
}

impl Service {
    async fn chat(&self, call: Call<'_>, body: &Bytes) -> Response {
        // Before anything else: what comes before the first chunk counts, the reading too.
        let (presence, times) = (self.probe.enter(), StreamTimes::start());
        let (completion, standing) = match self.complete(&call, body) {
            Ok(ready) => ready,
            Err(failure) => {
                let standing = self.limits.take(0, 0, Instant::now).0;
                return failed(&call, &failure, &standing);
            }
        };
        let Completion { usage, intended, .. } = completion;
        let fails = call.arrival.struck_by() == Some(Kind::ErrorEvent);
        let n = completion.choices.len() as u32;
        let mut response = match completion.stream {
            Some(asked) => self.streamed(completion, asked, (times, presence), fails),
            None => {
                if !intended.is_zero() {
                    tokio::time::sleep_until(call.since + intended).await;
                }
                json(match fails {
                    true => errors::in_answer(call.dialect),
                    false => {
                        let Completion { heading, choices, usage, .. } = &completion;
                        answer::completion(heading, choices, *usage)
                    }
                })
            }
        };
        let spent = call.since.elapsed();
        headers::answered(response.headers_mut(), call.dialect, &standing, spent);
        let tokens = Tokens { prompt: usage.prompt_tokens, completion: usage.completion_tokens };
        response.extensions_mut().insert(Work { items: n, intended, spent, tokens });
        if fails || call.arrival.struck_by() == Some(Kind::Filtered) {
            response.extensions_mut().insert(service::Struck);
        }
        response
    }

    /// Everything that comes before the waiting.
    fn complete(&self, call: &Call<'_>, body: &[u8]) -> Result<(Completion, Standing), Failure> {
        let Call { dialect, arrival, head, .. } = *call;
        auth::check(&self.behaviour.api_keys, &head.headers, dialect)?;
        self.check_deployment(call)?;
        let asked = Asked::read(body, dialect)?;
        let model = asked.model.as_deref().or(call.deployment).unwrap_or_default();
        let is_known = self.behaviour.models.is_empty()
            || self.behaviour.models.iter().any(|known| known == model);
        if dialect == Dialect::OpenAi && !is_known {
            return Err(Failure::no_model(model));
        }
        let is_filtered = arrival.struck_by() == Some(Kind::Filtered);
        let draws = arrival.draws;
        let (choices, latency) = self.replies.choices(&asked, draws, is_filtered)?;
        let completion_tokens = choices.iter().map(|choice| u64::from(choice.tokens)).sum();
        let prompt_tokens = asked.tokens();
        let total_tokens = prompt_tokens + completion_tokens;
        let standing = match self.limits.take(1, total_tokens, Instant::now) {
            (standing, None) => standing,
            (_, Some(failure)) => return Err(failure),
        };

        let latency = latency.unwrap_or(arrival.latency());
        let longest = choices.iter().map(|choice| choice.tokens).max().unwrap_or(0);
        let (intended, clock) = match (&asked.stream, latency.is_zero()) {
            (_, true) => (Duration::ZERO, None),
            (None, false) => (timing::whole(latency, draws, asked.n, longest), None),
            (Some(_), false) => {
                let times = timing::stream(latency, draws, asked.n);
                let end = timing::end_of_stream(latency, draws, asked.n, longest);
                (end, Some(Clock::new(call.since, times)))
            }
        };
        let heading = Heading {
            dialect,
            id: format!("chatcmpl-{:016x}", draws.generator(Purpose::Reply).next_u64()),
            created: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            model: model.into(),
        };
        let usage = Usage { prompt_tokens, completion_tokens, total_tokens };
        let stream = asked.stream;
        Ok((Completion { heading, choices, usage, stream, intended, clock }, standing))
    }

    /// On Azure's route: whether the deployment is there, and the API version is named.
    fn check_deployment(&self, call: &Call<'_>) -> Result<(), Failure> {
        let Some(deployment) = call.deployment else { return Ok(()) };
        let query = call.head.uri.query().unwrap_or_default();
        let version = query.split('&').find_map(|pair| pair.strip_prefix("api-version="));
        if version.is_none_or(str::is_empty) {
            let (method, path) = (call.head.method.as_str(), call.head.uri.path());
            return Err(Failure::no_route(Dialect::Azure, method, path));
        }
        let known = &self.behaviour.deployments;
        match known.is_empty() || known.iter().any(|known| known == deployment) {
            true => Ok(()),
            false => Err(Failure::no_deployment()),
        }
    }

    fn streamed(
        &self,
        completion: Completion,
        asked: StreamAsked,
        (times, presence): (StreamTimes, Presence),
        fails: bool,
    ) -> Response {
        let Completion { heading, choices, usage, clock, .. } = completion;
        let events = Events { heading, include_usage: asked.include_usage };
        let step = self.behaviour.tokens_per_chunk.get();
        let stream = Stream::new(events, choices, usage, step, clock, times.clone(), presence);
        let mut response = Response::new(Body::new(stream.failing(fails)));
        response.headers_mut().insert(header::CONTENT_TYPE, EVENTS);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response.extensions_mut().insert(times);
        response
    }
}

fn json(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

fn failed(call: &Call<'_>, failure: &Failure, standing: &Standing) -> Response {
    let mut response = failure.response(call.dialect);
    headers::answered(response.headers_mut(), call.dialect, standing, call.since.elapsed());
    response
}
