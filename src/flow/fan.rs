//! The requests of one step: one, or one for each element of a fan-out.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::measure::sample::{Offset, StepId};
use crate::scenario::Inputs;

use super::Here;
use super::attempt::{Call, Ended};

/// What became of the requests of a step.
pub(super) struct Results {
    /// Those that were made, in order, and the elements each was made for.
    pub ended: Vec<(String, Ended)>,
    /// Whether the run ended before all of them were made.
    pub is_cut_off: bool,
}

impl Here<'_> {
    /// Makes the requests of the step `id`, due at `due`: those of a fan-out in order, as many at
    /// once as it allows. Each of these is due when there is a place for it. `before` requests of
    /// this iteration were made for earlier steps.
    pub(super) async fn carry_out(
        &self,
        id: StepId,
        due: Offset,
        inputs: &Inputs,
        before: u64,
    ) -> Results {
        let step = self.context.plan.scenario.step(id);
        let call = Call { id, step, inputs, place: before };
        let Some(fan_out) = &step.fan_out else {
            let ended = vec![(String::new(), self.request(call, due).await)];
            return Results { ended, is_cut_off: false };
        };
        let all = match inputs.fan(fan_out) {
            Ok(all) => all,
            Err(error) => {
                let ended = vec![(String::new(), self.drop_request(&call, due, error.to_string()))];
                return Results { ended, is_cut_off: false };
            }
        };
        let places = usize::try_from(fan_out.concurrency).unwrap_or(usize::MAX).max(1);
        let mut waiting = (before..).zip(&all);
        let mut under_way = FuturesUnordered::new();
        let mut ended: Vec<Option<Ended>> = all.iter().map(|_| None).collect();
        let mut due = due;
        loop {
            while under_way.len() < places && !self.context.is_finishing() {
                let Some((place, inputs)) = waiting.next() else { break };
                let request = self.request(Call { inputs, place, ..call }, due);
                under_way.push(async move { (place, request.await) });
            }
            let Some((place, request)) = under_way.next().await else { break };
            ended[(place - before) as usize] = Some(request);
            due = self.context.clock.now();
        }
        let is_cut_off = ended.iter().any(Option::is_none);
        let redactions = self.context.plan.scenario.redactions();
        let labelled =
            all.iter().zip(ended).filter_map(|(of, ended)| Some((of.label(redactions), ended?)));
        Results { ended: labelled.collect(), is_cut_off }
    }
}
