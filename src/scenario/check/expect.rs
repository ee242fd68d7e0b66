//! What a response must be, checked.

use std::ops::Range;
use std::sync::Arc;

use http::HeaderName;

use crate::scenario::errors::{Diagnostic, suggestion};
use crate::scenario::expect::{Expect, HeaderRule, JsonRule, JsonType, Pattern, StatusRule};
use crate::scenario::file::{ExpectFile, JsonCheckFile};
use crate::scenario::secret::Redactions;
use crate::scenario::template::{Engine, Escape};
use crate::scenario::written::{At, Node, TextOr};

use super::Checker;

impl Checker<'_> {
    pub(super) fn expect(&mut self, written: ExpectFile) -> Option<Expect> {
        let status = match &written.status {
            None => Some(vec![StatusRule::Class(2)]),
            Some(At { value: Node::List(items), span }) if items.is_empty() => {
                self.problem(span, "no status is right", "expected at least one");
                None
            }
            Some(At { value: Node::List(items), .. }) => {
                items.iter().map(|item| self.status(item)).collect()
            }
            Some(one) => self.status(one).map(|rule| vec![rule]),
        };
        let mut headers = Vec::new();
        for (name, rule) in written.header {
            let Ok(known) = HeaderName::from_bytes(name.value.as_bytes()) else {
                let message = format!("`{}` is not the name of a header", name.value);
                self.problem(&name.span, message, "expected letters, digits and `-`");
                continue;
            };
            headers.push((
                known,
                match rule {
                    TextOr::Text(text) => HeaderRule::Equals(text),
                    TextOr::Table(part) => match self.pattern(&part.contains) {
                        Some(pattern) => HeaderRule::Contains(pattern),
                        None => continue,
                    },
                },
            ));
        }
        let mut json = Vec::new();
        for (path, check) in written.json {
            let parsed = self.json_path(&path);
            let rules = self.json_rules(check);
            json.extend(parsed.zip(rules));
        }
        let body_contains = written.body_contains.and_then(|text| self.pattern(&text));
        let stream_contains = written.stream_contains.and_then(|text| self.pattern(&text));
        let redactions = Redactions::default();
        Some(Expect { status: status?, headers, body_contains, stream_contains, json, redactions })
    }

    /// A text that is expected, with an engine of its own where it has holes.
    fn pattern(&mut self, written: &At<String>) -> Option<Pattern> {
        if !Engine::has_holes(&written.value) {
            return Some(Pattern::Fixed(written.value.clone()));
        }
        self.made(&written.value, &written.span, Escape::Text)
    }

    fn made(&mut self, text: &str, span: &Range<usize>, escape: Escape) -> Option<Pattern> {
        let mut engine = Engine::new();
        let id = self.template(&mut engine, text, span, escape)?;
        Some(Pattern::Made { engine: Arc::new(engine), id })
    }

    /// A value that is expected. Of strings, those that are values themselves may have holes.
    fn equals(&mut self, written: At<Node>) -> Option<JsonRule> {
        match &written.value {
            Node::Text(text) if Engine::has_holes(text) => {
                let is_json = Engine::new().is_one_expression(text);
                let escape = if is_json { Escape::Json } else { Escape::Text };
                let pattern = self.made(text, &written.span, escape)?;
                Some(JsonRule::EqualsMade { pattern, is_json })
            }
            value => Some(JsonRule::Equals(value.to_json())),
        }
    }

    fn status(&mut self, written: &At<Node>) -> Option<StatusRule> {
        let rule = match &written.value {
            Node::Integer(status @ 100..=599) => {
                u16::try_from(*status).ok().map(StatusRule::Exactly)
            }
            Node::Text(text) => match text.as_bytes() {
                [hundreds @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] => {
                    Some(StatusRule::Class(u16::from(hundreds - b'0')))
                }
                _ => None,
            },
            _ => None,
        };
        if rule.is_none() {
            let text = self.written(&written.span);
            let message = format!("{text} is not an HTTP status");
            self.problem(&written.span, message, "expected 100 to 599, or a class such as \"2xx\"");
        }
        rule
    }

    fn json_rules(&mut self, written: At<TextOr<JsonCheckFile>>) -> Option<Vec<JsonRule>> {
        let At { value, span } = written;
        let check = match value {
            TextOr::Table(check) => check,
            TextOr::Text(name) if name == "json" => return Some(vec![JsonRule::JsonText]),
            TextOr::Text(name) => {
                let types = JsonType::ALL;
                if let Some(right) = types.iter().find(|right| right.name() == name) {
                    return Some(vec![JsonRule::Type(*right)]);
                }
                let known = types.iter().map(|right| right.name()).chain(["json"]);
                let label = suggestion(&name, known);
                let problem =
                    Diagnostic::at(self.spot(span), format!("there is no type `{name}`"), label)
                        .help(format!("a value itself is checked by {{ equals = \"{name}\" }}"));
                self.problems.push(problem);
                return None;
            }
        };
        let equals = match check.equals {
            Some(value) => Some(self.equals(value)?),
            None => None,
        };
        let rules: Vec<JsonRule> = [
            equals,
            check.length.map(JsonRule::Length),
            check.min.map(JsonRule::Min),
            check.max.map(JsonRule::Max),
        ]
        .into_iter()
        .flatten()
        .collect();
        if rules.is_empty() {
            self.problem(&span, "this checks nothing", "expected equals, length, min or max");
            return None;
        }
        Some(rules)
    }
}
