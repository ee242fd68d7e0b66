//! The client that queries are asked through. It can repeat failed calls as the HTTP clients of
//! vendors do, so that what they hide from the program above them can be seen here.

use std::time::Duration;

use crate::draws::{Draws, Purpose, unit};
use crate::upstream::{CallError, Chat, Completion, Upstream};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// What a server asks for is heeded up to this long.
const LONGEST_WISH: Duration = Duration::from_secs(60);
/// The share of a pause that chance may take off.
const JITTER: f64 = 0.25;

/// The upstream, and how often a call is repeated.
#[derive(Debug)]
pub(super) struct Client {
    upstream: Upstream,
    retries: u32,
    seed: u64,
}

impl Client {
    pub(super) fn new(upstream: Upstream, retries: u32, seed: u64) -> Client {
        Client { upstream, retries, seed }
    }

    /// Asks, and asks again while that may help and is allowed. `number` is the query's own: its
    /// pauses are drawn from it.
    pub(super) async fn chat(&self, chat: &Chat, number: u64) -> Result<Completion, CallError> {
        let mut chance = Draws::new(self.seed, number).generator(Purpose::Backoff);
        let mut repeated = 0;
        loop {
            match self.upstream.chat(chat).await {
                Err(error) if repeated < self.retries && may_pass(&error) => {
                    let pause = pause(&error, repeated, unit(&mut chance));
                    tokio::time::sleep(pause).await;
                    repeated += 1;
                }
                answer => return answer,
            }
        }
    }
}

/// Whether the same call may succeed later.
fn may_pass(error: &CallError) -> bool {
    match error {
        CallError::Status { status, .. } => matches!(status, 408 | 409 | 429 | 500..),
        CallError::Timeout(_) | CallError::Connect(_) | CallError::Broken(_) => true,
        CallError::Malformed(_) => false,
    }
}

/// What the server asks for, if that is at most a minute; else 0.5 s, doubled with each repetition up
/// to 8 s, less up to a quarter by `chance` from 0 to 1.
fn pause(error: &CallError, repeated: u32, chance: f64) -> Duration {
    if let CallError::Status { retry_after: Some(wish), .. } = error
        && !wish.is_zero()
        && *wish <= LONGEST_WISH
    {
        return *wish;
    }
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(repeated)).min(LONGEST_PAUSE);
    doubled.mul_f64(1.0 - JITTER * chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, retry_after: Option<Duration>) -> CallError {
        CallError::Status { status, code: None, message: String::new(), retry_after }
    }

    #[test]
    fn pauses_double_up_to_eight_seconds_less_a_quarter_at_most() {
        let pauses = |chance| (0..6).map(move |n| pause(&status(500, None), n, chance).as_millis());
        assert!(pauses(0.0).eq([500, 1_000, 2_000, 4_000, 8_000, 8_000]));
        assert!(pauses(1.0).eq([375, 750, 1_500, 3_000, 6_000, 6_000]));
    }

    #[test]
    fn a_wish_of_the_server_is_heeded_up_to_a_minute() {
        let wish = |seconds| pause(&status(429, Some(Duration::from_secs(seconds))), 0, 0.0);
        assert_eq!(wish(7).as_secs(), 7);
        assert_eq!(wish(60).as_secs(), 60);
        assert_eq!(wish(61).as_millis(), 500);
        assert_eq!(wish(0).as_millis(), 500);
    }

    #[test]
    fn only_what_may_pass_is_repeated() {
        for (code, repeated) in [(400, false), (401, false), (404, false), (408, true), (429, true)]
        {
            assert_eq!(may_pass(&status(code, None)), repeated, "{code}");
        }
        assert!(may_pass(&status(500, None)) && may_pass(&status(529, None)));
        assert!(!may_pass(&CallError::Malformed(String::new())));
    }
}
