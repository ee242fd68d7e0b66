//! One request: its attempts, and the waits between them.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use rand::RngExt;

use crate::measure::sample::{Offset, Outcome};
use crate::scenario::model::Retry;
use crate::scenario::random::{Purpose, stream};

use super::Here;
use super::attempt::{Attempt, Call, Ended, unsent};
use super::spending::Permit;

impl<'a> Here<'a> {
    /// Makes a request, due at `due`, and makes it again as its step says. The last attempt is the
    /// request's: its response time counts from the start of the first one, waits included; the
    /// attempts before it are recorded as [`Outcome::Retried`].
    pub(super) async fn request(&self, call: Call<'_>, due: Offset) -> Ended {
        let context = self.context;
        let rendered = match call.step.template.render(call.inputs) {
            Ok(rendered) => rendered,
            Err(error) => return self.drop_request(&call, due, error.to_string()),
        };
        let Some(mut permit) = context.spending.permit() else {
            context.halt.finish.cancelled().await;
            let sample = unsent(call.id, due, context.clock.now(), Outcome::Cancelled);
            return Ended::unsent(sample, String::new());
        };
        let (mut due, mut first, mut attempts) = (due, None, 0);
        loop {
            let mut attempt = self.attempt(&call, &rendered, due, permit).await;
            attempts += 1;
            let first = *first.get_or_insert(attempt.sample.scheduled);
            if let Some(next) = self.another(&call, &attempt, attempts).await {
                let _: Ended = attempt.record(Outcome::Retried);
                permit = next;
                due = context.clock.now();
                continue;
            }
            let outcome = attempt.sample.outcome;
            attempt.sample.scheduled = first;
            if let Some(limits) = &call.step.goodput {
                attempt.sample.good = Some(outcome.is_success() && limits.holds(&attempt.sample));
            }
            return Ended { attempts: u64::from(attempts), ..attempt.record(outcome) };
        }
    }

    /// A request that is due and cannot be sent.
    pub(super) fn drop_request(&self, call: &Call<'_>, due: Offset, message: String) -> Ended {
        let mut sample = unsent(call.id, due, self.context.clock.now(), Outcome::Dropped);
        sample.good = call.step.goodput.map(|_| false);
        let message = self.context.plan.scenario.redactions().redact(&message).into_owned();
        let why = crate::measure::recorder::Why { status: None, message: &message };
        self.context.recorder.drop_request(&sample, why);
        Ended::unsent(sample, message)
    }

    /// Waits as the step says, and gives permission for one more attempt; `None` where there is to
    /// be none. A run that ends meanwhile, or a budget that is used up, leaves the request as it is.
    async fn another(
        &self,
        call: &Call<'_>,
        attempt: &Attempt<'_>,
        made: u32,
    ) -> Option<Permit<'a>> {
        let context = self.context;
        let retry = call.step.retry.as_ref()?;
        if made >= retry.attempts || !is_worth_another(retry, attempt) || context.is_finishing() {
            return None;
        }
        let wait = match attempt.asked {
            Some(asked) if asked > retry.longest => return None,
            Some(asked) => asked,
            None => backoff(retry, made, self.draw(call.place, made)),
        };
        tokio::select! {
            biased;
            () = context.halt.finish.cancelled() => return None,
            () = tokio::time::sleep(wait) => {}
        }
        if context.is_finishing() { None } else { context.spending.permit() }
    }

    /// A number from 0 to 1 that depends on the seed and on which attempt it is for, and on nothing
    /// else: not on the order in which concurrent requests fail.
    fn draw(&self, place: u64, made: u32) -> f64 {
        // A stream of its own for each request of the iteration: walking one stream to the place of a
        // late request would take long in a large fan-out.
        let of_iteration =
            stream(self.context.plan.seed, self.user, self.iteration, Purpose::Retry)
                .random::<u64>();
        stream(of_iteration, made, place, Purpose::Retry).random()
    }
}

/// Whether this failure is one after which the request is made again.
fn is_worth_another(retry: &Retry, attempt: &Attempt<'_>) -> bool {
    match (attempt.sample.outcome, attempt.status) {
        (Outcome::HttpStatus | Outcome::RateLimited, Some(status)) => {
            retry.statuses.contains(&status)
        }
        (Outcome::Connect | Outcome::Reset | Outcome::Timeout, None) => retry.without_response,
        _ => false,
    }
}

/// The wait after `made` attempts (at least 1): `backoff * 2^(made - 1)`, at most `longest`. Of it,
/// the share `jitter` is taken as far as `draw` (0 to 1) says.
fn backoff(retry: &Retry, made: u32, draw: f64) -> Duration {
    let doubled = 2u32.checked_pow(made.saturating_sub(1));
    let whole = doubled.and_then(|times| retry.backoff.checked_mul(times));
    let whole = whole.unwrap_or(Duration::MAX).min(retry.longest);
    whole.mul_f64((1.0 - retry.jitter * (1.0 - draw)).clamp(0.0, 1.0))
}

/// How long a response asks to wait: `retry-after-ms` (milliseconds, as Azure and OpenAI send it),
/// or `Retry-After` (seconds, or a date: RFC 9110, 10.2.3). What cannot be read asks for nothing.
pub(super) fn asked(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    if let Some(ms) = text("retry-after-ms").and_then(number) {
        return Some(Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::MAX));
    }
    let after = text("retry-after")?;
    if let Some(seconds) = number(after) {
        return Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    }
    let then = DateTimeParser::new().parse_timestamp(after).ok()?;
    // A moment that is over asks for no wait.
    Some(Duration::try_from(then.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn retry() -> Retry {
        Retry {
            attempts: 5,
            statuses: vec![429],
            without_response: true,
            backoff: Duration::from_millis(500),
            longest: Duration::from_secs(3),
            jitter: 0.5,
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_jitter_only_shortens_them() {
        let whole: Vec<u64> =
            (1..=5).map(|made| backoff(&retry(), made, 1.0).as_millis() as u64).collect();
        assert_eq!(whole, [500, 1_000, 2_000, 3_000, 3_000]);
        assert_eq!(backoff(&retry(), 2, 0.0), Duration::from_millis(500));
        assert_eq!(backoff(&retry(), 2, 0.5), Duration::from_millis(750));
        assert_eq!(backoff(&retry(), u32::MAX, 1.0), Duration::from_secs(3));
    }

    #[test]
    fn a_target_says_how_long_to_wait_in_three_ways() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let of = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )]);
            asked(&headers, now)
        };
        assert_eq!(of("retry-after", "2"), Some(Duration::from_secs(2)));
        assert_eq!(of("retry-after-ms", "150"), Some(Duration::from_millis(150)));
        let date = of("retry-after", "Sat, 31 Jan 2026 12:00:07 GMT");
        assert_eq!(date, Some(Duration::from_secs(7)));
        let past = of("retry-after", "Sat, 31 Jan 2026 11:00:00 GMT");
        assert_eq!(past, Some(Duration::ZERO));
        assert_eq!(of("retry-after", "soon"), None);
        assert_eq!(of("retry-after", "-1"), None);
        assert_eq!(of("retry-after", "1e300"), Some(Duration::MAX));
    }
}
