//! Rows that fan out, retries and budgets, as a user runs them, held against the service's own
//! ledger.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/gander.rs"]
mod gander;
#[path = "support/reference.rs"]
mod reference;

use std::time::Duration;

use gander::{Finished, Gander, one_at_a_time};
use mock_server::faults::{Faults, Kind, Rule};
use mock_server::latency::{Distribution, Latency};
use mock_server::{Behaviour, Llm};
use proptest::prelude::*;
use reference::Reference;
use serde_json::Value;

/// A row of two case studies and two criteria: four requests.
const ROWS: &str = r#"
summary = "Each row fans out into case studies and criteria."
rows = "row"
[data]
row = [ { id = "r1" }, { id = "r2" }, { id = "r3" } ]
case = [ { name = "cs1" }, { name = "cs2" } ]
criterion = [ { name = "diagnosis" }, { name = "treatment" } ]
[[step]]
name = "query"
for_each = ["case", "criterion"]
concurrency = 4
post = "/v1/chat/completions"
json = { model = "m", messages = [ { role = "user", content = "row-{{ row.id }} {{ case.name }} {{ criterion.name }}" } ] }
usage = true
"#;

/// The same, with more keys for the step.
fn rows_with(keys: &str) -> String {
    format!("{ROWS}{keys}\n")
}

fn llm(rules: Vec<Rule>) -> Reference {
    llm_after(Duration::from_millis(3), rules)
}

fn llm_after(latency: Duration, rules: Vec<Rule>) -> Reference {
    Reference::of(Behaviour::Llm(Llm {
        latency: Latency::of(Distribution::Fixed(latency)),
        faults: Faults::new(rules).expect("rules that add up"),
        ..Llm::default()
    }))
}

fn limited_every(n: u64) -> Rule {
    Rule::every(Kind::Status(429), n)
}

fn run(service: &Reference, scenario: &str, arguments: &str) -> Finished {
    let gander = Gander::new();
    let file = gander.scenario(scenario);
    gander.run(&format!("{file} {arguments} --target {}", service.url))
}

/// What `summary` says of the rule.
fn verdict<'a>(summary: &'a Value, rule: &str) -> &'a Value {
    let verdicts = summary["verdicts"].as_array().unwrap();
    let found = verdicts.iter().find(|verdict| verdict["rule"] == rule);
    found.unwrap_or_else(|| panic!("no {rule:?} in {verdicts:?}"))
}

#[test]
fn rules_of_rows_tokens_and_goodput_judge_what_the_ledger_has() {
    let _alone = one_at_a_time();
    // Every fifth query fails; a row of four queries stays whole where none of its four does.
    let service = llm(vec![limited_every(5)]);
    let held = [
        "row p95 < 20s",
        "row mean > 1ms",
        "failed rows > 79%",
        "failed rows < 81%",
        "tokens > 0.1",
        "goodput > 0.1",
        "good > 79%",
        "good < 81%",
        "query: good > 79%",
        "rows > 0.1",
    ];
    let broken = [
        "row p95 < 1ms",
        "failed rows < 79%",
        "tokens > 1000000000",
        "goodput > 1000000",
        "good > 81%",
    ];
    let rules = held.iter().chain(&broken).map(|rule| format!("[[slo]]\nrule = \"{rule}\"\n"));
    let keys = "all_or_nothing = true\ngoodput = { response_time = \"20s\" }\n";
    let scenario = rows_with(&(keys.to_owned() + &rules.collect::<String>()));
    let run = run(&service, &scenario, "--users 1 --iterations 100");
    let summary = run.summary();
    balances(&summary, &service);
    run.assert_valid_or_crowded();
    // 400 queries in order, each fifth of which fails: of five rows in a row, one is spared.
    let ledger = service.ledger();
    assert_eq!((ledger.requests.accepted, ledger.faults["429"]), (400, 80));
    for rule in held {
        assert_eq!(verdict(&summary, rule)["ruling"], "passed", "{summary}");
    }
    for rule in broken {
        assert_eq!(verdict(&summary, rule)["ruling"], "failed", "{summary}");
    }
    let said = |rule: &str| verdict(&summary, rule)["measured"].as_str().unwrap().to_owned();
    assert_eq!(said("failed rows < 81%"), "80.000% (80 of 100)");
    assert_eq!(said("good < 81%"), "80.000% (320 of 400)");
    // Tokens per second are the ledger's tokens at the pace of the answers that had them.
    let (total, number) = (&summary["total"], |value: &Value| value.as_f64().unwrap());
    assert_eq!(total["tokens"]["output"], ledger.tokens.completion);
    let pace = number(&total["ok_rps"]) * ledger.tokens.completion as f64 / 320.0;
    let ratio = number(&total["tokens"]["output_per_s"]) / pace;
    assert!((ratio - 1.0).abs() < 1e-6, "{ratio}");
    assert_eq!(run.code, if run.reasons().is_empty() { 1 } else { 4 }, "{}", run.stderr);
}

/// What must hold of every run: nothing is lost, here or there.
fn balances(summary: &Value, service: &Reference) {
    let ledger = &summary["ledger"];
    assert_eq!(ledger["balances"], true, "{ledger}");
    assert_eq!(ledger["in_flight"], 0, "{ledger}");
    let of = |name: &str| ledger[name].as_u64().unwrap();
    let ended =
        ["ok", "partial", "failed", "cancelled"].map(|end| of(&format!("iterations_{end}")));
    assert_eq!(of("iterations_started"), ended.iter().sum::<u64>(), "{ledger}");
    assert_eq!(service.ledger().requests.in_flight, 0);
}

#[test]
fn one_limited_query_fails_its_row_and_the_others_are_wasted() {
    let _alone = one_at_a_time();
    let service = llm(vec![limited_every(3)]);
    let run = run(&service, &rows_with("all_or_nothing = true"), "--users 1 --iterations 1");
    let summary = run.summary();
    balances(&summary, &service);
    let rows = &summary["rows"];
    assert_eq!((&rows["failed"], &rows["ok"], &rows["partial"]), (&1.into(), &0.into(), &0.into()));
    assert_eq!(rows["wasted_requests"], 3);
    assert_eq!(rows["counts_rows"], true);
    assert_eq!(service.ledger().requests.accepted, 4, "all of its requests are made");
    let failure = &rows["failures"][0];
    assert_eq!(failure["class"], "query: rate limited (429)");
    let example = failure["examples"][0].as_str().unwrap();
    assert!(example.starts_with("3 of 4 requests of step query succeeded; cs"), "{example}");
    assert!(example.ends_with(": rate limited (429)"), "{example}");
}

#[test]
fn of_a_hundred_rows_none_passes_and_133_queries_fail() {
    let _alone = one_at_a_time();
    let service = llm(vec![limited_every(3)]);
    let run = run(&service, &rows_with("all_or_nothing = true"), "--users 1 --iterations 100");
    let summary = run.summary();
    balances(&summary, &service);
    assert_eq!(summary["rows"]["failed"], 100);
    assert_eq!(summary["total"]["failed"], 133);
    assert_eq!(summary["rows"]["requests"], 400);
    let ledger = service.ledger();
    assert_eq!((ledger.requests.accepted, ledger.faults["429"]), (400, 133));
    assert!(ledger.sockets.accepted <= 4 + 1, "connections are used again");
    assert!(ledger.peak_in_flight <= 4);
}

#[test]
fn a_row_that_may_be_partial_goes_on_and_is_counted_so() {
    let _alone = one_at_a_time();
    let service = llm(vec![limited_every(6)]);
    let joined = rows_with("")
        + "\n[[step]]\nname = \"sum\"\nafter = \"query\"\nget = \"/v1/models?n={{ query | length }}\"\n";
    let run = run(&service, &joined, "--users 1 --iterations 12");
    let summary = run.summary();
    balances(&summary, &service);
    let rows = &summary["rows"];
    // 48 queries, 8 of which fail, each in a row of its own.
    assert_eq!((&rows["partial"], &rows["failed"]), (&8.into(), &0.into()));
    assert_eq!(rows["ok"], 4);
    assert_eq!(rows["requests"], 12 * 5, "each goes on to its last step");
    assert_eq!(rows["wasted_requests"], 0);
}

#[test]
fn attempts_and_requests_are_counted_apart_and_equal_the_ledger() {
    let _alone = one_at_a_time();
    let rule = Rule { retry_after: Some(Duration::from_secs(1)), ..limited_every(10) };
    let service = llm(vec![rule]);
    let retry = rows_with("all_or_nothing = true\nretry = { attempts = 4, longest = \"2s\" }");
    let run = run(&service, &retry, "--users 5 --iterations 20");
    let summary = run.summary();
    balances(&summary, &service);
    let ledger = service.ledger();
    let again = summary["total"]["outcomes"]["retried"].as_u64().unwrap();
    assert_eq!(summary["total"]["count"], 80, "requests");
    assert_eq!(80 + again, ledger.requests.accepted, "attempts");
    assert_eq!(again, ledger.faults["429"]);
    assert_eq!(summary["rows"]["ok"], 20);
    assert_eq!(summary["rows"]["attempts"].as_u64(), Some(80 + again));
    // Whoever was asked to wait a second did, and its response time holds it.
    let (response, service) =
        (&summary["total"]["response_time"], &summary["total"]["service_time"]);
    assert!(response["max_ms"].as_f64().unwrap() >= 1000.0, "{response}");
    assert!(service["max_ms"].as_f64() < response["max_ms"].as_f64());
}

#[test]
fn a_wait_that_is_asked_for_and_too_long_is_not_waited() {
    let _alone = one_at_a_time();
    let rule = Rule { retry_after: Some(Duration::from_secs(600)), ..limited_every(2) };
    let service = llm(vec![rule]);
    let retry = rows_with("retry = { attempts = 4, longest = \"2s\" }");
    let run = run(&service, &retry, "--users 1 --iterations 3");
    let summary = run.summary();
    balances(&summary, &service);
    assert_eq!(summary["total"]["outcomes"]["retried"], Value::Null);
    assert_eq!(service.ledger().requests.accepted, 12);
    assert_eq!(summary["rows"]["partial"], 3);
}

#[test]
fn a_budget_of_requests_is_never_exceeded() {
    let _alone = one_at_a_time();
    let service = llm(vec![]);
    let run = run(&service, ROWS, "--users 7 --duration 60s --max-requests 101");
    let summary = run.summary();
    balances(&summary, &service);
    assert_eq!(summary["stop"], "budget");
    assert_eq!(service.ledger().requests.accepted, 101);
    assert_eq!(summary["ledger"]["sent"], 101);
    assert_eq!(summary["total"]["ok"], 101, "those in flight came to their end");
    assert_eq!(summary["rows"]["failed"], 0);
}

#[test]
fn a_budget_of_tokens_ends_the_run() {
    let _alone = one_at_a_time();
    let service = llm(vec![]);
    let run = run(&service, ROWS, "--users 2 --duration 60s --max-tokens 5000");
    let summary = run.summary();
    balances(&summary, &service);
    assert_eq!(summary["stop"], "budget");
    let tokens = service.ledger().tokens;
    let (used, requests) = (tokens.prompt + tokens.completion, service.ledger().requests.accepted);
    assert!(used >= 5000);
    // Eight were in flight at most when it was used up, of no more than 300 tokens each.
    assert!(used <= 5000 + 8 * 300, "{used} tokens in {requests} requests");
}

#[test]
fn a_budget_of_cost_without_prices_is_bad_input() {
    let gander = Gander::new();
    let file = gander.scenario(ROWS);
    let run = gander.run(&format!("{file} --max-cost 1.5 --target http://127.0.0.1:9"));
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("has a budget of cost and no price"), "{}", run.stderr);
}

#[test]
fn an_interrupt_in_the_middle_of_fan_outs_loses_no_request() {
    let _alone = one_at_a_time();
    let service = llm_after(Duration::from_millis(300), vec![]);
    let gander = Gander::new();
    let file = gander.scenario(&rows_with("all_or_nothing = true"));
    let mut started =
        gander.start(&format!("{file} --users 5 --duration 60s --target {}", service.url));
    started.until("requests are under way", || service.ledger().requests.accepted > 12);
    started.signal("INT");
    let run = started.ended_within(Duration::from_secs(60));
    let summary = run.summary();
    assert_eq!(run.code, 130, "{}", run.stderr);
    balances(&summary, &service);
    assert_eq!(summary["ledger"]["sent"].as_u64(), Some(service.ledger().requests.accepted));
}

#[test]
fn iterations_at_the_same_time_do_not_mix_their_values() {
    let _alone = one_at_a_time();
    let service = Reference::of(Behaviour::Llm(Llm {
        latency: Latency::of(
            Distribution::around(Duration::from_millis(6), Duration::from_millis(5)).unwrap(),
        ),
        replies: mock_server::Reply::Echo,
        ..Llm::default()
    }));
    // Each iteration tags its prompts; what comes back is sent again by the next step, and must be
    // its own.
    let tagged = r#"
summary = "Tags."
[data]
part = [ "a", "b", "c" ]
[[step]]
name = "first"
for_each = "part"
concurrency = 3
all_or_nothing = true
post = "/v1/chat/completions"
json = { model = "m", messages = [ { role = "user", content = "tag-{{ user }}-{{ iteration }}-{{ part }}" } ] }
extract = { said = "choices[0].message.content" }
[step.expect]
body_contains = "tag-{{ user }}-{{ iteration }}-{{ part }}"
[[step]]
name = "second"
after = "first"
post = "/v1/chat/completions"
json = { model = "m", messages = [ { role = "user", content = "{% for one in first %}{{ one.part }}={{ one.said }};{% endfor %}" } ] }
[step.expect]
body_contains = "a=tag-{{ user }}-{{ iteration }}-a;b=tag-{{ user }}-{{ iteration }}-b;c=tag-{{ user }}-{{ iteration }}-c;"
"#;
    let run = run(&service, tagged, "--users 8 --iterations 200");
    let summary = run.summary();
    balances(&summary, &service);
    assert_eq!(summary["rows"]["ok"], 200, "{}", run.stderr);
    assert_eq!(summary["rows"]["counts_rows"], false);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// One user makes one row after another, so that the requests of row `i` are the numbers `4i + 1` to
    /// `4i + 4`, in whatever order they come: a model says how each row ends.
    #[test]
    fn rows_and_requests_end_as_a_model_says(
        every in 1..9_u64,
        concurrency in 1..6_u64,
        all_or_nothing: bool,
        rows in 1..14_u64,
    ) {
        let _alone = one_at_a_time();
        let service = llm_after(Duration::from_millis(1), vec![limited_every(every)]);
        let keys = format!("all_or_nothing = {all_or_nothing}");
        let scenario = rows_with(&keys)
            .replace("concurrency = 4", &format!("concurrency = {concurrency}"));
        let run = run(&service, &scenario, &format!("--users 1 --iterations {rows}"));
        let summary = run.summary();
        balances(&summary, &service);
        let failed_in = |row: u64| (4 * row + 1..=4 * row + 4).filter(|n| n % every == 0).count();
        let ends: Vec<usize> = (0..rows).map(failed_in).collect();
        let failed = |count: usize| count == 4 || (all_or_nothing && count > 0);
        let of = |wanted: &dyn Fn(usize) -> bool| ends.iter().filter(|&&n| wanted(n)).count();
        let told = &summary["rows"];
        prop_assert_eq!(&told["ok"], of(&|n| n == 0), "{}", told);
        prop_assert_eq!(&told["failed"], of(&failed), "{}", told);
        prop_assert_eq!(&told["partial"], of(&|n| n > 0 && !failed(n)), "{}", told);
        prop_assert_eq!(&told["requests"], 4 * rows, "{}", told);
        let wasted: usize = ends.iter().filter(|&&n| failed(n)).map(|n| 4 - n).sum();
        prop_assert_eq!(&told["wasted_requests"], wasted, "{}", told);
        let ledger = service.ledger();
        prop_assert_eq!(ledger.requests.accepted, 4 * rows);
        prop_assert!(ledger.peak_in_flight <= concurrency.min(4));
        prop_assert_eq!(&summary["total"]["failed"], ends.iter().sum::<usize>());
    }
}
