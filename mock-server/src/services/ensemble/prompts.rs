//! What the chat completions service is asked. The first words of a prompt tell its kind.

use serde_json::json;

use super::settings::Ensemble;
use super::timeline::Point;
use crate::upstream::{Chat, Message};

/// Matches prompts of snapshots, from their first word.
pub(super) const SNAPSHOT: &str = "^Snapshot as of ";
/// Matches prompts for key changes, of one transition or of all.
pub(super) const KEY_CHANGES: &str = "^Key changes ";
/// Matches prompts of narratives.
pub(super) const NARRATIVE: &str = "^Evolution narrative ";

/// What a chat completions service that understands nothing answers to prompts for key changes: two
/// under each heading that it is to repeat, or two where there is none.
pub(super) const KEY_CHANGES_REPLY: &str = "\
{%- for heading in (prompt | lines | select('startingwith', 'Transition ') | list) or [''] -%}
{{ heading }}
- {{ words(6) }}
- {{ words(6) }}
{% endfor -%}";

/// The same for narratives.
pub(super) const NARRATIVE_REPLY: &str = r#"{
  "narrative": "{{ words(60) }}",
  "insights": ["{{ words(10) }}", "{{ words(10) }}", "{{ words(10) }}"],
  "change_velocity": "{{ ['slow', 'moderate', 'rapid'][random(0, 2)] }}",
  "future_outlook": "{{ words(25) }}"
}"#;

/// Longest answer that is asked for, tokens.
const ANSWER_TOKENS: u32 = 1_000;
/// Longest extraction that is asked for, tokens.
const EXTRACTION_TOKENS: u32 = 500;
/// So much of each answer is shown to the batched extraction, characters.
pub(super) const EXCERPT: usize = 600;

/// A snapshot's date label and answer, as later prompts quote it.
pub(super) type Dated<'a> = (&'a str, &'a str);

/// The answer to `question` as it would have been given at one point in time.
pub(super) fn snapshot(question: &str, point: &Point, model: &str) -> Chat {
    let (label, date) = (&point.label, &point.date);
    chat(
        model,
        ANSWER_TOKENS,
        format!(
            "Snapshot as of {label} ({date}): answer the question below with what was known then, \
             and with nothing that came later.\n\nQuestion: {question}"
        ),
    )
}

/// What changed from one snapshot to the next.
pub(super) fn transition(before: Dated<'_>, after: Dated<'_>, model: &str) -> Chat {
    chat(
        model,
        EXTRACTION_TOKENS,
        format!(
            "Key changes from {} to {}: name at most five, one a line, each line beginning with \
             \"- \".\n\n{}\n\n{}",
            before.0,
            after.0,
            section(before.0, before.1),
            section(after.0, after.1),
        ),
    )
}

/// What changed in each transition of all snapshots, from the beginnings of their answers.
pub(super) fn all_transitions(snapshots: &[Dated<'_>], behaviour: &Ensemble) -> Chat {
    let headings: Vec<String> = snapshots
        .windows(2)
        .zip(1..)
        .map(|(pair, number)| format!("Transition {number}: {} to {}", pair[0].0, pair[1].0))
        .collect();
    let sections: Vec<String> = snapshots
        .iter()
        .map(|(label, answer)| {
            let excerpt: String = answer.chars().take(EXCERPT).collect();
            section(label, &excerpt)
        })
        .collect();
    chat(
        &behaviour.extraction_model,
        EXTRACTION_TOKENS,
        format!(
            "Key changes in {} transitions: repeat each heading below, and under it name at most \
             five changes, one a line, each line beginning with \"- \".\n\n{}\n\n{}",
            headings.len(),
            headings.join("\n"),
            sections.join("\n\n"),
        ),
    )
}

/// How the answer developed over all snapshots.
pub(super) fn narrative(question: &str, snapshots: &[Dated<'_>], model: &str) -> Chat {
    let sections: Vec<String> =
        snapshots.iter().map(|(label, answer)| section(label, answer)).collect();
    let mut chat = chat(
        model,
        ANSWER_TOKENS,
        format!(
            "Evolution narrative of the answers below, as a JSON object with the fields narrative \
             (a text), insights (a list of texts), change_velocity (slow, moderate or rapid) and \
             future_outlook (a text).\n\nQuestion: {question}\n\n{}",
            sections.join("\n\n"),
        ),
    );
    chat.response_format = Some(json!({ "type": "json_object" }));
    chat
}

fn section(label: &str, answer: &str) -> String {
    format!("**{label}**:\n{answer}")
}

fn chat(model: &str, max_tokens: u32, prompt: String) -> Chat {
    Chat {
        model: model.to_owned(),
        messages: vec![Message::new("user", prompt)],
        temperature: Some(0.0),
        max_tokens: Some(max_tokens),
        response_format: None,
    }
}
