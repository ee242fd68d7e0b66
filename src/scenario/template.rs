//! Requests with holes in them: compiled once, filled in for each request.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};
use minijinja::Environment;

use super::errors::{Diagnostic, Spot};
use super::feeder::Inputs;
use super::functions;
use super::json;
use super::render_error::{RenderError, template_error, unset_variable};
use super::secret::Secret;

/// A request as it is sent: path, headers and body. Each may hold secrets: `Debug` shows sizes only.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Path and query.
    pub path: PathAndQuery,
    /// Headers; those from the environment are marked sensitive.
    pub headers: HeaderMap,
    /// Body; empty where there is none.
    pub body: Bytes,
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&HeaderName> = self.headers.keys().collect();
        f.debug_struct("Rendered")
            .field("path_bytes", &self.path.as_str().len())
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// Path, headers and body of a step.
#[derive(Clone)]
pub struct StepTemplate(Arc<Parts>);

pub(super) struct Parts {
    pub engine: Engine,
    pub path: Text,
    pub path_spot: Spot,
    pub headers: Vec<(HeaderName, Spot, HeaderText)>,
    pub body: Body,
    /// The finished request, where nothing in it ever changes.
    pub constant: Option<Rendered>,
}

/// Where a header's value comes from.
pub(super) enum HeaderText {
    Text(Text),
    Environment { variable: String, prefix: String, secret: Option<Secret> },
}

/// What a body is made of.
pub(super) enum Body {
    Constant(Bytes),
    Text(Text),
    Json(Vec<Piece>),
}

/// A part of a JSON body.
pub(super) enum Piece {
    /// JSON text as it is.
    Literal(String),
    /// A string that is one expression: its value becomes JSON.
    Native(TemplateId),
    /// A string with holes: what it renders to becomes a JSON string.
    Quoted(TemplateId),
}

/// Text that is fixed, or a template.
pub(super) enum Text {
    Literal(String),
    Template(TemplateId),
}

impl Text {
    fn is_literal(&self) -> bool {
        matches!(self, Text::Literal(_))
    }
}

/// A compiled template of one [`Engine`].
#[derive(Debug, Clone)]
pub(super) struct TemplateId {
    name: String,
    index: usize,
}

/// How values that are printed become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// As they are.
    Text,
    /// Percent-encoded, unless marked safe.
    Path,
    /// As JSON.
    Json,
}

impl Escape {
    /// Templates are told apart by the ending of their name, as MiniJinja does it.
    fn ending(self) -> &'static str {
        match self {
            Escape::Text => "txt",
            Escape::Path => functions::PATH,
            Escape::Json => "json",
        }
    }
}

/// The compiled templates of one step, and where each is written.
pub(super) struct Engine {
    environment: Environment<'static>,
    templates: Vec<Compiled>,
}

/// What is known of a template besides its code.
struct Compiled {
    spot: Spot,
    reads_environment: bool,
}

impl Engine {
    pub fn new() -> Engine {
        Engine { environment: functions::environment(), templates: Vec::new() }
    }

    /// Whether a text has holes at all.
    pub fn has_holes(text: &str) -> bool {
        ["{{", "{%", "{#"].iter().any(|open| text.contains(open))
    }

    /// Whether a text is exactly one `{{ expression }}`.
    pub fn is_one_expression(&self, text: &str) -> bool {
        text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).is_some_and(|inside| {
            self.environment.compile_expression_owned(inside.to_owned()).is_ok()
        })
    }

    /// Compiles a text that is written at `spot`.
    pub fn compile(
        &mut self,
        text: &str,
        spot: &Spot,
        escape: Escape,
    ) -> Result<TemplateId, Diagnostic> {
        let index = self.templates.len();
        let name = format!("{index}.{}", escape.ending());
        self.environment
            .add_template_owned(name.clone(), text.to_owned())
            .map_err(|error| *template_error(spot, &error).diagnostic)?;
        let id = TemplateId { name, index };
        let reads_environment = Engine::variables(text).next().is_some()
            || self.names(&id).iter().any(|name| name == "env" || name.starts_with("env."));
        self.templates.push(Compiled { spot: spot.clone(), reads_environment });
        Ok(id)
    }

    /// Names that a template uses and does not define, with their fields: `row`, `row.text`.
    pub fn names(&self, id: &TemplateId) -> Vec<String> {
        let Ok(template) = self.environment.get_template(&id.name) else { return Vec::new() };
        let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
        names.sort();
        names
    }

    /// Environment variables that a text names: `env.NAME`, `env['NAME']`. MiniJinja's undeclared
    /// variables would lack some (`env.NAME[:8]`); here a few too many do no harm.
    pub fn variables(text: &str) -> impl Iterator<Item = &str> {
        text.split("env").skip(1).filter_map(|rest| {
            let rest = rest.trim_start();
            if let Some(field) = rest.strip_prefix('.') {
                let field = field.trim_start();
                let end = field.find(|c: char| !c.is_alphanumeric() && c != '_');
                return Some(&field[..end.unwrap_or(field.len())]);
            }
            let inside = rest.strip_prefix('[')?.trim_start();
            let quote = inside.chars().next().filter(|c| "'\"".contains(*c))?;
            inside[1..].split_once(quote).map(|(name, _)| name)
        })
    }

    /// Names of MiniJinja's own functions and of ours.
    pub fn functions(&self) -> Vec<String> {
        self.environment.globals().map(|(name, _)| name.to_owned()).collect()
    }

    /// A template as written.
    pub fn source(&self, id: &TemplateId) -> String {
        let template = self.environment.get_template(&id.name);
        template.map(|template| template.source().to_owned()).unwrap_or_default()
    }

    pub fn render(&self, id: &TemplateId, inputs: &Inputs) -> Result<String, RenderError> {
        self.environment
            .get_template(&id.name)
            .and_then(|template| template.render(inputs.context()))
            .map_err(|error| template_error(&self.templates[id.index].spot, &error))
    }

    fn text(&self, text: &Text, inputs: &Inputs) -> Result<String, RenderError> {
        match text {
            Text::Literal(text) => Ok(text.clone()),
            Text::Template(id) => self.render(id, inputs),
        }
    }
}

impl StepTemplate {
    pub(super) fn new(mut parts: Parts) -> StepTemplate {
        let constant = parts.path.is_literal()
            && parts.headers.iter().all(|(_, _, text)| match text {
                HeaderText::Text(text) => text.is_literal(),
                HeaderText::Environment { secret, .. } => secret.is_some(),
            })
            && match &parts.body {
                Body::Constant(_) => true,
                Body::Text(text) => text.is_literal(),
                Body::Json(pieces) => pieces.iter().all(|piece| matches!(piece, Piece::Literal(_))),
            };
        if constant {
            let inputs = super::data::DataSet::default().feeder(0).iteration(0, 0, 0);
            parts.constant = parts.render(&inputs).ok();
        }
        StepTemplate(Arc::new(parts))
    }

    /// The request of one iteration. A step without holes costs a few reference counts.
    ///
    /// # Errors
    ///
    /// Where a value is undefined or does not fit (a line break in a header, say), with its place
    /// in the scenario. `Scenario::preview` finds nearly all of these before a run.
    pub fn render(&self, inputs: &Inputs) -> Result<Rendered, RenderError> {
        match &self.0.constant {
            Some(request) => Ok(request.clone()),
            None => self.0.render(inputs).map_err(|error| error.redacted(inputs.0.redactions())),
        }
    }

    /// Whether every request of this step is the same.
    pub fn is_constant(&self) -> bool {
        self.0.constant.is_some()
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.0
    }
}

impl Parts {
    fn render(&self, inputs: &Inputs) -> Result<Rendered, RenderError> {
        let path = self.engine.text(&self.path, inputs)?;
        let path = check_path(path, &self.path_spot)?;
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, spot, text) in &self.headers {
            let (value, sensitive) = match text {
                HeaderText::Text(text) => {
                    (self.engine.text(text, inputs)?, self.reads_environment(text))
                }
                HeaderText::Environment { prefix, secret: Some(secret), .. } => {
                    (format!("{prefix}{}", secret.reveal()), true)
                }
                HeaderText::Environment { variable, .. } => {
                    return Err(unset_variable(spot.clone(), variable));
                }
            };
            let mut value = HeaderValue::from_maybe_shared(Bytes::from(value)).map_err(|_| {
                Diagnostic::at(
                    spot.clone(),
                    format!("header `{name}`: its value has a character that no header may have"),
                    "a line break or another control character",
                )
            })?;
            value.set_sensitive(sensitive);
            headers.insert(name.clone(), value);
        }
        Ok(Rendered { path, headers, body: self.body(inputs)? })
    }

    fn reads_environment(&self, text: &Text) -> bool {
        match text {
            Text::Literal(_) => false,
            Text::Template(id) => self.engine.templates[id.index].reads_environment,
        }
    }

    fn body(&self, inputs: &Inputs) -> Result<Bytes, RenderError> {
        let pieces = match &self.body {
            Body::Constant(bytes) => return Ok(bytes.clone()),
            Body::Text(text) => return self.engine.text(text, inputs).map(Bytes::from),
            Body::Json(pieces) => pieces,
        };
        let mut body = String::new();
        for piece in pieces {
            match piece {
                Piece::Literal(text) => body.push_str(text),
                Piece::Native(id) => body.push_str(&self.engine.render(id, inputs)?),
                Piece::Quoted(id) => {
                    // Writing to a string cannot fail.
                    let _ = json::write_string(&mut body, &self.engine.render(id, inputs)?);
                }
            }
        }
        Ok(body.into())
    }
}

/// A rendered path as what it must be.
pub(super) fn check_path(path: String, spot: &Spot) -> Result<PathAndQuery, Diagnostic> {
    let wrong = |why: &str| {
        Diagnostic::at(spot.clone(), format!("`{}` is not a path: {why}", path.escape_debug()), "")
    };
    if path.contains("://") && !path.starts_with('/') {
        return Err(wrong("give the path alone").help("`--target` says which host is meant"));
    }
    if !path.starts_with('/') {
        return Err(wrong("it must begin with `/`"));
    }
    if path.contains('#') {
        return Err(wrong("the part after `#` is never sent; write %23 for the character"));
    }
    if let Some(bad) = path.chars().find(|c| c.is_whitespace() || c.is_control() || !c.is_ascii()) {
        let hint = "write it percent-encoded, a space as %20";
        return Err(wrong(&format!("it contains `{}`; {hint}", bad.escape_default())));
    }
    PathAndQuery::from_maybe_shared(Bytes::from(path.clone()))
        .map_err(|error| wrong(&error.to_string()))
}

impl fmt::Debug for StepTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&HeaderName> = self.0.headers.iter().map(|(name, ..)| name).collect();
        f.debug_struct("StepTemplate")
            .field("headers", &names)
            .field("constant", &self.is_constant())
            .finish_non_exhaustive()
    }
}
