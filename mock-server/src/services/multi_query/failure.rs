//! Why a query has no outputs.

use serde::Serialize;

use crate::upstream::CallError;

/// Why a query failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    /// The row lacks a field, or the template cannot be filled in. Nothing was called.
    TemplateRenderingFailed,
    /// Status 429 with an engine that tries nothing again.
    RateLimited,
    /// Status 503 or 529 with an engine that tries nothing again.
    CapacityExhausted,
    /// Status 429, 503 or 529 until the time for trying again was over.
    RetryTimeout,
    /// Another status from 400 to 499 but 408 and 409, or a content filter that withheld the answer:
    /// the same call would fail again.
    PermanentError,
    /// Any other status, no answer in time, no connection, an answer that broke off or is no chat
    /// completion.
    LlmCallFailed,
    /// The answer ended at the limit of its length.
    ResponseTruncated,
    /// What the model wrote is no JSON.
    JsonParseFailed,
    /// What the model wrote is JSON but no object.
    InvalidJsonType,
    /// The object lacks a field of the output mapping.
    MissingOutputField,
    /// A field is not what the output mapping says.
    TypeMismatch,
}

impl Reason {
    /// The name in answers and statistics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Reason::TemplateRenderingFailed => "template_rendering_failed",
            Reason::RateLimited => "rate_limited",
            Reason::CapacityExhausted => "capacity_exhausted",
            Reason::RetryTimeout => "retry_timeout",
            Reason::PermanentError => "permanent_error",
            Reason::LlmCallFailed => "llm_call_failed",
            Reason::ResponseTruncated => "response_truncated",
            Reason::JsonParseFailed => "json_parse_failed",
            Reason::InvalidJsonType => "invalid_json_type",
            Reason::MissingOutputField => "missing_output_field",
            Reason::TypeMismatch => "type_mismatch",
        }
    }
}

/// Why a query failed, with what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Failure {
    pub reason: Reason,
    pub message: String,
    /// Status of the last call's answer, where it is not 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The field of the answer that is missing or wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Failure {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Failure {
        Failure { reason, message: message.into(), status: None, field: None }
    }

    /// The failure of a call that is not tried again.
    pub(super) fn of_call(error: &CallError) -> Failure {
        let CallError::Status { status, .. } = *error else {
            return Failure::new(Reason::LlmCallFailed, error.to_string());
        };
        let reason = match status {
            429 => Reason::RateLimited,
            503 | 529 => Reason::CapacityExhausted,
            408 | 409 => Reason::LlmCallFailed,
            400..=499 => Reason::PermanentError,
            _ => Reason::LlmCallFailed,
        };
        Failure { status: Some(status), ..Failure::new(reason, error.to_string()) }
    }

    /// The failure of a call that was tried again until the time for it was over.
    pub(super) fn out_of_time(error: &CallError, seconds: f64) -> Failure {
        let message = format!("no capacity within {seconds} s; at last: {error}");
        Failure { reason: Reason::RetryTimeout, message, ..Failure::of_call(error) }
    }
}

/// Whether the upstream has no capacity now, and may have it later.
pub(super) fn is_of_capacity(error: &CallError) -> bool {
    matches!(error, CallError::Status { status: 429 | 503 | 529, .. })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn status(status: u16) -> CallError {
        CallError::Status { status, code: None, message: String::new(), retry_after: None }
    }

    #[test]
    fn each_status_has_its_reason() {
        for (code, reason) in [
            (429, Reason::RateLimited),
            (503, Reason::CapacityExhausted),
            (529, Reason::CapacityExhausted),
            (400, Reason::PermanentError),
            (401, Reason::PermanentError),
            (404, Reason::PermanentError),
            (408, Reason::LlmCallFailed),
            (500, Reason::LlmCallFailed),
            (502, Reason::LlmCallFailed),
        ] {
            assert_eq!(Failure::of_call(&status(code)).reason, reason, "{code}");
            let is_capacity = matches!(reason, Reason::RateLimited | Reason::CapacityExhausted);
            assert_eq!(is_of_capacity(&status(code)), is_capacity, "{code}");
        }
        let timeout = CallError::Timeout(Duration::from_secs(1));
        assert_eq!(Failure::of_call(&timeout).reason, Reason::LlmCallFailed);
    }

    #[test]
    fn names_are_those_of_the_serialised_form() {
        for reason in [Reason::TemplateRenderingFailed, Reason::LlmCallFailed, Reason::TypeMismatch]
        {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
        }
    }
}
