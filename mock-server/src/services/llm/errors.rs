//! Errors in the two forms that clients of chat services know.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::answer::FilterResults;
use super::headers;
use crate::service::{Refusal, come_again};

/// Whose form of chat completions a request is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenAi,
    Azure,
}

impl Dialect {
    /// Azure's paths are below `/openai`.
    pub(super) fn of(path: &str) -> Dialect {
        match path.starts_with("/openai/") {
            true => Dialect::Azure,
            false => Dialect::OpenAi,
        }
    }
}

type Text = Cow<'static, str>;

/// Why a request gets an error for an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failure {
    pub status: StatusCode,
    pub kind: &'static str,
    pub code: Option<Text>,
    pub param: Option<Text>,
    pub message: Text,
    pub retry_after: Option<Duration>,
}

/// The type of an error that is the client's own.
const INVALID: &str = "invalid_request_error";

impl Failure {
    fn new(status: StatusCode, code: Option<&'static str>, message: impl Into<Text>) -> Failure {
        let (code, message) = (code.map(Text::Borrowed), message.into());
        Failure { status, kind: INVALID, code, param: None, message, retry_after: None }
    }

    /// A body that is not what it should be. `param` leads to the field.
    pub(super) fn invalid(
        param: impl Into<Text>,
        code: Option<&'static str>,
        message: impl Into<Text>,
    ) -> Failure {
        let failure = Failure::new(StatusCode::BAD_REQUEST, code, message);
        Failure { param: Some(param.into()), ..failure }
    }

    /// A body that is wrong as a whole.
    pub(super) fn bad_body(message: impl Into<Text>) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, None, message)
    }

    pub(super) fn no_key(dialect: Dialect) -> Failure {
        let message = match dialect {
            Dialect::OpenAi => {
                "You didn't provide an API key. It belongs in the header `Authorization: Bearer KEY`."
            }
            Dialect::Azure => DENIED,
        };
        Failure::new(StatusCode::UNAUTHORIZED, None, message)
    }

    pub(super) fn wrong_key(dialect: Dialect) -> Failure {
        let message = match dialect {
            Dialect::OpenAi => "Incorrect API key provided.",
            Dialect::Azure => DENIED,
        };
        Failure::new(StatusCode::UNAUTHORIZED, Some("invalid_api_key"), message)
    }

    pub(super) fn no_route(dialect: Dialect, method: &str, path: &str) -> Failure {
        let message = match dialect {
            Dialect::OpenAi => Text::Owned(format!("Invalid URL ({method} {path})")),
            Dialect::Azure => Text::Borrowed("Resource not found"),
        };
        Failure::new(StatusCode::NOT_FOUND, Some("unknown_url"), message)
    }

    pub(super) fn wrong_method(method: &str, path: &str) -> Failure {
        let message = format!("Not allowed to {method} on {path}.");
        let code = Some("method_not_supported");
        Failure::new(StatusCode::METHOD_NOT_ALLOWED, code, message)
    }

    pub(super) fn no_model(model: &str) -> Failure {
        let message =
            format!("The model `{model}` does not exist or you do not have access to it.");
        let failure = Failure::new(StatusCode::NOT_FOUND, Some("model_not_found"), message);
        Failure { param: Some("model".into()), ..failure }
    }

    pub(super) fn no_deployment() -> Failure {
        let message = "The API deployment for this resource does not exist. If you created the \
                       deployment within the last 5 minutes, please wait a moment and try again.";
        Failure::new(StatusCode::NOT_FOUND, Some("DeploymentNotFound"), message)
    }

    /// `what` is `requests` or `tokens`. Without a time, no waiting helps.
    pub(super) fn rate_limited(
        what: &'static str,
        limit: u64,
        retry_after: Option<Duration>,
    ) -> Failure {
        let message = match retry_after {
            Some(time) => format!(
                "Rate limit reached: {limit} {what} per minute. Please try again in {}.",
                headers::span(time)
            ),
            None => format!("Request too large: the limit is {limit} {what} per minute."),
        };
        let code = Some("rate_limit_exceeded");
        let failure = Failure::new(StatusCode::TOO_MANY_REQUESTS, code, message);
        Failure { kind: what, retry_after, ..failure }
    }

    /// The service cannot make a reply as it is configured.
    pub(super) fn of_reply(message: String) -> Failure {
        let code = Some("reply_failed");
        let failure = Failure::new(StatusCode::INTERNAL_SERVER_ERROR, code, message);
        Failure { kind: "server_error", ..failure }
    }

    /// What a status means when nothing else is known.
    fn of_status(status: StatusCode) -> Failure {
        let (kind, code, message) = match status.as_u16() {
            400 => (INVALID, Some("bad_request"), "The request was refused."),
            401 => (INVALID, Some("invalid_api_key"), "Incorrect API key provided."),
            403 => (INVALID, Some("forbidden"), "You are not allowed to make this request."),
            404 => (INVALID, Some("model_not_found"), "The model does not exist."),
            413 => (INVALID, Some("request_too_large"), "The request is too large."),
            429 => ("requests", Some("rate_limit_exceeded"), "Rate limit reached for requests."),
            503 => ("server_error", Some("service_unavailable"), "The engine is not available."),
            504 => ("server_error", Some("timeout"), "The engine did not answer in time."),
            529 => ("overloaded_error", Some("overloaded"), "The engine is overloaded."),
            500.. => ("server_error", Some("server_error"), "The server had an error."),
            _ => (INVALID, None, "The request was refused."),
        };
        Failure { kind, ..Failure::new(status, code, message) }
    }

    /// What stands below `error`.
    fn detail(&self, dialect: Dialect) -> Detail<'_> {
        let status = self.status.as_u16();
        let is_of_gateway = matches!(status, 401 | 404 | 429);
        match (dialect, is_of_gateway) {
            // Azure's gateway knows codes and messages only, and numbers for most codes.
            (Dialect::Azure, true) => {
                let code = self.code.as_deref().filter(|code| *code == "DeploymentNotFound");
                let code = code.map_or_else(|| status.to_string(), str::to_owned);
                Detail { code: Some(code.into()), ..Detail::of(&self.message) }
            }
            _ => Detail {
                kind: Some(Some(self.kind)),
                param: Some(self.param.as_deref()),
                code: self.code.as_deref().map(Cow::Borrowed),
                ..Detail::of(&self.message)
            },
        }
    }

    /// The answer to the client.
    pub(super) fn response(&self, dialect: Dialect) -> Response {
        let mut response = answer(self.status, &self.detail(dialect));
        if let Some(time) = self.retry_after {
            come_again(response.headers_mut(), time);
        }
        response
    }
}

/// The body of an error that comes with status 200, when the service had already promised an answer.
pub(super) fn in_answer(dialect: Dialect) -> Vec<u8> {
    let failure = Failure::of_status(StatusCode::INTERNAL_SERVER_ERROR);
    let body = Body { error: &failure.detail(dialect) };
    serde_json::to_vec(&body).expect("invariant: a buffer takes what JSON can hold")
}

/// What a 429 of a fault says where its rule does not.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const DENIED: &str = "Access denied due to invalid subscription key or wrong API endpoint. Make sure \
                      to provide a valid key for an active subscription and use a correct regional \
                      API endpoint for your resource.";

/// The error that a fault makes the service answer with. That of a content filter is Azure's, since
/// OpenAI has none.
pub(super) fn refuse(refusal: &Refusal) -> Response {
    let dialect = Dialect::of(&refusal.route);
    if refusal.by_content_filter {
        let mut response = filtered(refusal.status);
        headers::refused(response.headers_mut(), dialect, None);
        return response;
    }
    let failure = match (dialect, refusal.status) {
        (Dialect::Azure, StatusCode::NOT_FOUND) => Failure::no_deployment(),
        (_, StatusCode::UNAUTHORIZED) => Failure::wrong_key(dialect),
        (_, status) => Failure::of_status(status),
    };
    // A rate limit always says when to come again.
    let is_limit = refusal.status == StatusCode::TOO_MANY_REQUESTS;
    let retry_after = is_limit.then_some(refusal.retry_after.unwrap_or(RETRY_AFTER));
    let mut response = Failure { retry_after, ..failure }.response(dialect);
    headers::refused(response.headers_mut(), dialect, retry_after);
    response
}

/// A prompt that Azure's content filter refuses.
fn filtered(status: StatusCode) -> Response {
    let message = "The response was filtered due to the prompt triggering Azure OpenAI's content \
                   management policy. Please modify your prompt and retry.";
    let detail = Detail {
        kind: Some(None),
        param: Some(Some("prompt")),
        code: Some("content_filter".into()),
        status: Some(status.as_u16()),
        innererror: Some(InnerError {
            code: "ResponsibleAIPolicyViolation",
            content_filter_result: FilterResults::OF_REFUSED_PROMPT,
        }),
        ..Detail::of(message)
    };
    answer(status, &detail)
}

fn answer(status: StatusCode, error: &Detail<'_>) -> Response {
    (status, axum::Json(Body { error })).into_response()
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a Detail<'a>,
}

/// What stands below `error`. The outer option leaves a field out, the inner one is `null`.
#[derive(Debug, Serialize)]
struct Detail<'a> {
    message: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<Option<&'a str>>,
    code: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    innererror: Option<InnerError>,
}

#[derive(Debug, Serialize)]
struct InnerError {
    code: &'static str,
    content_filter_result: FilterResults,
}

impl<'a> Detail<'a> {
    fn of(message: &'a str) -> Detail<'a> {
        Detail { message, kind: None, param: None, code: None, status: None, innererror: None }
    }
}
