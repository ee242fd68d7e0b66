//! Chat completions as they are written: the whole ones and the chunks of streams.

use serde::{Serialize, Serializer};

use super::errors::{self, Dialect};
use super::reply::{Choice, Finish};

/// What all parts of one answer have in common.
#[derive(Debug, Clone)]
pub(super) struct Heading {
    pub dialect: Dialect,
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    pub model: Box<str>,
}

const FINGERPRINT: &str = "fp_reference";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub total_tokens: u64,
}

/// What Azure's content filter found.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct FilterResults {
    hate: Severity,
    self_harm: Severity,
    sexual: Severity,
    violence: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    jailbreak: Option<Detection>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Severity {
    filtered: bool,
    severity: &'static str,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Detection {
    filtered: bool,
    detected: bool,
}

impl FilterResults {
    const SAFE: FilterResults = {
        let safe = Severity { filtered: false, severity: "safe" };
        FilterResults { hate: safe, self_harm: safe, sexual: safe, violence: safe, jailbreak: None }
    };
    const OF_PROMPT: FilterResults = FilterResults {
        jailbreak: Some(Detection { filtered: false, detected: false }),
        ..FilterResults::SAFE
    };
    const OF_FILTERED_ANSWER: FilterResults = FilterResults {
        hate: Severity { filtered: true, severity: "medium" },
        ..FilterResults::SAFE
    };
    pub(super) const OF_REFUSED_PROMPT: FilterResults = FilterResults {
        hate: Severity { filtered: true, severity: "high" },
        ..FilterResults::OF_PROMPT
    };

    /// Of a choice; only Azure tells.
    fn of(dialect: Dialect, finish: Option<Finish>) -> Option<FilterResults> {
        (dialect == Dialect::Azure).then_some(match finish {
            Some(Finish::ContentFilter) => FilterResults::OF_FILTERED_ANSWER,
            _ => FilterResults::SAFE,
        })
    }
}

#[derive(Debug, Serialize)]
struct PromptFilterResults {
    prompt_index: u32,
    content_filter_results: FilterResults,
}

const PROMPT_IS_SAFE: [PromptFilterResults; 1] =
    [PromptFilterResults { prompt_index: 0, content_filter_results: FilterResults::OF_PROMPT }];

/// A whole completion.
pub(super) fn completion(heading: &Heading, choices: &[Choice], usage: Usage) -> Vec<u8> {
    #[derive(Serialize)]
    struct Completion<'a> {
        id: &'a str,
        object: &'static str,
        created: u64,
        model: &'a str,
        #[serde(serialize_with = "in_order")]
        choices: (Dialect, &'a [Choice]),
        usage: Usage,
        system_fingerprint: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        prompt_filter_results: Option<[PromptFilterResults; 1]>,
    }
    #[derive(Serialize)]
    struct Whole<'a> {
        index: usize,
        message: Message<'a>,
        logprobs: (),
        finish_reason: Finish,
        #[serde(skip_serializing_if = "Option::is_none")]
        content_filter_results: Option<FilterResults>,
    }
    #[derive(Serialize)]
    struct Message<'a> {
        role: &'static str,
        content: &'a str,
        refusal: (),
    }
    fn in_order<S: Serializer>(
        (dialect, choices): &(Dialect, &[Choice]),
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(choices.iter().enumerate().map(|(index, choice)| Whole {
            index,
            message: Message { role: "assistant", content: &choice.text, refusal: () },
            logprobs: (),
            finish_reason: choice.finish,
            content_filter_results: FilterResults::of(*dialect, Some(choice.finish)),
        }))
    }
    // Room for the texts and what stands around them.
    let length: usize = choices.iter().map(|choice| choice.text.len() + 128).sum();
    let mut out = Vec::with_capacity(length + 384);
    let completion = Completion {
        id: &heading.id,
        object: "chat.completion",
        created: heading.created,
        model: &heading.model,
        choices: (heading.dialect, choices),
        usage,
        system_fingerprint: FINGERPRINT,
        prompt_filter_results: (heading.dialect == Dialect::Azure).then_some(PROMPT_IS_SAFE),
    };
    write(&mut out, &completion);
    out
}

/// What a chunk of a stream brings to a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News<'a> {
    Role,
    Content(&'a str),
    Finish(Finish),
}

/// Writes the events of one stream.
#[derive(Debug)]
pub(super) struct Events {
    pub heading: Heading,
    /// Whether a chunk with the usage comes at the end; the others say `null` then.
    pub include_usage: bool,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: &'static str,
    choices: &'a [Part<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

#[derive(Serialize)]
struct Part<'a> {
    index: usize,
    delta: Delta<'a>,
    logprobs: (),
    finish_reason: Option<Finish>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_filter_results: Option<FilterResults>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

impl Events {
    /// Azure's verdict on the prompt, which no choice belongs to.
    pub(super) fn prompt_filter(&self, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Verdict {
            choices: [(); 0],
            created: u64,
            id: &'static str,
            model: &'static str,
            object: &'static str,
            prompt_filter_results: [PromptFilterResults; 1],
        }
        let (id, model, object) = ("", "", "");
        let (choices, prompt_filter_results) = ([], PROMPT_IS_SAFE);
        event(out, &Verdict { choices, created: 0, id, model, object, prompt_filter_results });
    }

    pub(super) fn chunk(&self, out: &mut Vec<u8>, index: usize, news: News<'_>) {
        let (delta, finish_reason) = match news {
            News::Role => (Delta { role: Some("assistant"), content: Some("") }, None),
            News::Content(text) => (Delta { role: None, content: Some(text) }, None),
            News::Finish(finish) => (Delta::default(), Some(finish)),
        };
        let filter = match news {
            News::Role => None,
            _ => FilterResults::of(self.heading.dialect, finish_reason),
        };
        let part =
            Part { index, delta, logprobs: (), finish_reason, content_filter_results: filter };
        event(out, &self.of(&[part], self.include_usage.then_some(None)));
    }

    /// An error in place of the rest.
    pub(super) fn error(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&errors::in_answer(self.heading.dialect));
        out.extend_from_slice(b"\n\n");
    }

    /// The chunk with the usage, if it was asked for, and the end marker.
    pub(super) fn end(&self, out: &mut Vec<u8>, usage: Usage) {
        if self.include_usage {
            event(out, &self.of(&[], Some(Some(usage))));
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn of<'a>(&'a self, choices: &'a [Part<'a>], usage: Option<Option<Usage>>) -> Chunk<'a> {
        Chunk {
            id: &self.heading.id,
            object: "chat.completion.chunk",
            created: self.heading.created,
            model: &self.heading.model,
            system_fingerprint: FINGERPRINT,
            choices,
            usage,
        }
    }
}

fn event(out: &mut Vec<u8>, data: &impl Serialize) {
    out.extend_from_slice(b"data: ");
    write(out, data);
    out.extend_from_slice(b"\n\n");
}

fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("invariant: a buffer takes what JSON can hold");
}
