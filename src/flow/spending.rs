//! What of a run's budget is used up.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use crate::measure::sample::Tokens;
use crate::plan::{Ending, Stop};
use crate::scenario::model::Budget;

/// What may be used up, and what of it is.
#[derive(Debug)]
pub struct Spending {
    budget: Budget,
    begun: AtomicU64,
    ended: AtomicU64,
    tokens: AtomicU64,
    cost_pico: AtomicU64,
    /// What is used up, in words, once something is.
    why: OnceLock<String>,
    used_up: CancellationToken,
}

impl Spending {
    /// A budget of which an earlier part of the run has made so many requests, whose responses
    /// reported these tokens; a run that begins has made none.
    pub fn new(budget: Budget, requests: u64, tokens: Tokens) -> Spending {
        let spending = Spending {
            budget,
            begun: AtomicU64::new(requests),
            ended: AtomicU64::new(requests),
            tokens: AtomicU64::new(tokens.known()),
            cost_pico: AtomicU64::new(tokens.cost_pico),
            why: OnceLock::new(),
            used_up: CancellationToken::new(),
        };
        spending.look(requests, tokens);
        spending
    }

    /// Waits until a budget is used up: the run is to end.
    pub async fn over(&self) -> Ending {
        self.used_up.cancelled().await;
        Ending::because(Stop::Budget, self.why.get().cloned().unwrap_or_default())
    }

    /// Whether no more requests may be made.
    fn is_used_up(&self) -> bool {
        self.used_up.is_cancelled()
    }

    /// Whether an iteration may begin: none that could not make a request. The last that were
    /// permitted may still be under way.
    pub fn has_permits(&self) -> bool {
        let begun = || self.begun.load(Ordering::Acquire);
        !self.is_used_up() && self.budget.requests.is_none_or(|limit| begun() < limit)
    }

    /// Permission to make one attempt; `None` where the budget has none left. Whoever is refused
    /// waits for the run to end: it does when the last attempt has ended that was permitted.
    pub(super) fn permit(&self) -> Option<Permit<'_>> {
        if self.is_used_up() {
            return None;
        }
        if let Some(limit) = self.budget.requests {
            let one_more = |begun: u64| (begun < limit).then(|| begun + 1);
            self.begun.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        }
        Some(Permit { spending: self })
    }

    /// Ends the run where so many requests, or these tokens, use something up.
    fn look(&self, ended: u64, tokens: Tokens) {
        if let Err(why) = self.budget.after(ended, tokens) {
            // What is used up second does not matter.
            let _ = self.why.set(why);
            self.used_up.cancel();
        }
    }
}

/// One attempt that is made. It has ended when this is dropped.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    spending: &'a Spending,
}

impl Permit<'_> {
    /// The attempt has ended, and its response reported these tokens.
    pub(super) fn spend(self, tokens: Option<Tokens>) {
        let Some(spent) = tokens else { return };
        let all = Tokens {
            input: Some(add(&self.spending.tokens, spent.known())),
            cost_pico: add(&self.spending.cost_pico, spent.cost_pico),
            priced: 1,
            ..Tokens::default()
        };
        self.spending.look(0, all);
    }
}

/// Adds, and says what the sum is; a target may report any number.
fn add(sum: &AtomicU64, more: u64) -> u64 {
    let added = |before: u64| Some(before.saturating_add(more));
    let before = sum.fetch_update(Ordering::AcqRel, Ordering::Acquire, added);
    before.unwrap_or_else(|before| before).saturating_add(more)
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let ended = self.spending.ended.fetch_add(1, Ordering::AcqRel) + 1;
        self.spending.look(ended, Tokens::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(budget: Budget) -> Spending {
        Spending::new(budget, 0, Tokens::default())
    }

    fn tokens(input: u64, output: u64) -> Option<Tokens> {
        Some(Tokens { input: Some(input), output: Some(output), reported: 1, ..Tokens::default() })
    }

    #[test]
    fn requests_are_never_exceeded_and_the_run_ends_with_the_last_of_them() {
        let spending = fresh(Budget { requests: Some(1_000), ..Budget::default() });
        let made = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while let Some(permit) = spending.permit() {
                        assert!(!spending.is_used_up(), "one is under way");
                        made.fetch_add(1, Ordering::Relaxed);
                        permit.spend(None);
                    }
                });
            }
        });
        assert_eq!(made.into_inner(), 1_000);
        assert!(spending.is_used_up());
    }

    #[test]
    fn tokens_are_used_up_by_the_response_that_reaches_the_limit() {
        let spending = fresh(Budget { tokens: Some(100), ..Budget::default() });
        let permit = || spending.permit().expect("a permit");
        let (first, second, third) = (permit(), permit(), permit());
        first.spend(tokens(60, 30));
        second.spend(None);
        assert!(!spending.is_used_up());
        third.spend(tokens(0, 10));
        assert!(spending.is_used_up());
        assert!(spending.permit().is_none());
    }

    #[tokio::test]
    async fn the_ending_says_which_budget_it_was() {
        let spending = fresh(Budget { cost: Some(0.5), ..Budget::default() });
        let spent = Tokens { cost_pico: 500_000_000_000, ..Tokens::default() };
        spending.permit().expect("a permit").spend(Some(spent));
        let ending = spending.over().await;
        assert_eq!(ending.stop, Stop::Budget);
        assert_eq!(ending.reason.as_deref(), Some("the budget of 0.5 for tokens is used up"));
    }
}
