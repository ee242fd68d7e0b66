//! How the answers developed: one call over all snapshots.

use serde::Deserialize;

use super::calls::{Bill, CallFailure, Calls, Purpose};
use super::prompts::{self, Dated};
use crate::services::fence::unfenced;

/// At most this many insights are drawn from a plain text.
const INSIGHTS: usize = 3;

/// How the answers developed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Narrative {
    pub text: String,
    pub insights: Vec<String>,
    pub change_velocity: String,
    pub future_outlook: String,
}

/// Asks for the narrative. `changes` is the number of key changes found, `transitions` of the
/// transitions between snapshots: they tell the change velocity where the model does not.
pub(super) async fn ask(
    calls: &Calls,
    model: &str,
    question: &str,
    snapshots: &[Dated<'_>],
    changes: usize,
    bill: &mut Bill<'_>,
) -> Result<Narrative, CallFailure> {
    let chat = prompts::narrative(question, snapshots, model);
    let completion = calls.chat(Purpose::Narrative, &chat, bill).await?;
    let transitions = snapshots.len().saturating_sub(1);
    Ok(read(&completion.content, velocity(changes, transitions)))
}

/// A JSON object with a narrative, or a plain text: its first sentences are the insights then, and
/// its last one is the outlook.
fn read(content: &str, velocity: &str) -> Narrative {
    #[derive(Deserialize)]
    struct Written {
        narrative: String,
        #[serde(default)]
        insights: Vec<String>,
        change_velocity: Option<String>,
        future_outlook: Option<String>,
    }
    let written = serde_json::from_str::<Written>(unfenced(content)).unwrap_or_else(|_| Written {
        narrative: content.trim().to_owned(),
        insights: Vec::new(),
        change_velocity: None,
        future_outlook: None,
    });
    let sentences: Vec<&str> = written
        .narrative
        .split_inclusive(['.', '!', '?', '\n'])
        .map(str::trim)
        .filter(|sentence| !sentence.is_empty())
        .collect();
    let insights = match written.insights.is_empty() {
        true => sentences.iter().take(INSIGHTS).map(|text| (*text).to_owned()).collect(),
        false => written.insights,
    };
    let outlook = || sentences.last().copied().unwrap_or_default().to_owned();
    Narrative {
        insights,
        change_velocity: written.change_velocity.unwrap_or_else(|| velocity.to_owned()),
        future_outlook: written.future_outlook.unwrap_or_else(outlook),
        text: written.narrative,
    }
}

/// Slow below one key change a transition, rapid from three on, moderate between.
fn velocity(changes: usize, transitions: usize) -> &'static str {
    match changes {
        _ if changes < transitions => "slow",
        _ if transitions > 0 && changes >= 3 * transitions => "rapid",
        _ => "moderate",
    }
}

#[cfg(test)]
mod tests {
    use super::{read, velocity};

    #[test]
    fn a_json_object_says_it_all() {
        let content = r#"{"narrative": "A. B.", "insights": ["c"], "change_velocity": "rapid",
                          "future_outlook": "d"}"#;
        let narrative = read(content, "slow");
        assert_eq!(narrative.text, "A. B.");
        assert_eq!(narrative.insights, ["c"]);
        assert_eq!(
            (narrative.change_velocity, narrative.future_outlook),
            ("rapid".into(), "d".into())
        );
    }

    #[test]
    fn of_a_plain_text_the_first_sentences_are_insights_and_the_last_is_the_outlook() {
        let narrative = read(" One. Two! Three? Four. Five. ", "moderate");
        assert_eq!(narrative.text, "One. Two! Three? Four. Five.");
        assert_eq!(narrative.insights, ["One.", "Two!", "Three?"]);
        assert_eq!(narrative.future_outlook, "Five.");
        assert_eq!(narrative.change_velocity, "moderate");
    }

    #[test]
    fn velocity_is_the_number_of_changes_a_transition() {
        let all = [(0, 3), (3, 3), (8, 3), (9, 3), (0, 0)].map(|(c, t)| velocity(c, t));
        assert_eq!(all, ["slow", "moderate", "moderate", "rapid", "moderate"]);
    }
}
