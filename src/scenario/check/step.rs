//! One step: its method, path, headers and body, checked and compiled.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};

use crate::measure::sample::StepId;

use crate::scenario::errors::Spot;
use crate::scenario::file::{FromEnvironment, Headers, RequestFile};
use crate::scenario::json;
use crate::scenario::model::Step;
use crate::scenario::secret::Secret;
use crate::scenario::template::{
    Body, Engine, Escape, HeaderText, Parts, Piece, StepTemplate, TemplateId, Text, check_path,
};
use crate::scenario::written::{At, Node, TextOr};

use super::Checker;

/// Time-out where a step names none.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Headers as written, with checked names.
pub(super) type HeaderList = Vec<(HeaderName, At<TextOr<FromEnvironment>>)>;

impl Checker<'_> {
    /// Checks and compiles a step, and gives it its number.
    pub(super) fn step(
        &mut self,
        name: At<String>,
        span: &Range<usize>,
        request: RequestFile,
        common: &HeaderList,
    ) -> Option<StepId> {
        if self.steps.iter().any(|step| step.name == name.value) {
            let message = format!("two steps are named `{}`", name.value);
            self.problem(&name.span, message, "reports could not tell them apart");
            return None;
        }
        let (fan_out, after) = self.fan(request.fan);
        let reading = self.reading(request.response, request.expect.as_ref());
        // Known whether or not the rest is right: one mistake does not bring about another.
        let number = u16::try_from(self.steps.len()).ok().map(StepId);
        let extracted = reading.extract.iter().map(|(name, _)| name.clone()).collect();
        self.visible.add(number, &name.value, fan_out.as_ref(), extracted);
        let retry = request.retry.and_then(|retry| self.retry(retry));
        let (method, path) = self.method(&name, span, &request.paths)?;
        let mut engine = Engine::new();
        let own = self.headers(request.headers);
        let body = self.body(&mut engine, request.json, request.body, request.body_file);
        let is_json = matches!(body, Some((_, true)));
        let headers = self.header_texts(&mut engine, common, own, is_json);
        let text = self.path(&mut engine, &path);
        let timeout = match &request.timeout {
            Some(text) => self.duration(text),
            None => Some(TIMEOUT),
        };
        let expect = self.expect(request.expect.map(|e| e.value).unwrap_or_default());
        if number.is_none() {
            self.problem(span, "there are more steps than 65,536", "");
        }
        let parts = Parts {
            engine,
            path: text?,
            path_spot: self.spot(path.span),
            headers,
            body: body?.0,
            constant: None,
        };
        self.steps.push(Step {
            name: name.value,
            method,
            path: path.value,
            template: StepTemplate::new(parts),
            timeout: timeout?,
            expect: expect?,
            fan_out,
            after,
            extract: reading.extract,
            stream: reading.stream,
            usage: reading.usage,
            retry,
            rows: reading.rows,
            goodput: reading.goodput,
        });
        number
    }

    fn method(
        &mut self,
        name: &At<String>,
        span: &Range<usize>,
        paths: &[(http::Method, At<String>)],
    ) -> Option<(http::Method, At<String>)> {
        match paths {
            [(method, path)] => Some((method.clone(), path.clone())),
            [] => {
                let message = format!("step `{}` has no method", name.value);
                self.problem(span, message, "expected one, as in `post = \"/predict\"`");
                None
            }
            [(first, _), (second, path), ..] => {
                let message =
                    format!("step `{}` has two methods: {first} and {second}", name.value);
                self.problem(&path.span, message, "expected one; make two steps of it");
                None
            }
        }
    }

    fn path(&mut self, engine: &mut Engine, path: &At<String>) -> Option<Text> {
        let text = self.text(engine, &path.value, &path.span, Escape::Path)?;
        if let Text::Literal(literal) = &text
            && let Err(problem) = check_path(literal.clone(), &self.spot(path.span.clone()))
        {
            self.problems.push(problem);
            return None;
        }
        Some(text)
    }

    // Templates.

    fn text(
        &mut self,
        engine: &mut Engine,
        text: &str,
        span: &Range<usize>,
        escape: Escape,
    ) -> Option<Text> {
        if Engine::has_holes(text) {
            self.template(engine, text, span, escape).map(Text::Template)
        } else {
            Some(Text::Literal(text.to_owned()))
        }
    }

    pub(super) fn template(
        &mut self,
        engine: &mut Engine,
        text: &str,
        span: &Range<usize>,
        escape: Escape,
    ) -> Option<TemplateId> {
        match engine.compile(text, &self.spot(span.clone()), escape) {
            Ok(id) => {
                self.names(engine, &id, text, span);
                for name in Engine::variables(text) {
                    self.variable(name);
                }
                Some(id)
            }
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    /// The value of an environment variable, which the scenario thereby uses.
    fn variable(&mut self, name: &str) -> Option<Secret> {
        let value = || self.place.environment.get(name).map(|value| Secret::new(value));
        self.variables.entry(name.to_owned()).or_insert_with(value).clone()
    }

    // Headers.

    /// Checks the names of headers.
    pub(super) fn headers(&mut self, written: Headers) -> HeaderList {
        let mut headers = HeaderList::new();
        for (name, value) in written {
            match HeaderName::from_bytes(name.value.as_bytes()) {
                Ok(known) if [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(&known) => {
                    let message = format!("header `{known}` is set by gander itself");
                    self.problem(&name.span, message, "leave it out");
                }
                Ok(known) => headers.push((known, value)),
                Err(_) => {
                    let message = format!("`{}` is not the name of a header", name.value);
                    self.problem(&name.span, message, "expected letters, digits and `-`");
                }
            }
        }
        headers
    }

    /// The scenario's headers, then the step's own in their place.
    fn header_texts(
        &mut self,
        engine: &mut Engine,
        common: &HeaderList,
        own: HeaderList,
        is_json: bool,
    ) -> Vec<(HeaderName, Spot, HeaderText)> {
        let overridden = |name: &HeaderName| own.iter().any(|(other, _)| other == name);
        let mut all: HeaderList =
            common.iter().filter(|(name, _)| !overridden(name)).cloned().collect();
        all.extend(own);
        let mut headers = Vec::new();
        if is_json && !all.iter().any(|(name, _)| name == CONTENT_TYPE) {
            let text = Text::Literal("application/json".to_owned());
            headers.push((CONTENT_TYPE, self.spot(0..0), HeaderText::Text(text)));
        }
        for (name, At { value, span }) in all {
            let (text, span) = match value {
                TextOr::Text(text) => {
                    (self.text(engine, &text, &span, Escape::Text).map(HeaderText::Text), span)
                }
                TextOr::Table(FromEnvironment { env, prefix }) => {
                    let secret = self.variable(&env.value);
                    let variable = env.value;
                    (Some(HeaderText::Environment { variable, prefix, secret }), env.span)
                }
            };
            headers.extend(text.map(|text| (name, self.spot(span), text)));
        }
        headers
    }

    // Bodies.

    /// The body, and whether it is JSON.
    fn body(
        &mut self,
        engine: &mut Engine,
        json: Option<At<Node>>,
        text: Option<At<String>>,
        file: Option<At<String>>,
    ) -> Option<(Body, bool)> {
        let spans = [
            json.as_ref().map(|j| &j.span),
            text.as_ref().map(|t| &t.span),
            file.as_ref().map(|f| &f.span),
        ];
        if let [_, second, ..] = spans.into_iter().flatten().collect::<Vec<_>>().as_slice() {
            let second = (*second).clone();
            self.problem(
                &second,
                "this step has two bodies",
                "expected one of json, body and body_file",
            );
            return None;
        }
        if let Some(json) = json {
            let mut pieces = Vec::new();
            let mut literal = String::new();
            self.json(engine, &json, &mut literal, &mut pieces)?;
            pieces.push(Piece::Literal(literal));
            return Some((Body::Json(pieces), true));
        }
        if let Some(text) = text {
            return self
                .text(engine, &text.value, &text.span, Escape::Text)
                .map(|t| (Body::Text(t), false));
        }
        let Some(file) = file else { return Some((Body::Constant(Bytes::new()), false)) };
        match self.found.bytes(&file.value) {
            Ok(bytes) => Some((Body::Constant(bytes.into()), false)),
            Err(why) => {
                self.problem(&file.span, why, "paths begin at the scenario's own folder");
                None
            }
        }
    }

    /// Writes a value as JSON text, cut into pieces where strings have holes.
    fn json(
        &mut self,
        engine: &mut Engine,
        node: &At<Node>,
        literal: &mut String,
        pieces: &mut Vec<Piece>,
    ) -> Option<()> {
        match &node.value {
            Node::Text(text) if Engine::has_holes(text) => {
                let native = engine.is_one_expression(text);
                let escape = if native { Escape::Json } else { Escape::Text };
                let id = self.template(engine, text, &node.span, escape)?;
                pieces.push(Piece::Literal(std::mem::take(literal)));
                pieces.push(if native { Piece::Native(id) } else { Piece::Quoted(id) });
            }
            Node::Float(number) if !number.is_finite() => {
                self.problem(&node.span, format!("JSON has no `{number}`"), "expected a number");
                return None;
            }
            Node::List(items) => {
                literal.push('[');
                for (index, item) in items.iter().enumerate() {
                    literal.push_str(if index > 0 { "," } else { "" });
                    self.json(engine, item, literal, pieces)?;
                }
                literal.push(']');
            }
            Node::Table(entries) => {
                literal.push('{');
                for (index, (key, item)) in entries.iter().enumerate() {
                    literal.push_str(if index > 0 { "," } else { "" });
                    // Writing to a string cannot fail.
                    let _ = json::write_string(literal, &key.value);
                    literal.push(':');
                    self.json(engine, item, literal, pieces)?;
                }
                literal.push('}');
            }
            scalar => literal.push_str(&scalar.to_json().to_string()),
        }
        Some(())
    }
}
