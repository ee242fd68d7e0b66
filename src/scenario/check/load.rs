//! How much load, where the command line names none.

use crate::scenario::file::LoadFile;
use crate::scenario::model::DefaultLoad;
use crate::scenario::written::At;
use crate::schedule::{RateSpan, Stages, parse_duration};

use super::Checker;

impl Checker<'_> {
    pub(super) fn load(&mut self, written: LoadFile) -> DefaultLoad {
        self.contradictions(&written);
        if let Some(users) = written.users.as_ref().filter(|users| users.value == 0) {
            self.problem(&users.span, "there must be users", "expected 1 or more");
        }
        let rate = written.rate.as_ref().and_then(|rate| {
            let text = At { value: rate.value.0.clone(), span: rate.span.clone() };
            self.understood(&text, str::parse::<RateSpan>)
        });
        let (mut stages, mut rate_stages) = (None, None);
        if let Some(text) = &written.stages {
            match self.understood(text, Stages::parse) {
                Some(Stages::Users(users)) => stages = Some(users),
                Some(Stages::Rates(rates)) => rate_stages = Some(rates),
                None => {}
            }
        }
        // What is not understood is complained of already.
        let is_closed = written.rate.is_none() && (stages.is_some() || written.stages.is_none());
        let of_open = [
            ("arrivals", written.arrivals.as_ref().map(|found| &found.span)),
            ("max_in_flight", written.max_in_flight.as_ref().map(|found| &found.span)),
        ];
        for (key, span) in of_open {
            if let (Some(span), true) = (span, is_closed) {
                let message = format!("`{key}` goes with open load");
                self.problem(span, message, "expected `rate`, or `stages` of rates, beside it");
            }
        }
        if let Some(most) = written.max_in_flight.as_ref().filter(|most| most.value == 0) {
            self.problem(&most.span, "there must be room for an iteration", "expected 1 or more");
        }
        DefaultLoad {
            users: written.users.map(|users| users.value),
            stages,
            rate,
            rate_stages,
            arrivals: written.arrivals.map(|spread| spread.value),
            max_in_flight: written.max_in_flight.map(|most| most.value),
            duration: written.duration.and_then(|text| self.duration(&text)),
            warm_up: written.warm_up.and_then(|text| self.understood(&text, parse_duration)),
        }
    }

    /// Users, a rate and stages each say how much load there is.
    fn contradictions(&mut self, written: &LoadFile) {
        let besides = written.users.is_some() || written.rate.is_some();
        if let (Some(stages), true) = (&written.stages, besides || written.duration.is_some()) {
            let message = "stages say how many users there are and how long";
            let label = "leave out `users` and `duration`, or `stages`";
            let (message, label) = match &written.rate {
                Some(_) => (
                    "stages say how high the rate is and how long",
                    "leave out `rate`, or `stages`",
                ),
                None => (message, label),
            };
            self.problem(&stages.span, message, label);
        }
        if let (Some(_), Some(rate)) = (&written.users, &written.rate) {
            let message = "both `users` (closed load) and `rate` (open load) are given";
            self.problem(&rate.span, message, "leave one of them out");
        }
    }
}
