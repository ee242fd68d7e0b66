//! `gander load` as a user runs it, held against the reference service's own ledger.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/gander.rs"]
mod gander;
#[path = "support/reference.rs"]
mod reference;

use std::time::Duration;

use gander::{BUSY, Gander, finished, one_at_a_time};
use mock_server::latency::{Distribution, Latency};
use mock_server::{Engine, Inference};
use reference::{Reference, quick};
use serde_json::Value;

fn step<'a>(summary: &'a Value, name: &str) -> &'a Value {
    let steps = summary["steps"].as_array().expect("steps");
    steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("{name} in {steps:?}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value}"))
}

#[test]
fn counts_by_route_and_outcome_equal_the_ledger_and_times_agree_with_it() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let run =
        gander.run(&format!("inference-mix --users 10 --duration 12s --target {}", service.url));
    let (summary, ledger) = (run.summary(), service.ledger());
    let of = |name| step(&summary, name)["count"].as_u64().expect("a count");
    let batches = of("batch of 5") + of("batch of 25") + of("batch of 50") + of("batch of 20");
    assert_eq!(of("single"), ledger.routes["POST /predict"].requests.answered);
    assert_eq!(of("health"), ledger.routes["GET /health"].requests.answered);
    assert_eq!(batches, ledger.routes["POST /predict_batch"].requests.answered);
    assert_eq!(summary["total"]["count"].as_u64(), Some(ledger.requests.accepted));
    assert_eq!(summary["total"]["failed"], 0);
    let answered = 5 * of("batch of 5") + 25 * of("batch of 25") + 50 * of("batch of 50");
    assert_eq!(answered + 20 * of("batch of 20") + of("single"), ledger.items);
    run.assert_passed_or_crowded();

    // A route that does no work costs the wire and the scheduler, in this run, on this machine.
    let wire = number(&step(&summary, "health")["service_time"]["max_ms"]);
    let (theirs, ours) = (&ledger.routes["POST /predict"].statuses[&200], step(&summary, "single"));
    for (name, truth) in
        [("p50_ms", theirs.p50_ms), ("p95_ms", theirs.p95_ms), ("p99_ms", theirs.p99_ms)]
    {
        let measured = number(&ours["service_time"][name]);
        assert!(measured >= truth * 0.998, "{name}: {measured} is less than the service's {truth}");
        let allowed = truth + (truth * 0.01).max(1.0) + wire;
        assert!(
            measured <= allowed,
            "{name}: {measured} against the service's {truth}, wire {wire}"
        );
    }
}

#[test]
fn half_of_the_users_are_of_each_kind() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let run =
        gander.run(&format!("inference-mix --users 10 --duration 12s --target {}", service.url));
    let summary = run.summary();
    // Means of the think times: 0.3 s of the high-concurrency kind, 1.25 s of the mixed one. With
    // equal numbers of users, the first has about four iterations for each of the second.
    let total = number(&summary["total"]["count"]);
    let batches_of_20 = number(&step(&summary, "batch of 20")["count"]) / total;
    assert!((0.70..0.90).contains(&batches_of_20), "{batches_of_20} of all requests");
}

#[test]
fn blocking_caps_the_throughput_and_four_workers_lift_it() {
    const SERVICE_S: f64 = 0.09;
    let _alone = one_at_a_time();
    // Requests per second and mean response time.
    let measured = |engine: Engine, workers: f64| {
        let base = Distribution::Fixed(Duration::from_secs_f64(SERVICE_S));
        let latency = Latency::of(base);
        let service = Reference::inference(Inference { engine, latency, ..Inference::default() });
        let url = &service.url;
        let run = Gander::new()
            .run(&format!("inference-single --users 10 --duration 6s --warm-up 1s --target {url}"));
        let summary = run.summary();
        let rps = number(&summary["total"]["rps"]);
        let length_s = number(&summary["measured"]["length_s"]);
        // No noise gets more through a worker; one request of each had begun before.
        let most = workers * (length_s / SERVICE_S + 1.0) / length_s;
        assert!(rps <= most, "{rps} RPS of {workers} workers, which can do {most}");
        (rps, number(&summary["total"]["response_time"]["mean_ms"]))
    };
    let (blocking, slow) = measured(Engine::Blocking, 1.0);
    let (threaded, fast) = measured(Engine::default(), 4.0);
    assert!(threaded >= 2.5 * blocking, "{blocking} and {threaded} RPS");
    assert!(slow >= 2.5 * fast, "means {slow} and {fast} ms");
}

#[test]
fn iterations_are_done_exactly() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let run =
        gander.run(&format!("{scenario} --users 7 --iterations 123 --target {}", service.url));
    let summary = run.summary();
    run.assert_passed_or_crowded();
    assert_eq!(summary["total"]["count"], 123);
    assert_eq!(summary["ledger"]["iterations_ok"], 123);
    assert_eq!(service.ledger().requests.accepted, 123);
    assert!(service.ledger().peak_in_flight <= 7);
    // One connection for each user, and the one that found the target there.
    assert!(service.ledger().sockets.accepted <= 7 + 1);
}

/// Two connections carry everything, over both versions of HTTP; one more found the target there.
#[test]
fn shared_connections_are_as_many_as_was_asked_for() {
    let _alone = one_at_a_time();
    for version in ["--http2", ""] {
        let service = Reference::inference(quick());
        let gander = Gander::new();
        let scenario = gander.scenario(BUSY);
        let run = gander.run(&format!(
            "{scenario} --users 8 --iterations 160 {version} --connections shared:2 --target {}",
            service.url
        ));
        let (summary, ledger) = (run.summary(), service.ledger());
        run.assert_passed_or_crowded();
        assert_eq!(summary["total"]["ok"], 160);
        assert_eq!(summary["http"]["shared"], 2);
        assert_eq!(summary["total"]["connections_opened"], 2, "{version}");
        assert_eq!((ledger.requests.accepted, ledger.sockets.accepted), (160, 2 + 1), "{version}");
        // Over HTTP/1.1, a connection carries one request at a time; over HTTP/2, all eight are there.
        assert_eq!(ledger.peak_in_flight > 2, version == "--http2", "{}", ledger.peak_in_flight);
    }
}

#[test]
fn values_that_options_do_not_take_are_told_with_those_that_they_do() {
    for (option, says) in [
        ("--connections shared:0", "is not a number of connections from 1 on, as in shared:20"),
        ("--connections shard:2", "expected user, or shared:N, as shared:20"),
        ("--insecure --ca-file ca.pem", "cannot be used with"),
        ("--ca-file nowhere.pem --target https://localhost:9", "nowhere.pem"),
        ("--max-body much", "invalid digit"),
    ] {
        let run = Gander::new().run(&format!("inference-single {option}"));
        assert_eq!(run.code, 2, "{option}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{option}: {}", run.stderr);
    }
}

#[test]
fn the_warm_up_is_kept_out_of_the_figures_and_in_the_ledger() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let run = gander
        .run(&format!("{scenario} --users 2 --duration 2s --warm-up 2s --target {}", service.url));
    let (summary, ledger) = (run.summary(), service.ledger());
    let (measured, all) = (number(&summary["total"]["count"]), ledger.requests.accepted as f64);
    assert_eq!(summary["ledger"]["sent"].as_u64(), Some(ledger.requests.accepted));
    assert!((0.3..0.7).contains(&(measured / all)), "{measured} of {all} were measured");
}

#[test]
fn stages_change_the_number_of_users() {
    let _alone = one_at_a_time();
    let users = users_of("1u:2s,6u:2s,2u:2s");
    assert_eq!(users.first(), Some(&1), "{users:?}");
    assert_eq!(users.iter().max(), Some(&6), "{users:?}");
    assert_eq!(users[users.len() - 2], 2, "{users:?}");
}

#[test]
fn a_stage_may_have_as_many_users_as_the_one_before() {
    let _alone = one_at_a_time();
    let users = users_of("2u:1s,2u:1s,4u:2s");
    assert_eq!(users.first(), Some(&2), "{users:?}");
    assert_eq!(users.iter().max(), Some(&4), "{users:?}");
}

/// Users that were active in each second of a run of `stages`.
fn users_of(stages: &str) -> Vec<u32> {
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let run = gander.run(&format!("{scenario} --stages {stages} --target {}", service.url));
    run.assert_passed_or_crowded();
    let recorded = ::gander::store::journal::read(&gander.run_folder()).expect("a run folder");
    recorded.intervals.iter().map(|second| second.users).collect()
}

#[test]
fn a_breached_objective_fails_and_failures_stay_out_of_the_latencies() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let text = format!(
        "{BUSY}\n[[step]]\nname = \"missing\"\nget = \"/nothing\"\n[[slo]]\nrule = \"failures < 1%\"\n"
    );
    let scenario = gander.scenario(&text);
    let run = gander.run(&format!("{scenario} --users 2 --iterations 40 --target {}", service.url));
    let summary = run.summary();
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert_eq!(step(&summary, "missing")["outcomes"]["http_status"], 40);
    assert_eq!(
        step(&summary, "missing")["service_time"],
        Value::Null,
        "failures have no latency here"
    );
    assert_eq!(step(&summary, "predict")["count"], 40);
    assert_eq!(summary["verdicts"][0]["ruling"], "failed");
    assert_eq!(service.ledger().routes["GET (unrouted)"].statuses[&404].count, 40);
}

#[test]
fn a_run_without_a_success_is_not_valid() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let scenario =
        gander.scenario("summary = \"x\"\n[[step]]\nname = \"missing\"\nget = \"/nothing\"\n");
    let target = &service.url;
    let run = finished(gander.load(&format!("{scenario} --iterations 5 --target {target}")));
    assert_eq!(run.code, 4);
    assert!(run.stdout.contains("INVALID"), "{}", run.stdout);
}

#[test]
fn without_a_target_the_reference_service_starts_itself_and_its_cpu_and_memory_are_measured() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    let run = gander
        .run("inference-single --users 12 --duration 4s --service latency=2ms --service spend=cpu");
    let summary = run.summary();
    run.assert_passed_or_crowded();
    let target = &summary["resources"]["target"];
    assert!(number(&target["rss_peak_bytes"]) > 1_000_000.0);
    // Each request burns 2 ms; the looks at the process leave out parts of the first and last second.
    let (burnt_s, measured_s) =
        (0.002 * number(&summary["total"]["count"]), number(&target["cpu_s"]));
    assert!(
        measured_s > burnt_s / 2.0,
        "{measured_s} s of CPU, of which {burnt_s} s were asked for"
    );
    let folder = gander.run_folder();
    for name in [
        "report.md",
        "report.html",
        "run.json",
        "latency.hlog",
        "ledger.json",
        "resources.jsonl",
        "journal.log",
    ] {
        assert!(folder.join(name).is_file(), "{name}");
    }
}

#[test]
fn making_a_report_again_changes_nothing() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    gander.run(&format!("{scenario} --users 2 --duration 2s --target {}", service.url));
    let read =
        |name: &str| std::fs::read_to_string(gander.run_folder().join(name)).expect("a file");
    let files = ["report.md", "report.html", "run.json"];
    let before = files.map(read);
    for report in ["report.md", "report.html"] {
        std::fs::remove_file(gander.run_folder().join(report)).unwrap();
    }
    gander.report();
    assert_eq!(files.map(read), before);
}

#[test]
fn running_out_of_file_descriptors_is_a_class_of_its_own_and_makes_the_run_invalid() {
    let _alone = one_at_a_time();
    let service = Reference::inference(quick());
    let gander = Gander::new();
    let scenario = gander.scenario(BUSY);
    let script = format!(
        "ulimit -n 60; exec {} load {scenario} --users 200 --duration 2s --target {} --reports {} --format json",
        env!("CARGO_BIN_EXE_gander"),
        service.url,
        gander.reports().display()
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]);
    let run = finished(command);
    assert_eq!(run.code, 4, "{}", run.stderr);
    let summary = run.summary();
    assert!(number(&summary["total"]["outcomes"]["client_resource"]) > 0.0);
    assert!(run.stderr.contains("ulimit -n"), "{}", run.stderr);
}

#[test]
fn a_thousand_users_all_start_and_every_request_is_counted() {
    let _alone = one_at_a_time();
    allow_many_files();
    let service =
        Reference::inference(Inference { latency: Latency::ZERO, ..Inference::default() });
    let gander = Gander::new();
    let scenario =
        gander.scenario(&format!("{BUSY}\n").replace("summary", "think = \"1s..2s\"\nsummary"));
    let run =
        gander.run(&format!("{scenario} --users 1000 --duration 5s --target {}", service.url));
    let (summary, ledger) = (run.summary(), service.ledger());
    assert_eq!(
        summary["ledger"]["sent"].as_u64(),
        Some(ledger.requests.accepted),
        "{}",
        run.stderr
    );
    assert_eq!(ledger.sockets.accepted, 1000 + 1, "and the one that found the target there");
}

/// As many open files in this process, which serves, as it may have.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the maximum");
}
