//! The pipelines that rows go through, as a user runs the shipped scenarios: a service that fans out
//! (`multi-query`), and gander itself (`multi-query-direct`). Counts are held against the services' own
//! ledgers, times against times of the same run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/gander.rs"]
mod gander;
#[path = "support/reference.rs"]
mod reference;

use std::process::{Command, Stdio};
use std::time::Duration;

use gander::{Finished, Gander, finished, one_at_a_time};
use mock_server::faults::{Faults, Kind, Rule};
use mock_server::latency::{Distribution, Latency};
use mock_server::ledger::{Figures, Snapshot};
use mock_server::{Behaviour, Llm, MultiQuery, QueryEngine, Reply, UpstreamSettings};
use reference::Reference;
use serde_json::Value;

/// All of these rows at once, as one batch.
const ONE_BATCH: &str = "--set rows.batch=100";

/// The two ways to do the same work.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Service,
    Direct,
}

/// Chat completions, and the multi-query service in front of them where there is one.
struct Pipeline {
    llm: Reference,
    service: Option<Reference>,
}

impl Pipeline {
    fn new(way: Way, llm: Llm, settings: MultiQuery) -> Pipeline {
        let llm = Reference::of(Behaviour::Llm(llm));
        let upstream =
            UpstreamSettings { endpoint: Some(llm.url.clone()), ..UpstreamSettings::default() };
        let settings = MultiQuery { upstream, ..settings };
        let service = || Reference::of(Behaviour::MultiQuery(settings));
        let service = (way == Way::Service).then(service);
        Pipeline { llm, service }
    }

    /// Runs a scenario on it, and holds what must hold of every run.
    fn run(&self, arguments: &str) -> Value {
        let url = &self.service.as_ref().unwrap_or(&self.llm).url;
        let run = Gander::new().run(&format!("{arguments} --target {url}"));
        let summary = run.summary();
        let ledger = &summary["ledger"];
        assert_eq!(ledger["balances"], true, "{ledger}");
        let served = self.service.as_ref().unwrap_or(&self.llm).ledger();
        assert_eq!(ledger["sent"], served.requests.accepted, "{ledger}");
        assert_eq!(served.requests.in_flight, 0);
        summary
    }

    /// Rows through the shipped scenario of this way.
    fn rows(&self, rows: u64) -> Value {
        let scenario = match self.service {
            Some(_) => format!("multi-query {ONE_BATCH}"),
            None => "multi-query-direct".to_owned(),
        };
        self.run(&format!("{scenario} --users 1 --rows {rows}"))
    }

    fn upstream(&self) -> Snapshot {
        self.llm.ledger()
    }
}

/// JSON that fits the service's schema, after this time.
fn llm(latency: Latency, rules: Vec<Rule>) -> Llm {
    let faults = Faults::new(rules).expect("rules that add up");
    Llm { latency, faults, ..Llm::default() }
}

fn after(millis: u64) -> Latency {
    Latency::of(Distribution::Fixed(Duration::from_millis(millis)))
}

fn limited_every(n: u64) -> Vec<Rule> {
    vec![Rule::every(Kind::Status(429), n)]
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value}"))
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a count: {value}"))
}

/// `gander COMMAND ARGUMENTS --format json`.
fn command(gander: &Gander, name: &str, arguments: &str) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command.arg(name).args(shell_words::split(arguments).unwrap()).stdin(Stdio::null());
    command.arg("--reports").arg(gander.reports()).args(["--format", "json"]);
    finished(command)
}

/// How long all rows took, from the first that was due to the last that was done, in seconds.
fn span(summary: &Value) -> f64 {
    let rows = &summary["rows"];
    count(&rows["ok"]) as f64 / number(&rows["ok_per_second"])
}

/// Completions of 50 ms, four at a time: no time is lost between them.
#[test]
fn a_hundred_rows_are_four_hundred_calls_and_keep_four_places_busy() {
    let _alone = one_at_a_time();
    for way in [Way::Service, Way::Direct] {
        let pipeline = Pipeline::new(way, llm(after(50), vec![]), MultiQuery::default());
        let summary = pipeline.rows(100);
        let rows = &summary["rows"];
        // A row without all of its outputs would have failed.
        assert_eq!((&rows["ok"], &rows["failed"]), (&100.into(), &0.into()), "{way:?}: {rows}");
        let upstream = pipeline.upstream();
        assert_eq!((upstream.requests.accepted, upstream.requests.answered), (400, 400), "{way:?}");
        assert_eq!(upstream.peak_in_flight, 4, "{way:?}");
        // 100 rows of 50 ms; as slow as this machine is, so were its completions.
        let ideal = 100.0 * completions(&upstream).mean_ms / 1e3;
        let took = span(&summary);
        assert!(took >= 0.99 * 5.0 && ideal / took > 0.85, "{way:?}: {took} s, ideally {ideal}");
    }
}

/// The times of completions as the service has them.
fn completions(upstream: &Snapshot) -> Figures {
    let mut routes = upstream.routes.values().filter_map(|route| route.statuses.get(&200));
    *routes.next().expect("completions")
}

#[test]
fn four_at_a_time_are_nearly_four_times_as_fast_as_one() {
    let _alone = one_at_a_time();
    for way in [Way::Service, Way::Direct] {
        let took = |variant: &str, pool_size: usize| {
            let settings = MultiQuery { pool_size, ..MultiQuery::default() };
            let pipeline = Pipeline::new(way, llm(after(50), vec![]), settings);
            let scenario = match way {
                Way::Service => format!("multi-query {ONE_BATCH}"),
                Way::Direct => format!("multi-query-direct {variant}"),
            };
            let summary = pipeline.run(&format!("{scenario} --users 1 --rows 10"));
            assert_eq!(summary["rows"]["ok"], 10, "{way:?}");
            let upstream = pipeline.upstream();
            assert_eq!(upstream.requests.answered, 40, "{way:?}");
            assert_eq!(upstream.peak_in_flight, pool_size as u64, "{way:?}");
            span(&summary)
        };
        let times = took("--variant before", 1) / took("", 4);
        assert!((3.3..4.2).contains(&times), "{way:?}: {times} times as fast");
    }
}

#[test]
fn the_variant_of_the_file_is_the_pair_before_and_after() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let run = |variant: &str| {
        let arguments = format!("multi-query {ONE_BATCH} --rows 5 {variant}");
        let run = command(&gander, "load", &arguments);
        run.assert_passed_or_crowded();
        run.summary()
    };
    let (before, now) = (run("--variant sequential"), run(""));
    assert_eq!((&before["rows"]["ok"], &now["rows"]["ok"]), (&5.into(), &5.into()));
    // The same work, on another service.
    assert_eq!(before["workload_digest"], now["workload_digest"]);
    let times = span(&before) / span(&now);
    assert!((3.3..4.2).contains(&times), "{times} times as fast");
}

#[test]
fn evenly_distributed_times_are_found_again() {
    let _alone = one_at_a_time();
    let spread = Distribution::around(Duration::from_millis(50), Duration::from_millis(30));
    let latency = Latency::of(spread.unwrap());
    for way in [Way::Service, Way::Direct] {
        let pipeline = Pipeline::new(way, llm(latency.clone(), vec![]), MultiQuery::default());
        let summary = pipeline.rows(20);
        let upstream = pipeline.upstream();
        assert_eq!(upstream.requests.answered, 80, "{way:?}");
        let route = upstream.routes.values().find(|route| !route.statuses.is_empty()).unwrap();
        let intended = &route.intended;
        assert!((intended.mean_ms - 50.0).abs() <= 6.0, "{intended:?}");
        assert!((74.0..=80.1).contains(&intended.p95_ms), "{intended:?}");
        if way == Way::Service {
            continue;
        }
        // The same requests, timed at both ends. What comes late of itself is no error of a clock:
        // the machine's own lateness, as the service saw it, may be there once more.
        let total = &summary["total"]["response_time"];
        let actual = completions(&upstream).mean_ms;
        let lateness = actual - intended.mean_ms;
        let off = number(&total["mean_ms"]) - actual;
        assert!((-0.1..=1.0 + 2.0 * lateness).contains(&off), "{off} ms off, {lateness} late");
    }
}

#[test]
fn one_limited_query_in_three_leaves_no_row() {
    let _alone = one_at_a_time();
    for way in [Way::Service, Way::Direct] {
        let pipeline = Pipeline::new(way, llm(after(2), limited_every(3)), MultiQuery::default());
        let summary = pipeline.rows(1);
        assert_eq!((&summary["rows"]["ok"], &summary["rows"]["failed"]), (&0.into(), &1.into()));
        let example = summary["rows"]["failures"][0]["examples"][0].as_str().unwrap();
        let said = match way {
            Way::Service => "\"succeeded_count\":3,\"total_count\":4",
            Way::Direct => "3 of 4 requests of step query succeeded",
        };
        assert!(example.contains(said), "{example}");

        let pipeline = Pipeline::new(way, llm(after(2), limited_every(3)), MultiQuery::default());
        let summary = pipeline.rows(100);
        let rows = &summary["rows"];
        assert_eq!((&rows["ok"], &rows["failed"]), (&0.into(), &100.into()), "{way:?}: {rows}");
        assert_eq!(pipeline.upstream().faults["429"], 133, "{way:?}");
        assert_eq!(pipeline.upstream().requests.accepted, 400, "{way:?}");
    }
}

/// With failures at known numbers, the rows that fail are known: no two fall into one row.
#[test]
fn every_row_has_all_of_its_outputs_or_none() {
    let _alone = one_at_a_time();
    let most = vec![Rule::at_rate(Kind::Status(429), 0.8)];
    for way in [Way::Service, Way::Direct] {
        for (count_of_rows, rules, failed) in [
            (50, limited_every(10), Some(20)),
            (30, limited_every(7), Some(17)),
            (20, most.clone(), None),
        ] {
            let pipeline = Pipeline::new(way, llm(after(1), rules), MultiQuery::default());
            let summary = pipeline.rows(count_of_rows);
            let rows = &summary["rows"];
            let ok = count(&rows["ok"]);
            assert_eq!(ok + count(&rows["failed"]), count_of_rows, "{way:?}: {rows}");
            let upstream = pipeline.upstream();
            assert_eq!(upstream.requests.accepted, 4 * count_of_rows, "{way:?}");
            if let Some(failed) = failed {
                assert_eq!(rows["failed"], failed, "{way:?}");
                assert_eq!(upstream.faults["429"], failed, "{way:?}");
            }
            if way == Way::Direct {
                // What succeeded is in whole rows, or was wasted.
                let wasted = count(&rows["wasted_requests"]);
                assert_eq!(count(&summary["total"]["ok"]), 4 * ok + wasted, "{rows}");
            }
            // Each row without an error had all of its outputs, or this would be another class.
            for failure in rows["failures"].as_array().unwrap() {
                let class = failure["class"].as_str().unwrap();
                assert!(["query_failed", "query: rate limited (429)"].contains(&class), "{class}");
            }
        }
    }
}

/// The time of the one batch of each point of a sweep, in seconds, with the point's values.
fn sweep_of(arguments: &str) -> Vec<(Vec<String>, f64)> {
    let gander = Gander::new();
    let run = command(&gander, "sweep", arguments);
    let summary = run.summary();
    assert_eq!(summary["end"], "done", "{}", run.stderr);
    let point = |point: &Value| {
        assert_eq!((&point["count"], &point["failed"]), (&1.into(), &0.into()), "{point}");
        let at = point["at"].as_array().unwrap().iter();
        let at = at.map(|value| value.as_str().unwrap().to_owned()).collect();
        (at, number(&point["mean_ms"]) / 1e3)
    };
    summary["points"].as_array().unwrap().iter().map(point).collect()
}

/// Where rows wait for each other, more places than a row has queries change nothing; where they do
/// not, twice as many places are twice as fast.
#[test]
fn a_sweep_of_the_pool_finds_where_it_stops_to_help() {
    let _alone = one_at_a_time();
    for (engine, rises_to_eight) in [("row-barrier", false), ("flat", true)] {
        let sweep = format!(
            "multi-query {ONE_BATCH} --rows 6 --service engine={engine} --service pool_size=1,4,8"
        );
        let points = sweep_of(&sweep);
        let times: Vec<f64> = points.iter().map(|(_, time)| *time).collect();
        assert_eq!(times.len(), 3, "{engine}: {points:?}");
        let (four, eight) = (times[0] / times[1], times[1] / times[2]);
        assert!((3.3..4.2).contains(&four), "{engine}: {times:?}");
        let expected = if rises_to_eight { 1.6..2.2 } else { 0.85..1.15 };
        assert!(expected.contains(&eight), "{engine}: {times:?}");
    }
}

/// Queries a second go with the places, and against the time of a query.
#[test]
fn the_matrix_of_places_and_latencies_is_linear() {
    let _alone = one_at_a_time();
    let sweep = format!(
        "multi-query {ONE_BATCH} --rows 4 --service pool_size=1,4 \
         --service llm.latency=50ms,100ms,200ms"
    );
    let points = sweep_of(&sweep);
    assert_eq!(points.len(), 6, "{points:?}");
    for (at, time) in &points {
        let places: f64 = at[0].parse().unwrap();
        let latency: f64 = at[1].trim_end_matches("ms").parse().unwrap();
        let ideal = 4.0 * 4.0 * latency / 1e3 / places;
        assert!((1.0..1.15).contains(&(time / ideal)), "{at:?}: {time} s");
    }
}

/// Each batch tags its rows, each completion says the tag of its prompt, and each batch must find its
/// own tags, and no other.
fn tagged(found: &str) -> String {
    let row = |n: usize| {
        format!(
            "{{ id = {n}, cs1_bg = \"tag-{{{{ iteration }}}}-{n}-a\", cs2_bg = \"tag-{{{{ iteration }}}}-{n}-b\" }}"
        )
    };
    let mut text = format!(
        "summary = \"Tags.\"\n[[step]]\nname = \"batch\"\npost = \"/rows\"\nrows = {{ at = \"rows\", failed = \"_error.reason\" }}\n\
         json = {{ state_id = \"b{{{{ iteration }}}}\", rows = [{}, {}, {}] }}\n[step.expect.json]\n\
         state_id = {{ equals = \"b{{{{ iteration }}}}\" }}\n",
        row(0),
        row(1),
        row(2)
    );
    for n in 0..3 {
        for (case, part) in [("cs1", "a"), ("cs2", "b")] {
            for criterion in ["diagnosis", "treatment"] {
                text += &format!(
                    "\"rows[{n}].{case}_{criterion}_rationale\" = {{ equals = \"Background: tag-{found}-{n}-{part}\" }}\n"
                );
            }
        }
    }
    text
}

#[test]
fn batches_at_the_same_time_see_no_tags_of_each_other() {
    let _alone = one_at_a_time();
    let latency = Distribution::around(Duration::from_millis(6), Duration::from_millis(5)).unwrap();
    let reply = "{\"score\": 3, \"rationale\": \"{{ prompt | lines | select('startingwith', 'Background: ') | first }}\"}";
    let llm = || Llm {
        latency: Latency::of(latency.clone()),
        replies: Reply::Template(reply.to_owned()),
        ..Llm::default()
    };
    let settings =
        || MultiQuery { engine: QueryEngine::Flat, pool_size: 24, ..MultiQuery::default() };
    let run = |found: &str| {
        let pipeline = Pipeline::new(Way::Service, llm(), settings());
        let gander = Gander::new();
        // A rate gives every batch a number of its own.
        let file = gander.scenario(&tagged(found));
        let summary =
            pipeline.run(&format!("{file} --rate 100 --max-in-flight 500 --iterations 100"));
        assert_eq!(pipeline.upstream().requests.answered, 100 * 3 * 4);
        assert!(pipeline.service.unwrap().ledger().peak_in_flight > 1, "batches at the same time");
        (count(&summary["total"]["ok"]), count(&summary["total"]["failed"]))
    };
    assert_eq!(run("{{ iteration }}").0, 100);
    // The check is one: looking for another batch's tags, none finds its own.
    assert_eq!(run("{{ iteration + 1 }}"), (0, 100));
}

/// Ten, ten and five, whoever takes them.
#[test]
fn rows_come_in_batches_of_which_the_last_has_what_is_left() {
    let _alone = one_at_a_time();
    for (rows, arguments, batches) in [
        (25, "--rows 25 --users 1", 3),
        (25, "--rows 25 --users 8", 3),
        (100, "--rows all --users 5 --set rows.batch=7", 15),
        (130, "--rows 130 --users 3 --set rows.batch=40", 4),
        (12, "--rows 12 --users 5 --set 'rows={ from = \"row\", batch = 1 }'", 12),
        (25, "--rows 25 --rate 100", 3),
    ] {
        let pipeline = Pipeline::new(Way::Service, llm(after(1), vec![]), MultiQuery::default());
        let summary = pipeline.run(&format!("multi-query {arguments}"));
        assert_eq!(summary["rows"]["ok"], rows, "{arguments}");
        assert_eq!(summary["total"]["count"], batches, "{arguments}");
        assert_eq!(pipeline.upstream().requests.answered, 4 * rows, "{arguments}");
    }
}

#[test]
fn a_batch_that_fails_as_a_whole_fails_all_of_its_rows() {
    let _alone = one_at_a_time();
    let faults = Faults::new(vec![Rule::every(Kind::Status(500), 2)]).unwrap();
    let settings = MultiQuery { faults, ..MultiQuery::default() };
    let pipeline = Pipeline::new(Way::Service, llm(after(1), vec![]), settings);
    let summary = pipeline.run("multi-query --rows 35 --users 1");
    let rows = &summary["rows"];
    // The second and the fourth of four batches.
    assert_eq!((&rows["ok"], &rows["failed"]), (&20.into(), &15.into()), "{rows}");
    assert_eq!(summary["total"]["outcomes"]["http_status"], 2);
}

#[test]
fn a_row_without_one_of_its_outputs_failed() {
    let _alone = one_at_a_time();
    let mut settings = MultiQuery::default();
    settings.output_mapping.remove("rationale").unwrap();
    let pipeline = Pipeline::new(Way::Service, llm(after(1), vec![]), settings);
    let summary = pipeline.run("multi-query --rows 15 --users 1");
    let rows = &summary["rows"];
    assert_eq!((&rows["ok"], &rows["failed"]), (&0.into(), &15.into()), "{rows}");
    let failure = &rows["failures"][0];
    assert_eq!(failure["class"], "a row without `cs1_diagnosis_rationale`");
    // The row itself is the example.
    assert!(failure["examples"][0].as_str().unwrap().contains("\"id\":\"p0"), "{failure}");
}

/// A scenario without data rows, whose responses carry some: what its other requests took is counted
/// too, and a request that failed beside them is a failed row.
#[test]
fn requests_beside_those_that_carry_rows_are_counted() {
    let _alone = one_at_a_time();
    let scenario = r#"
summary = "A plain step, then batches."
[data]
batch = [ [ PATIENT, PATIENT ], [ PATIENT ] ]
[[step]]
name = "health"
get = "/health"
[[step]]
name = "batches"
after = "health"
for_each = "batch"
concurrency = 1
post = "/rows"
json = { state_id = "s-{{ iteration }}-{{ index }}", rows = "{{ batch }}" }
[step.rows]
at = "rows"
failed = "_error.reason"
[[step]]
name = "again"
after = "batches"
get = "/health"
"#;
    // Of eight batches the fourth and the last fail, and neither ends its iteration.
    let faults = Faults::new(vec![Rule::every(Kind::Status(500), 4)]).unwrap();
    let settings = MultiQuery { faults, ..MultiQuery::default() };
    let pipeline = Pipeline::new(Way::Service, llm(after(1), vec![]), settings);
    let gander = Gander::new();
    let patient = r#"{ id = "a", cs1_bg = "wheezing", cs2_bg = "salbutamol" }"#;
    let file = gander.scenario(&scenario.replace("PATIENT", patient));
    let summary = pipeline.run(&format!("{file} --users 1 --iterations 4"));
    let (rows, ledger) = (&summary["rows"], pipeline.service.as_ref().unwrap().ledger());
    assert_eq!(rows["requests"], ledger.requests.accepted, "{rows}");
    assert_eq!(rows["attempts"], ledger.requests.accepted, "{rows}");
    // Six batches came back: four of two rows, and two of one.
    let failures: Vec<&str> =
        rows["failures"].as_array().unwrap().iter().map(|f| f["class"].as_str().unwrap()).collect();
    assert_eq!(failures, ["batches: HTTP status (500)"], "{rows}");
    assert_eq!((&rows["ok"], &rows["failed"]), (&10.into(), &2.into()), "{rows}");
    assert_eq!(ledger.faults["500"], 2);
    assert_eq!(summary["ledger"]["iterations_partial"], 2);
}

/// A response that lists fewer rows than were sent must not make rows vanish.
#[test]
fn a_row_that_the_response_lacks_failed() {
    let _alone = one_at_a_time();
    let pipeline = Pipeline::new(Way::Service, llm(after(1), vec![]), MultiQuery::default());
    let send_two = "--set 'step.batch.json.rows=\"{{ rows[:2] }}\"' --set rows.batch=3";
    let summary = pipeline.run(&format!("multi-query --rows 8 --users 1 {send_two}"));
    let rows = &summary["rows"];
    // Of batches of 3, 3 and 2 each comes back with two.
    assert_eq!((&rows["ok"], &rows["failed"]), (&6.into(), &2.into()), "{rows}");
    assert_eq!(rows["failures"][0]["class"], "missing in the response");
}

#[test]
fn the_shipped_pipelines_of_questions_make_the_calls_that_they_promise() {
    let _alone = one_at_a_time();
    for (variant, calls, peak) in [("", 6, 4), ("--variant before", 8, 1)] {
        let pipeline = Pipeline::new(Way::Direct, llm(after(20), vec![]), MultiQuery::default());
        let run = format!("time-travel-direct --users 1 --iterations 5 {variant}");
        let summary = pipeline.run(&run);
        assert_eq!(summary["rows"]["ok"], 5, "{variant}");
        let upstream = pipeline.upstream();
        assert_eq!((upstream.requests.answered, upstream.peak_in_flight), (5 * calls, peak));
    }
    for scenario in ["time-travel", "time-travel-stream"] {
        for variant in ["", "--variant before"] {
            let gander = Gander::new();
            let run = command(&gander, "load", &format!("{scenario} --iterations 1 {variant}"));
            run.assert_passed_or_crowded();
            assert_eq!(run.summary()["total"]["ok"], 1, "{scenario} {variant}");
        }
    }
}

/// When no model can be reached, the answer has status 200: the scenario says what is wrong with it.
#[test]
fn an_answer_that_is_none_is_a_failure() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let faults = "--service 'llm.faults=[{ kind = 500, rate = 1.0 }]'";
    for (scenario, said) in [("time-travel", "is_eligible"), ("time-travel-stream", "")] {
        let arguments = format!("{scenario} --iterations 3 {faults}");
        let run = command(&gander, "load", &arguments);
        let summary = run.summary();
        assert_eq!(summary["total"]["failed"], 3, "{scenario}: {}", run.stdout);
        let errors = summary["errors"].to_string();
        assert!(errors.contains(said), "{scenario}: {errors}");
    }
}
