//! What GitHub Actions is told of a gate: workflow commands, which it shows as annotations, and the
//! outputs of the step.
//!
//! Escapes are those of the toolkit, `packages/core/src/command.ts`.

use crate::report::inert;

use super::Told;
use super::cases::{Case, Outcome, cases};

/// Annotations of one kind that are shown of a step; more are lost without a word.
const MOST: usize = 10;

/// `::error` for each figure that regressed and each rule that does not hold, `::warning` for what is
/// inconclusive; a line each.
pub fn annotations(told: &Told<'_>) -> Vec<String> {
    let cases = cases(told);
    let of = |level: &str, outcome: Outcome| {
        let found: Vec<&Case> = cases.iter().filter(|case| case.outcome == outcome).collect();
        let (named, rest) = match found.len() > MOST {
            true => found.split_at(MOST - 1),
            false => (found.as_slice(), [].as_slice()),
        };
        let mut lines: Vec<String> = named
            .iter()
            .map(|case| {
                let title = format!("gander gate {}: {}", told.record.scenario, case.name);
                command(level, &title, &case.says)
            })
            .collect();
        if !rest.is_empty() {
            let title = format!("gander gate {}", told.record.scenario);
            lines.push(command(level, &title, &format!("{} more: see the report", rest.len())));
        }
        lines
    };
    [of("error", Outcome::Failed), of("warning", Outcome::Unclear)].concat()
}

/// The annotation of a gate that could not be carried out.
pub fn failure(scenario: &str, why: &str) -> String {
    command("error", &format!("gander gate {scenario}"), why)
}

/// Outputs of the step, in the form of the file that `GITHUB_OUTPUT` names.
pub fn outputs(verdict: &str, folder: &str) -> String {
    // A line break would begin another output.
    format!("verdict={verdict}\nfolder={}\n", inert::visible(folder))
}

/// A workflow command.
fn command(level: &str, title: &str, message: &str) -> String {
    let (title, message) = (inert::visible(title), inert::visible(message));
    format!("::{level} title={}::{}", property(&title), data(&message))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_workflow_command_is_made_of_is_escaped() {
        assert_eq!(
            command("error", "a:b,c%\r\nd", "100%: x, y\n::warning::z"),
            r"::error title=a%3Ab%2Cc%25\r\nd::100%25: x, y\n::warning::z"
        );
        assert_eq!(data("1\r\n%"), "1%0D%0A%25");
    }

    #[test]
    fn an_output_stays_one_line() {
        assert_eq!(
            outputs("passed", "a\nverdict=failed"),
            "verdict=passed\nfolder=a\\nverdict=failed\n"
        );
    }
}
