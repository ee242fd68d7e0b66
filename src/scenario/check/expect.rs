//! What a response must be, checked.

use http::HeaderName;

use crate::scenario::errors::{Diagnostic, suggestion};
use crate::scenario::expect::{Expect, HeaderRule, JsonRule, JsonType, StatusRule};
use crate::scenario::file::{ExpectFile, JsonCheckFile};
use crate::scenario::json_path::JsonPath;
use crate::scenario::secret::Redactions;
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
                    TextOr::Table(part) => HeaderRule::Contains(part.contains),
                },
            ));
        }
        let mut json = Vec::new();
        for (path, check) in written.json {
            let parsed: Result<JsonPath, String> = path.value.parse();
            match parsed {
                Ok(parsed) => json.extend(self.json_rules(check).map(|rules| (parsed, rules))),
                Err(why) => {
                    let message = format!("`{}` is not a path into a body", path.value);
                    self.problem(&path.span, message, why);
                }
            }
        }
        let body_contains = written.body_contains;
        let redactions = Redactions::default();
        Some(Expect { status: status?, headers, body_contains, json, redactions })
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
            let text =
                self.found.source.text.get(written.span.clone()).unwrap_or_default().to_owned();
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
        let rules: Vec<JsonRule> = [
            check.equals.map(|value| JsonRule::Equals(value.to_json())),
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
