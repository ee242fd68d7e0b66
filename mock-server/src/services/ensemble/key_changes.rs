//! What changed from each snapshot to the next.

mod parse;

use super::answer::{Failed, Snapshot};
use super::calls::{Bill, Calls, Purpose};
use super::prompts::{self, Dated};
use super::settings::{Ensemble, KeyChanges};

/// Finds the changes between snapshots, which are in order, and enters them: each snapshot but the
/// first gets what changed since the one before. Returns what failed. A single snapshot takes no
/// call.
pub(super) async fn enter(
    behaviour: &Ensemble,
    calls: &Calls,
    model: &str,
    snapshots: &mut [Snapshot],
    bill: &mut Bill<'_>,
) -> Vec<Failed> {
    if snapshots.len() < 2 {
        return Vec::new();
    }
    let dated: Vec<Dated<'_>> =
        snapshots.iter().map(|s| (s.date_label.as_str(), s.answer.as_str())).collect();
    let (lists, failed) = match behaviour.key_changes {
        KeyChanges::PerTransition => one_by_one(calls, model, &dated, bill).await,
        KeyChanges::Batched => batched(behaviour, calls, &dated, bill).await,
    };
    for (snapshot, list) in snapshots[1..].iter_mut().zip(lists) {
        snapshot.key_changes = list;
    }
    failed
}

async fn one_by_one(
    calls: &Calls,
    model: &str,
    snapshots: &[Dated<'_>],
    bill: &mut Bill<'_>,
) -> (Vec<Vec<String>>, Vec<Failed>) {
    let (mut lists, mut failures) = (Vec::new(), Vec::new());
    for pair in snapshots.windows(2) {
        let chat = prompts::transition(pair[0], pair[1], model);
        match calls.chat(Purpose::KeyChanges, &chat, bill).await {
            Ok(completion) => lists.push(parse::changes(&completion.content)),
            Err(error) => {
                failures.push(failed(Some(pair[1].0), error.to_string()));
                lists.push(Vec::new());
            }
        }
    }
    (lists, failures)
}

async fn batched(
    behaviour: &Ensemble,
    calls: &Calls,
    snapshots: &[Dated<'_>],
    bill: &mut Bill<'_>,
) -> (Vec<Vec<String>>, Vec<Failed>) {
    let chat = prompts::all_transitions(snapshots, behaviour);
    match calls.chat(Purpose::KeyChanges, &chat, bill).await {
        Ok(completion) => (parse::transitions(&completion.content, snapshots.len() - 1), vec![]),
        Err(error) => (Vec::new(), vec![failed(None, error.to_string())]),
    }
}

fn failed(label: Option<&str>, error: String) -> Failed {
    Failed { component: "key_changes".to_owned(), date_label: label.map(str::to_owned), error }
}
