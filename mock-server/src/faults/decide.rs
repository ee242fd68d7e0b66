//! Which rule acts on a request: a pure function of the rules, the seed, the number of the request
//! and, for bursts, the time since the start.

use std::time::Duration;

use super::{Faults, Rule};
use crate::draws::{Draws, Purpose, unit};

impl Faults {
    /// The rule that acts on a request of `route`, `elapsed` after the start of the service.
    ///
    /// Rules with `every` come first, in their order. The others share one draw: rule after rule
    /// takes its share of the numbers from 0 to 1, so that each acts at exactly its rate, as far as
    /// the ones before it have left that much. Those in a burst take theirs first, and in its time
    /// take the place of rules of the same kind without one.
    pub fn decide(&self, draws: Draws, route: &str, elapsed: Duration) -> Option<&Rule> {
        if self.rules.is_empty() {
            return None;
        }
        let concerns = |rule: &&Rule| {
            !rule.kind.is_of_service()
                && rule.is_open(elapsed)
                && rule.routes.as_ref().is_none_or(|routes| routes.iter().any(|r| r == route))
        };
        let open = || self.rules.iter().filter(concerns);
        let counted =
            open().find(|rule| rule.every.is_some_and(|n| (draws.number() + 1).is_multiple_of(n)));
        if counted.is_some() {
            return counted;
        }
        let bursting = || open().filter(|rule| rule.every.is_none() && rule.burst.is_some());
        let steady = open().filter(|rule| {
            rule.every.is_none()
                && rule.burst.is_none()
                && bursting().all(|burst| burst.kind != rule.kind)
        });
        let drawn = unit(&mut draws.generator(Purpose::Fault));
        let mut taken = 0.0;
        bursting().chain(steady).find(|rule| {
            taken += rule.rate.unwrap_or(1.0);
            drawn < taken
        })
    }
}
