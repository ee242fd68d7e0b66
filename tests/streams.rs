//! Streams as a user measures them, held against the reference service's own ledger.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/gander.rs"]
mod gander;
#[path = "support/reference.rs"]
mod reference;

use gander::{Finished, Gander, agrees_in_one_of_three, finished, one_at_a_time};
use mock_server::Behaviour;
use mock_server::ledger::{Snapshot, Streams};
use reference::Reference;
use serde_json::Value;

const ROUTE: &str = "POST /v1/chat/completions";
const TOKENS: u64 = 20;

/// A chat service as `settings` make it: TOML of `[llm]`.
fn llm(settings: &str) -> Reference {
    Reference::of(Behaviour::Llm(toml::from_str(settings).unwrap()))
}

/// Tokens 5 ms apart, the first after 20 ms.
const STEADY: &str =
    "latency = { base = \"20ms\", per_token = \"5ms\" }\nreplies = { words = \"20..20\" }";

/// A step that does no work, after the question.
const WIRE: &str = "[[step]]\nname = \"wire\"\nafter = \"chat\"\nget = \"/health\"\n";

/// One streamed question; `usage` asks for the tokens, `more` are lines of the step.
fn scenario(usage: bool, more: &str) -> String {
    format!(
        r#"
summary = "A question, answered in a stream."
[[step]]
name = "chat"
post = "/v1/chat/completions"
json = {{ model = "m", stream = true, stream_options = {{ include_usage = {usage} }}, messages = [{{ role = "user", content = "Why?" }}] }}
stream = true
timeout = "20s"
{more}
"#
    )
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value}"))
}

fn drive(
    service: &Reference,
    gander: &Gander,
    scenario: &str,
    users: u32,
    requests: u32,
) -> Finished {
    let scenario = gander.scenario(scenario);
    gander.run(&format!(
        "{scenario} --users {users} --iterations {requests} --target {}",
        service.url
    ))
}

#[test]
fn times_and_tokens_agree_with_the_ledger_at_1_10_and_100_users() {
    let _alone = one_at_a_time();
    for (users, requests) in [(1, 20), (10, 200), (100, 1000)] {
        agrees_in_one_of_three(|| {
            let service = llm(STEADY);
            let gander = Gander::new();
            let with_wire = scenario(true, "") + WIRE;
            let run = drive(&service, &gander, &with_wire, users, requests);
            run.assert_valid_or_crowded();
            let ledger = service.ledger();
            assert_counts(&run, &ledger, u64::from(requests));
            let reused = ledger.sockets.accepted <= u64::from(users) + 1;
            assert!(reused, "{} connections for {users} users", ledger.sockets.accepted);
            times_agree(&run, &ledger.routes[ROUTE].streams)
                .map_err(|why| format!("{users} users, {why}"))
        });
    }
}

/// What no crowd can change: each stream and each token is there once.
fn assert_counts(run: &Finished, ledger: &Snapshot, count: u64) {
    let summary = run.summary();
    let all = &summary["steps"][0];
    assert_eq!(summary["ledger"]["sent"], 2 * count);
    let streams = &ledger.routes[ROUTE].streams;
    assert_eq!((streams.begun, streams.whole, streams.chunks), (count, count, count * TOKENS));
    assert_eq!(all["ok"], count);
    assert_eq!(all["ttft"]["count"], count);
    assert_eq!(all["inter_chunk"]["count"], count * (TOKENS - 1));
    assert_eq!(all["tokens"]["reported"], count);
    assert_eq!(all["tokens"]["not_reported"], 0);
    assert_eq!(all["tokens"]["output"], count * TOKENS);
    assert!(all["tokens"]["input"].is_u64());
    for unreported in ["cached", "reasoning"] {
        assert!(all["tokens"][unreported].is_null(), "the service says nothing of {unreported}");
    }
    assert_eq!(all["ttft"], all["ttft_from_send"], "closed load is due when it is sent");

    // A stream's time per token is the mean of its gaps, for there is a token in each chunk.
    let (tpot, gaps) = (number(&all["tpot"]["mean_ms"]), number(&all["inter_chunk"]["mean_ms"]));
    assert!((tpot - gaps).abs() <= gaps * 0.001, "{tpot} and {gaps} ms a token");
}

/// Holds the times of a run against those of the service's ledger; what it says where they differ.
fn times_agree(run: &Finished, truth: &Streams) -> Result<(), String> {
    let summary = run.summary();
    let all = &summary["steps"][0];
    // A request comes to the service and its first event to gander: what the ledger cannot see
    // of that is what it cannot see of a whole stream either. The medians are free of a
    // processor that was away for a while. In the tails one late wake-up is the figure: of the
    // service, which its own ledger sees, or on the way. A route that does no work costs the way and
    // the scheduler, in this run, on this machine; others share it.
    let wire = number(&summary["steps"][1]["service_time"]["max_ms"]);
    for (what, truth) in [("ttft", &truth.first_chunk), ("inter_chunk", &truth.gaps)] {
        for (name, truth_ms, beyond, noise) in [
            ("p50_ms", truth.p50_ms, 0.5, 0.0),
            ("p95_ms", truth.p95_ms, 0.05, wire),
            ("p99_ms", truth.p99_ms, 0.01, wire),
        ] {
            // A percentile with less than two values beyond it is one late wake-up.
            if truth.count as f64 * beyond < 2.0 {
                continue;
            }
            let measured = number(&all[what][name]);
            let allowed = (truth_ms * 0.01).max(1.0) + noise;
            if (measured - truth_ms).abs() > allowed {
                return Err(format!(
                    "{what} {name}: {measured} ms against the service's {truth_ms} ms, wire {wire} ms"
                ));
            }
        }
    }
    Ok(())
}

#[test]
fn each_way_to_break_a_stream_has_its_outcome() {
    let _alone = one_at_a_time();
    for (fault, outcome, says) in [
        ("truncated", "incomplete", "without `[DONE]`"),
        ("half-body", "incomplete", ""),
        ("broken-sse", "incomplete", "without `[DONE]`"),
        ("invalid-json", "malformed", "is no JSON"),
        ("invalid-utf8", "malformed", "is no UTF-8"),
        ("missing-fields", "check_failed", "has content"),
        ("wrong-content-type", "check_failed", "text/event-stream"),
        (
            "error-event",
            "check_failed",
            "an error in event 4: The server had an error. (server_error)",
        ),
    ] {
        let service = llm(&format!("{STEADY}\nfaults = [{{ kind = \"{fault}\", every = 2 }}]"));
        let gander = Gander::new();
        let run = drive(&service, &gander, &scenario(true, ""), 1, 4);
        let summary = run.summary();
        let all = &summary["total"];
        assert_eq!(all["ok"], 2, "{fault}: {}", summary["errors"]);
        assert_eq!(all["outcomes"][outcome], 2, "{fault}: {}", summary["errors"]);
        let ledger = service.ledger();
        assert_eq!((ledger.requests.accepted, ledger.faults[fault]), (4, 2));
        assert_eq!(summary["ledger"]["sent"], 4);
        let told = summary["errors"][0]["examples"].to_string();
        assert!(told.contains(says), "{fault}: {told}");
        // With half of the requests failed, the slower half has no answer.
        let adjusted = &all["error_adjusted"];
        for time in ["response_time", "ttft"] {
            assert_eq!(adjusted[time]["failed"], 2, "{fault}");
            assert!(adjusted[time]["p50_ms"].is_number(), "{fault}: {adjusted}");
            assert_eq!(adjusted[time]["p90_ms"], "infinite", "{fault}");
        }
    }
}

#[test]
fn tokens_that_are_not_reported_are_not_measured() {
    let _alone = one_at_a_time();
    let service = llm(STEADY);
    let gander = Gander::new();
    let run = drive(&service, &gander, &scenario(false, ""), 2, 6);
    let all = &run.summary()["total"];
    assert_eq!((all["ok"].as_u64(), &all["tokens"]), (Some(6), &Value::Null));
    assert_eq!(all["tpot"], Value::Null, "time per token needs the number of tokens");
    assert_eq!(all["inter_chunk"]["count"], 6 * (TOKENS - 1));
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    assert!(report.contains("reported its tokens"), "{report}");
}

#[test]
fn reports_show_goodput_and_cost_and_speak_dialects() {
    let _alone = one_at_a_time();
    let service = llm(STEADY);
    let gander = Gander::new();
    let written = scenario(true, "goodput = { ttft = \"15s\", response_time = \"10ms\" }");
    let written = written + "[price]\ncurrency = \"USD\"\nm = { input = 2.5, output = 10 }\n";
    let run = drive(&service, &gander, &written, 2, 10);
    let summary = run.summary();
    let all = &summary["total"];
    assert_eq!(all["goodput"]["judged"], 10);
    assert_eq!((&all["goodput"]["good"], &all["goodput"]["share"]), (&0.into(), &0.0.into()));
    let tokens = &all["tokens"];
    let exact = number(&tokens["input"]) * 2.5e-6 + number(&tokens["output"]) * 10e-6;
    assert!((number(&tokens["cost"]["total"]) - exact).abs() < 1e-12, "{tokens}");
    assert_eq!(tokens["cost"]["priced"], 10);

    for (tool, names) in [
        ("vllm", ["As vLLM counts", "E2EL"]),
        ("guidellm", ["As guidellm counts", "TPOT"]),
        ("aiperf", ["As aiperf counts", "ICL"]),
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gander"));
        command.arg("report").arg(gander.run_folder()).args(["--dialect", tool]);
        let shown = finished(command).stdout;
        for name in
            names.into_iter().chain(["Streams and tokens", "Goodput", "Time to first token"])
        {
            assert!(shown.contains(name), "{name} in\n{shown}");
        }
    }
}
