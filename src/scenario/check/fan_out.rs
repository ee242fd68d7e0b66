//! How many requests a step makes, and which results of other steps it sees.

use crate::measure::sample::StepId;
use crate::scenario::answer::MOST_REQUESTS;
use crate::scenario::errors::suggestion;
use crate::scenario::file::FanKeys;
use crate::scenario::model::FanOut;
use crate::scenario::written::{At, Names};

use super::Checker;
use super::names::Own;

impl Checker<'_> {
    /// The fan-out of a step and the steps that it comes after. From here on, templates see the
    /// names that these bring.
    pub(super) fn fan(&mut self, written: FanKeys) -> (Option<FanOut>, Vec<StepId>) {
        self.visible.begin_step();
        let after = written.after.map(|names| self.after(&names)).unwrap_or_default();
        let Some(for_each) = written.for_each else {
            let without = [
                ("concurrency", written.concurrency.map(|count| count.span)),
                ("all_or_nothing", written.all_or_nothing.map(|switch| switch.span)),
            ];
            for (key, span) in without {
                let Some(span) = span else { continue };
                let message = format!("`{key}` goes with `for_each`");
                self.problem(&span, message, "leave it out, or say what the requests are for");
            }
            return (None, after);
        };
        let lists = self.lists(&for_each);
        let concurrency = written.concurrency.map_or(1, |count| {
            if count.value == 0 {
                self.problem(&count.span, "no request could be made", "expected 1 or more");
            }
            count.value
        });
        let all_or_nothing = written.all_or_nothing.is_some_and(|switch| switch.value);
        let spot = self.spot(for_each.span);
        (Some(FanOut { lists, concurrency, all_or_nothing, spot }), after)
    }

    /// Steps whose results are seen as lists.
    fn after(&mut self, written: &At<Names>) -> Vec<StepId> {
        let mut ids = Vec::new();
        for name in written.names() {
            let found = self.visible.earlier.iter().find(|step| step.name == name.value);
            let Some((id, fields)) = found.map(|step| (step.id, step.fields.clone())) else {
                let message = format!("no earlier step of this transaction is `{}`", name.value);
                let known = self.visible.earlier.iter().map(|step| step.name.as_str());
                let label = match self.visible.earlier.is_empty() {
                    true => "this step is the first one".to_owned(),
                    false => suggestion(&name.value, known),
                };
                self.problem(&name.span, message, label);
                continue;
            };
            if ids.contains(&id) {
                self.problem(&name.span, format!("`{}` is named twice", name.value), "");
            } else if self.check_new_name(&name) {
                ids.push(id);
                self.visible.own.push(Own { name: name.value, fields: None, result: Some(fields) });
            }
        }
        ids
    }

    /// Names of lists, each of which is known.
    fn lists(&mut self, written: &At<Names>) -> Vec<String> {
        let names = written.names();
        if names.is_empty() {
            self.problem(&written.span, "there is nothing to make requests for", "");
        }
        let mut lists = Vec::new();
        let mut requests = Some(1_usize);
        for name in names {
            if lists.contains(&name.value) {
                self.problem(&name.span, format!("`{}` is named twice", name.value), "");
                continue;
            }
            let joined = self.visible.own.iter().position(|own| own.name == name.value);
            if let Some(index) = self.data.index(&name.value) {
                let rows = self.data.sources()[index].len();
                requests = requests.and_then(|count| count.checked_mul(rows));
            } else if let Some(at) = joined {
                // The name now is one of the results.
                self.visible.own[at].fields = self.visible.own[at].result.take();
            } else if self.visible.values.contains(&name.value) {
                let name = name.value.clone();
                self.visible.own.push(Own { name, fields: None, result: None });
            } else {
                self.unknown_list(&name);
                continue;
            }
            lists.push(name.value);
        }
        if requests.is_none_or(|count| count > MOST_REQUESTS) {
            let message =
                format!("an iteration would make more than {MOST_REQUESTS} requests here");
            self.problem(&written.span, message, "");
        }
        lists
    }

    fn unknown_list(&mut self, name: &At<String>) {
        let earlier = self.visible.earlier.iter().map(|step| step.name.as_str());
        let label = if earlier.clone().any(|step| step == name.value) {
            format!("the results of a step are seen with `after = \"{}\"`", name.value)
        } else {
            let sources = self.data.sources().iter().map(|source| source.name.as_str());
            let values = self.visible.values.iter().map(String::as_str);
            suggestion(&name.value, sources.chain(values).chain(earlier))
        };
        self.problem(&name.span, format!("there is no list `{}`", name.value), label);
    }
}
