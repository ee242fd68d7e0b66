//! The llm service and the official `openai` package for Python, which knows nothing of it: whatever
//! the package does, the service's ledger has it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests panic to fail, and say what they skip"
)]

#[path = "support/peers.rs"]
#[allow(dead_code, reason = "its servers are for other tests")]
mod peers;
#[path = "support/reference.rs"]
mod reference;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mock_server::faults::{Faults, Kind, Rule};
use mock_server::latency::{Distribution, Latency};
use mock_server::ledger::Snapshot;
use mock_server::{Behaviour, Llm};
use reference::Reference;
use serde_json::Value;

/// A service with a key, that answers at once.
fn quick() -> Llm {
    Llm { latency: Latency::ZERO, api_keys: vec!["right".to_owned()], ..Llm::default() }
}

fn start(llm: Llm) -> Reference {
    Reference::of(Behaviour::Llm(llm))
}

/// Runs a script against a service and returns what it printed; none where Python's packages are
/// missing.
fn run(script: &str, service: &Reference) -> Option<String> {
    // The interpreter of the environment that has the packages.
    let python = peers::program("uvicorn")?.with_file_name("python");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/openai_sdk");
    let mut command = Command::new(python);
    for (name, _) in std::env::vars().filter(|(name, _)| is_of_environment(name)) {
        command.env_remove(name);
    }
    let output = command
        .arg(folder.join(script))
        .arg(&service.url)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .expect("python starts");
    let (out, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {out}{errors}");
    Some(out.trim().to_owned())
}

/// Variables that would change what a client does: addresses, keys and proxies.
fn is_of_environment(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("openai_") || name.starts_with("azure_") || name.ends_with("_proxy")
}

/// The ledger once nothing is in flight.
fn settled(service: &Reference) -> Snapshot {
    let begun = Instant::now();
    loop {
        let ledger = service.ledger();
        if ledger.requests.in_flight == 0 || begun.elapsed() > Duration::from_secs(30) {
            return ledger;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Answers of chat completions with this status, on both routes.
fn answers(ledger: &Snapshot, status: u16) -> u64 {
    let chats = ledger.routes.iter().filter(|(name, _)| name.ends_with("/chat/completions"));
    chats.filter_map(|(_, route)| route.statuses.get(&status)).map(|figures| figures.count).sum()
}

/// What a script counted, held against the ledger.
fn assert_counted(said: &str, ledger: &Snapshot) {
    let counted: Value = serde_json::from_str(said).expect(said);
    assert_eq!(counted["calls"], answers(ledger, 200));
    assert_eq!(counted["prompt"], ledger.tokens.prompt);
    assert_eq!(counted["completion"], ledger.tokens.completion);
}

#[test]
fn both_classes_complete_stream_and_parse() {
    let service = start(quick());
    let Some(said) = run("completions.py", &service) else { return };
    let ledger = settled(&service);
    assert_counted(&said, &ledger);
    let streams = ledger.routes.values().map(|route| &route.streams);
    assert_eq!(streams.clone().map(|streams| streams.whole).sum::<u64>(), 4);
    assert_eq!(streams.map(|streams| streams.chunks).sum::<u64>(), 4 * 50);
    assert_eq!(ledger.requests.answered, answers(&ledger, 200) + 1, "and the list of models");
}

#[test]
fn fifty_calls_at_once_are_fifty_in_the_ledger() {
    let latency = Latency {
        per_token: Distribution::Fixed(Duration::from_millis(1)),
        ..Latency::of(Distribution::Fixed(Duration::from_millis(300)))
    };
    let service = start(Llm { latency, ..quick() });
    let Some(said) = run("many.py", &service) else { return };
    let ledger = settled(&service);
    assert_counted(&said, &ledger);
    assert_eq!(answers(&ledger, 200), 50);
    assert_eq!(ledger.requests.abandoned, 0);
    assert!(ledger.peak_in_flight > 25, "they ran together: {}", ledger.peak_in_flight);
}

#[test]
fn errors_are_the_packages_own_exceptions() {
    let names = vec!["gpt-4o".to_owned()];
    let service = start(Llm { models: names.clone(), deployments: names, ..quick() });
    let Some(said) = run("errors.py", &service) else { return };
    assert_eq!(said, "ok");
    let ledger = settled(&service);
    let counts = [401, 404, 400, 200].map(|status| answers(&ledger, status));
    assert_eq!(counts, [2, 2, 2, 1]);
}

#[test]
fn a_content_filter_refuses_a_prompt_and_cuts_an_answer() {
    let rules = vec![Rule::every(Kind::Filtered, 2), Rule::always(Kind::ContentFilter)];
    let service = start(Llm { faults: Faults::new(rules).unwrap(), ..quick() });
    let Some(said) = run("content_filter.py", &service) else { return };
    assert_eq!(said, "ok");
    let ledger = settled(&service);
    assert_eq!([400, 200].map(|status| answers(&ledger, status)), [1, 1]);
}

#[test]
fn refusals_are_retried_exactly_as_often_as_needed() {
    let retry_after = Some(Duration::from_millis(20));
    let rule = Rule { retry_after, ..Rule::every(Kind::Status(429), 2) };
    let service = start(Llm { faults: Faults::new(vec![rule]).unwrap(), ..quick() });
    let Some(said) = run("retries.py", &service) else { return };
    assert_eq!(said, "ok");
    let ledger = settled(&service);
    // Six calls with retries: 1, 2-3, 4-5, 6-7, 8-9, 10-11; then 12 is refused and retried by nobody.
    assert_eq!([200, 429].map(|status| answers(&ledger, status)), [6, 6]);
    assert_eq!(ledger.faults["429"], 6);
}

#[test]
fn a_client_that_gives_up_is_abandoned() {
    let latency = Latency::of(Distribution::Fixed(Duration::from_secs(20)));
    let service = start(Llm { latency, ..quick() });
    let Some(said) = run("timeouts.py", &service) else { return };
    assert_eq!(said, "ok");
    let ledger = settled(&service);
    // One, one, and one with a retry.
    assert_eq!(ledger.requests.abandoned, 4);
    assert_eq!(ledger.requests.answered, 0);
}
