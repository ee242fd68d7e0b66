//! Rules on profiles: which kind of function takes the time.

use crate::analysis::diagnose::Confidence;
use crate::analysis::diagnose::evidence::{Evidence, Facts};
use crate::analysis::diagnose::words::{millis, percent};
use crate::analysis::profile::Profiled;
use crate::measure::resource::Observed;
use crate::profile::Counts;
use crate::stats::normal;

use super::{Found, Judgement};

/// Words of functions that wait for locks, or hand them over.
const LOCKS: [&str; 9] =
    ["mutex", "rwlock", "futex", "spinlock", "lll", "gil", "parking", "lock", "semaphore"];
/// Words of functions that write a log.
const LOGS: [&str; 8] =
    ["log", "logs", "logger", "logging", "structlog", "loguru", "slog", "syslog"];
/// Words of functions that turn values into text or bytes, and back.
const FORMS: [&str; 14] = [
    "json",
    "serde",
    "orjson",
    "ujson",
    "pickle",
    "marshal",
    "protobuf",
    "prost",
    "msgpack",
    "serialize",
    "deserialize",
    "serializer",
    "yaml",
    "pydantic",
];
/// Words of the loops of event-driven services.
const LOOPS: [&str; 4] = ["asyncio", "uvloop", "libuv", "tornado"];
/// A loop that waits for events stands in one of these.
const IDLE: [&str; 5] = ["select", "poll", "epoll", "kevent", "epoll_wait"];
/// A loop is blocked by a function in which it stands for so much of its time.
const BLOCKED: f64 = 0.5;

/// Whether one of the words stands in a name: letters and digits between other signs are words, and so
/// are the parts of `snake_case`.
fn has_word(name: &str, words: &[&str]) -> bool {
    let lower = name.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).any(|word| words.contains(&word))
}

/// Samples of stacks in which a function has one of the words, and the one with the most.
fn samples(profiled: &Profiled, words: &[&str]) -> (u64, Option<String>) {
    let stacks = profiled.folded.stacks();
    let with = stacks.filter(|(stack, _)| stack.iter().any(|name| has_word(name, words)));
    let count = with.map(|(_, times)| times).sum();
    let rows = profiled.functions.by_cumulative();
    let main = rows.into_iter().find(|row| has_word(&row.name, words)).map(|row| row.name);
    (count, main)
}

/// What is looked for in the profile of processor time.
struct Sought {
    words: &'static [&'static str],
    least: f64,
    what: &'static str,
    advice: &'static str,
}

fn judge(facts: &Facts<'_, '_>, sought: &Sought) -> Judgement {
    let Some(findings) = facts.evidence.profile else {
        return Judgement::NotJudged(
            "no profile was taken: use gander profile, or --profile".to_owned(),
        );
    };
    let Some(profiled) = findings.target_cpu() else {
        return Judgement::NotJudged("the profile has no CPU time of the target".to_owned());
    };
    if !profiled.is_sound() {
        return Judgement::NotJudged(format!(
            "the profile is weak: {}",
            profiled.weaknesses.join("; ")
        ));
    }
    let (hits, main) = samples(profiled, sought.words);
    let (share, all) = (profiled.share(hits), profiled.total() as f64);
    if share < sought.least {
        return Judgement::Clear;
    }
    let error = (share * (1.0 - share) / all).sqrt().max(1.0 / all);
    let mut evidence = vec![format!(
        "{} of the target's CPU time ({} of {} samples) is in {}.",
        percent(share),
        hits,
        profiled.total(),
        sought.what
    )];
    evidence.extend(main.map(|name| format!("Most of it below {name}.")));
    evidence.extend(
        profiled.ms_per_request(hits).map(|ms| format!("That is {} a request.", millis(ms))),
    );
    Judgement::Found(Found {
        advice: sought.advice.to_owned(),
        gain: format!(
            "At most {} less CPU time a request, and where processors are the limit 1 / (1 - share) = {:.2} times the throughput (Amdahl 1967).",
            percent(share),
            1.0 / (1.0 - share).max(1e-3)
        ),
        confidence: Some(Confidence::Sampled {
            share: normal::below((share - sought.least) / error),
        }),
        ..Found::with(evidence)
    })
}

/// Waiting for locks.
pub(super) fn lock_contention(facts: &Facts<'_, '_>) -> Judgement {
    judge(
        facts,
        &Sought {
            words: &LOCKS,
            least: 0.1,
            what: "locks",
            advice: "Hold locks for less time, or split what they guard; work on copies, and join results once.",
        },
    )
}

/// Writing logs.
pub(super) fn logging(facts: &Facts<'_, '_>) -> Judgement {
    judge(
        facts,
        &Sought {
            words: &LOGS,
            least: 0.05,
            what: "logging",
            advice: "Log less on the path of requests: a higher level, samples, a line a request and not one an item, a writer on a thread of its own.",
        },
    )
}

/// Making and reading forms such as JSON.
pub(super) fn serialisation(facts: &Facts<'_, '_>) -> Judgement {
    judge(
        facts,
        &Sought {
            words: &FORMS,
            least: 0.1,
            what: "serialisation",
            advice: "A quicker library, smaller bodies, or a binary form; validate once and not at each layer.",
        },
    )
}

/// The function in which an event loop stands, where a profile of threads' time shows one.
pub(super) fn blocked_loop(evidence: &Evidence<'_>) -> Option<String> {
    let mut wall = evidence.profile?.taken.iter().filter(|profiled| {
        profiled.record.who == Observed::Target && profiled.record.counts == Counts::Wall
    });
    let profiled = wall.next()?;
    let in_loop = || {
        profiled.folded.stacks().filter_map(|(stack, times)| {
            let at = stack.iter().rposition(|name| has_word(name, &LOOPS))?;
            Some((&stack[at + 1..], times))
        })
    };
    let all: u64 = in_loop().map(|(_, times)| times).sum();
    let mut by_function: std::collections::BTreeMap<&str, (u64, usize)> = Default::default();
    for (below, times) in in_loop() {
        if below.last().is_none_or(|name| has_word(name, &IDLE)) {
            continue;
        }
        for (depth, name) in below.iter().enumerate() {
            let seen = by_function.entry(name).or_default();
            *seen = (seen.0 + times, seen.1.max(depth));
        }
    }
    let held = |samples: u64| samples as f64 / all as f64;
    let blocking = by_function.iter().filter(|(_, (samples, _))| held(*samples) >= BLOCKED);
    // The innermost that has that much.
    let (name, (samples, _)) = blocking.max_by_key(|(_, (_, depth))| *depth)?;
    Some(format!(
        "The profile shows the event loop in {name} for {} of its time.",
        percent(held(*samples))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_from_parts_of_words() {
        let logs = ["mock::model::log", "info (logging/__init__.py)", "Logger._log"];
        assert!(logs.into_iter().all(|name| has_word(name, &LOGS)));
        let others = ["catalog::load", "login", "dialog", "blog_post"];
        assert!(!others.into_iter().any(|name| has_word(name, &LOGS)));
        assert!(has_word("pthread_mutex_lock", &LOCKS) && !has_word("block_on", &LOCKS));
    }
}
