//! Rules: what must hold, and what is to be told where it is so.

use std::collections::BTreeMap;

use crate::scenario::file::{AlertFile, SloFile};
use crate::scenario::slo::{Alert, Slo};
use crate::scenario::written::At;

use super::Checker;

impl Checker<'_> {
    pub(super) fn slos(&mut self, written: Vec<SloFile>) -> Vec<Slo> {
        written.into_iter().filter_map(|slo| self.rule(&slo.rule)).collect()
    }

    pub(super) fn alerts(&mut self, written: Vec<At<AlertFile>>) -> Vec<Alert> {
        let mut named = BTreeMap::new();
        let alert = |At { value: alert, span }: At<AlertFile>| {
            let name = self.name(alert.name, &span, "alert", &mut named);
            if alert.warn.is_none() && alert.critical.is_none() {
                let message = "this alert never fires";
                self.problem(&span, message, "expected `warn = \"p95 > 45s\"`, or `critical`");
            }
            let warn = alert.warn.and_then(|rule| self.rule(&rule));
            let critical = alert.critical.and_then(|rule| self.rule(&rule));
            Some(Alert { name: name?, warn, critical })
        };
        written.into_iter().filter_map(alert).collect()
    }

    fn rule(&mut self, rule: &At<String>) -> Option<Slo> {
        let names: Vec<String> = self.steps.iter().map(|step| step.name.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match Slo::parse(&rule.value, &names) {
            Ok(slo) => Some(slo),
            Err(error) => {
                let span = self.inside(&rule.span, error.span);
                self.problem(&span, error.message, error.label);
                None
            }
        }
    }
}
