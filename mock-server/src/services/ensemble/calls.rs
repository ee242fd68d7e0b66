//! Calls to the chat completions service, through the circuit breaker and the pool.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Semaphore;

use super::breaker::{Breaker, Leave, Report};
use super::settings::{Ensemble, Price};
use crate::ledger::{Ledger, Tokens};
use crate::upstream::{CallError, Chat, Completion, Upstream};

/// What a call is for, by the name of its counter in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Snapshot,
    KeyChanges,
    Narrative,
}

impl Purpose {
    fn counter(self) -> &'static str {
        match self {
            Purpose::Snapshot => "snapshot_calls",
            Purpose::KeyChanges => "key_changes_calls",
            Purpose::Narrative => "narrative_calls",
        }
    }
}

/// Why there is no answer that can be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum CallFailure {
    #[error("not sent: the circuit breaker is open")]
    Refused,
    #[error(transparent)]
    Failed(#[from] CallError),
    #[error("withheld by a content filter")]
    Filtered,
    #[error("the answer is empty")]
    Empty,
}

/// The way to the chat completions service, shared by all requests.
pub(super) struct Calls {
    upstream: Upstream,
    /// As many permits as connections may be in use.
    pool: Option<Semaphore>,
    breaker: Option<Mutex<Breaker>>,
    ledger: Arc<Ledger>,
    since: Instant,
}

impl Calls {
    pub(super) fn new(behaviour: &Ensemble, ledger: &Arc<Ledger>) -> std::io::Result<Calls> {
        Ok(Calls {
            upstream: Upstream::new(&behaviour.upstream(), ledger)?,
            pool: behaviour.pooling.map(|pooling| Semaphore::new(pooling.connections)),
            breaker: behaviour.circuit_breaker.map(|mut settings| {
                settings.recovery = behaviour.scaled(settings.recovery);
                Mutex::new(Breaker::new(settings))
            }),
            ledger: Arc::clone(ledger),
            since: Instant::now(),
        })
    }

    /// Asks, and waits for the answer; enters what was used into the bill.
    pub(super) async fn chat(
        &self,
        purpose: Purpose,
        chat: &Chat,
        bill: &mut Bill<'_>,
    ) -> Result<Completion, CallFailure> {
        // An error would mean a closed semaphore, and nothing closes it.
        let _connection = match &self.pool {
            Some(pool) => pool.acquire().await.ok(),
            None => None,
        };
        let leave = self.admit()?;
        self.ledger.count(&[(purpose.counter(), 1)]);
        bill.calls += 1;
        let answer = self.upstream.chat(chat).await;
        self.note(leave, answer.is_ok());
        let completion = answer?;
        bill.enter(&chat.model, &completion);
        match completion {
            Completion { finish_reason, .. } if finish_reason == "content_filter" => {
                Err(CallFailure::Filtered)
            }
            Completion { content, .. } if content.trim().is_empty() => Err(CallFailure::Empty),
            completion => Ok(completion),
        }
    }

    /// What the circuit breaker says of itself, if there is one.
    pub(super) fn breaker(&self) -> Option<Report> {
        self.breaker.as_ref().map(|breaker| lock(breaker).report())
    }

    /// The circuit breaker counts from now on.
    pub(super) fn forget_counts(&self) {
        if let Some(breaker) = &self.breaker {
            lock(breaker).forget_counts();
        }
    }

    /// Without a circuit breaker, every call is made and no leave is needed.
    fn admit(&self) -> Result<Option<Leave>, CallFailure> {
        let Some(breaker) = &self.breaker else {
            return Ok(None);
        };
        let leave = lock(breaker).admit(self.since.elapsed());
        if leave.is_none() {
            self.ledger.count(&[("breaker_rejections", 1)]);
            return Err(CallFailure::Refused);
        }
        Ok(leave)
    }

    fn note(&self, leave: Option<Leave>, is_success: bool) {
        let (Some(breaker), Some(leave)) = (&self.breaker, leave) else {
            return;
        };
        match is_success {
            true => lock(breaker).succeeded(leave),
            false => lock(breaker).failed(leave, self.since.elapsed()),
        }
    }
}

fn lock(breaker: &Mutex<Breaker>) -> MutexGuard<'_, Breaker> {
    // A panic elsewhere leaves a whole breaker: no change spans more than one lock.
    breaker.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What calls have used, by the upstream's own counting.
#[derive(Debug, Clone)]
pub(super) struct Bill<'a> {
    prices: &'a BTreeMap<String, Price>,
    pub calls: u64,
    pub tokens: Tokens,
    /// US dollars.
    pub cost: f64,
}

impl<'a> Bill<'a> {
    /// Nothing used so far.
    pub(super) fn new(prices: &'a BTreeMap<String, Price>) -> Bill<'a> {
        Bill { prices, calls: 0, tokens: Tokens::default(), cost: 0.0 }
    }

    /// The price is that of the model that was asked for: what answers may call itself by a longer
    /// name. A model without a price costs nothing; the settings and the requests see to it that
    /// there is none.
    fn enter(&mut self, model: &str, completion: &Completion) {
        let usage = completion.usage;
        self.tokens += Tokens { prompt: usage.prompt_tokens, completion: usage.completion_tokens };
        if let Some(price) = self.prices.get(model) {
            self.cost += (usage.prompt_tokens as f64 * price.prompt
                + usage.completion_tokens as f64 * price.completion)
                / 1e6;
        }
    }
}

impl std::ops::AddAssign for Bill<'_> {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.tokens += other.tokens;
        self.cost += other.cost;
    }
}
