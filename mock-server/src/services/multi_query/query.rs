//! One query from its place in the pool to its end: prompt, call, answer, and the same again after
//! capacity errors.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value};

use super::Core;
use super::failure::{Failure, Reason, is_of_capacity};
use super::output;
use super::pool::Place;
use super::settings::QueryEngine;
use super::states::State;
use super::template::Prompt;
use crate::services::work::spend;
use crate::upstream::{CallError, Chat, Message, Usage};

/// One query of one row.
pub(super) struct Ask {
    pub row: usize,
    /// Index among the queries of a row.
    pub query: usize,
    pub fields: Arc<Map<String, Value>>,
    pub state: Arc<State>,
    /// The query's own number in the service, for draws.
    pub number: u64,
    /// When its batch began.
    pub batch_since: Instant,
}

/// What a model said about a query.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// Outputs by suffix.
    pub values: Vec<(String, Value)>,
    pub usage: Usage,
    pub model: String,
    pub variables_hash: String,
}

/// A query that has ended.
pub(super) struct Done {
    pub row: usize,
    pub query: usize,
    pub ended: Result<Answer, Failure>,
    pub clock: Clock,
    pub trace: Trace,
}

/// Where the time of a query went, as far as it is known at its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub template: Duration,
    pub call: Duration,
    pub parse: Duration,
    pub coordination: Duration,
    /// Waiting because of the pool's pace or of a capacity error, and for a place after that.
    pub throttled: Duration,
    /// The query got its first place.
    pub placed: Instant,
    /// Its work was done.
    pub finished: Instant,
}

/// What a batch tells of each query if it is asked to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Trace {
    /// Index of the row in the batch.
    pub row: usize,
    pub query: String,
    /// Number of the query's last call under the batch's state id; none if there was no call.
    pub call_index: Option<u64>,
    /// From the begin of the batch to the begin of the query's work, milliseconds.
    pub started_ms: f64,
    /// From there to its end, milliseconds.
    pub took_ms: f64,
    /// Calls; those that the client repeated by itself count as one.
    pub attempts: u32,
    /// The time in which it was throttled, milliseconds.
    pub throttled_ms: f64,
}

/// One try.
struct Try {
    prompt: Option<Prompt>,
    result: Result<Answer, Miss>,
    call_index: Option<u64>,
    begun: Instant,
    template: Duration,
    call: Duration,
    parse: Duration,
    finished: Instant,
}

/// Why a try has no answer.
enum Miss {
    /// Trying again would not help.
    Failed(Failure),
    /// The call itself failed.
    Call(CallError),
}

/// Asks a query, in `place` that it got at `placed`, to its end.
pub(super) async fn ask(core: Arc<Core>, ask: Ask, mut place: Place, placed: Instant) -> Done {
    let ask = Arc::new(ask);
    let mut clock = Clock::new(placed);
    let mut trace = Trace::new(&core, &ask);
    let (mut prompt, mut begun) = (None, None);
    let mut ready = placed;
    let ended = loop {
        if core.retries() {
            ((), ready) = clock.wait(&core, core.pool.pace(), ready).await;
        }
        let work = attempt(Arc::clone(&core), Arc::clone(&ask), prompt.take());
        let Ok(tried) = core.pool.run(place, work).await else {
            clock.finished = Instant::now();
            break Err(stopped());
        };
        begun.get_or_insert(tried.begun);
        trace.attempts += u32::from(tried.call_index.is_some());
        trace.call_index = tried.call_index.or(trace.call_index);
        clock.note(&tried, ready);
        let error = match tried.result {
            Ok(answer) => break Ok(answer),
            Err(Miss::Failed(failure)) => break Err(failure),
            Err(Miss::Call(error)) => error,
        };
        if !core.retries() || !is_of_capacity(&error) {
            break Err(Failure::of_call(&error));
        }
        // The work of this try ended on another thread a moment ago.
        clock.coordination += clock.finished.elapsed();
        let delay = core.throttle().on_capacity_error();
        let left = core.retry_budget.saturating_sub(placed.elapsed());
        if left.is_zero() {
            clock.finished = Instant::now();
            break Err(Failure::out_of_time(&error, core.retry_budget.as_secs_f64()));
        }
        core.stats.capacity_retry();
        prompt = tried.prompt;
        let mut places = core.pool.places();
        let back = async {
            tokio::time::sleep(delay.min(left)).await;
            places.next().await
        };
        (place, ready) = clock.wait(&core, back, Instant::now()).await;
    };
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let begun = begun.unwrap_or(placed);
    trace.started_ms = ms(begun - ask.batch_since);
    trace.took_ms = ms(clock.finished - begun);
    trace.throttled_ms = ms(clock.throttled);
    Done { row: ask.row, query: ask.query, ended, clock, trace }
}

/// One try, where the pool does its work.
async fn attempt(core: Arc<Core>, ask: Arc<Ask>, prompt: Option<Prompt>) -> Try {
    let begun = Instant::now();
    let query = &core.queries[ask.query];
    let rendered = match prompt {
        Some(prompt) => Ok(prompt),
        None => core.template.render(query, &ask.fields),
    };
    let mut tried = Try {
        prompt: None,
        result: Err(Miss::Failed(stopped())),
        call_index: None,
        begun,
        template: begun.elapsed(),
        call: Duration::ZERO,
        parse: Duration::ZERO,
        finished: begun,
    };
    let prompt = match rendered {
        Ok(prompt) => prompt,
        Err(text) => {
            let failure = Failure::new(Reason::TemplateRenderingFailed, text);
            tried.result = Err(Miss::Failed(failure));
            tried.finished = Instant::now();
            return tried;
        }
    };
    let calling = Instant::now();
    tried.call_index = Some(ask.state.next_call());
    let completion = core.client.chat(&core.chat(query.max_tokens, &prompt), ask.number).await;
    let called = Instant::now();
    tried.call = called - calling;
    tried.result = match completion {
        Err(error) => Err(Miss::Call(error)),
        Ok(completion) => {
            core.succeeded();
            burn(&prompt.text, Duration::from_millis(core.settings.burn_ms));
            let values = output::read(&core.settings.output_mapping, &completion);
            let answer = |values| Answer {
                values,
                usage: completion.usage,
                model: completion.model,
                variables_hash: prompt.variables_hash.clone(),
            };
            values.map(answer).map_err(Miss::Failed)
        }
    };
    tried.prompt = Some(prompt);
    tried.finished = Instant::now();
    tried.parse = tried.finished - called;
    tried
}

/// Computes for `time` of CPU time, where the call's own place is.
#[inline(never)]
fn burn(text: &str, time: Duration) {
    spend(std::iter::once(text), time, |text| {
        black_box(text.bytes().fold(0_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(byte)));
    });
}

/// The service ends while the query is asked.
fn stopped() -> Failure {
    Failure::new(Reason::LlmCallFailed, "the service is shutting down")
}

impl Clock {
    fn new(placed: Instant) -> Clock {
        Clock {
            template: Duration::ZERO,
            call: Duration::ZERO,
            parse: Duration::ZERO,
            coordination: Duration::ZERO,
            throttled: Duration::ZERO,
            placed,
            finished: placed,
        }
    }

    /// A try is over that could have begun at `ready`.
    fn note(&mut self, tried: &Try, ready: Instant) {
        self.template += tried.template;
        self.call += tried.call;
        self.parse += tried.parse;
        self.coordination += tried.begun.saturating_duration_since(ready);
        self.finished = tried.finished;
    }

    /// Waits, being throttled meanwhile. What passed since `ready` was coordination. Returns the end
    /// of the wait.
    async fn wait<T>(
        &mut self,
        core: &Core,
        wait: impl Future<Output = T>,
        ready: Instant,
    ) -> (T, Instant) {
        let begun = Instant::now();
        self.coordination += begun.saturating_duration_since(ready);
        let waited = wait.await;
        let ended = Instant::now();
        self.throttled += ended - begun;
        core.stats.throttled(ended - begun);
        (waited, ended)
    }
}

impl Trace {
    fn new(core: &Core, ask: &Ask) -> Trace {
        Trace {
            row: ask.row,
            query: core.queries[ask.query].prefix.clone(),
            call_index: None,
            started_ms: 0.0,
            took_ms: 0.0,
            attempts: 0,
            throttled_ms: 0.0,
        }
    }
}

impl Core {
    /// Whether a query is tried again after a capacity error.
    fn retries(&self) -> bool {
        self.settings.engine != QueryEngine::RowBarrier
    }

    fn chat(&self, max_tokens: Option<u32>, prompt: &Prompt) -> Chat {
        let system = &self.settings.system_prompt;
        let system = (!system.is_empty()).then(|| Message::new("system", system.clone()));
        let user = Message::new("user", prompt.text.to_string());
        Chat {
            model: self.settings.model.clone(),
            messages: system.into_iter().chain([user]).collect(),
            temperature: self.settings.temperature,
            max_tokens,
            response_format: self.response_format.clone(),
        }
    }

    fn succeeded(&self) {
        self.stats.success();
        if self.retries() {
            self.throttle().on_success();
        }
    }
}
