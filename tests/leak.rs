//! Leaks are found, and nothing else is called one.
//!
//! Simulated series stand for soaks of ten minutes to an hour; their noise is louder than that of the
//! reference services, whose resident memory moves by less than 0.1 MB in a minute. Runs of the real binary against services that really leak check
//! the whole path against the service's own ledger.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/gander.rs"]
mod gander;
mod synthetic;

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::gander::analysis::leak::{Growth, Leakage, Resource, ResourceVerdict, judge_at};
use ::gander::measure::resource::Observed;
use ::gander::stats::bootstrap::{generator, normal};
use ::gander::store::journal;
use rand::RngExt as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::Value;

use gander::{BUSY, Finished, Gander, one_at_a_time};
use synthetic::Scene;

const SEEDS: u64 = 20;
const MB: f64 = 1e6;

/// A series with a value each second: `shape` of the second, and noise.
struct Simulated {
    seconds: u32,
    resource: Resource,
}

/// Resident memory moves in steps that stay (arenas that grow and are trimmed: a slow random walk
/// that is drawn back), and in short excursions (requests in flight).
struct Noise {
    walk: f64,
    random: Xoshiro256PlusPlus,
}

impl Noise {
    fn of(seed: u64) -> Noise {
        Noise { walk: 0.0, random: generator(seed) }
    }

    fn bytes(&mut self) -> f64 {
        self.walk = self.walk * 0.98 + 0.04 * MB * normal(&mut self.random);
        let excursion = if self.random.random::<f64>() < 0.03 { 1.5 * MB } else { 0.0 };
        // Pages of 4 KiB.
        ((self.walk + excursion + 0.1 * MB * normal(&mut self.random)) / 4096.0).round() * 4096.0
    }

    fn count(&mut self) -> f64 {
        (normal(&mut self.random) * 1.5).round()
    }
}

impl Simulated {
    fn verdict(&self, seed: u64, shape: impl Fn(f64) -> f64) -> Leakage {
        let mut noise = Noise::of(seed);
        let series: Vec<(f64, f64)> = (0..self.seconds)
            .map(|second| {
                let noise = match self.resource {
                    Resource::Memory => 60.0 * MB + noise.bytes(),
                    _ => 20.0 + noise.count(),
                };
                (f64::from(second), shape(f64::from(second)) + noise)
            })
            .collect();
        let growth = Growth::of(&series, self.resource, 1.0).expect("enough looks");
        assert!(growth.interval.holds(growth.slope));
        growth.verdict(self.resource, 1.0).0
    }

    /// How many of the seeds came to each verdict.
    fn verdicts(&self, shape: impl Fn(u64, f64) -> f64) -> [usize; 3] {
        let all: Vec<_> =
            (0..SEEDS).map(|seed| self.verdict(seed, |second| shape(seed, second))).collect();
        [Leakage::Leak, Leakage::NoLeak, Leakage::TooEarly]
            .map(|wanted| all.iter().filter(|verdict| **verdict == wanted).count())
    }
}

fn memory(minutes: u32) -> Simulated {
    Simulated { seconds: minutes * 60, resource: Resource::Memory }
}

fn sockets(minutes: u32) -> Simulated {
    Simulated { seconds: minutes * 60, resource: Resource::Sockets }
}

#[test]
fn memory_that_leaks_a_megabyte_a_minute_is_found_in_ten_minutes() {
    let [leak, ..] = memory(10).verdicts(|_, second| second / 60.0 * MB);
    assert!(leak >= 19, "{leak} of {SEEDS}");
}

#[test]
fn a_socket_every_hundred_requests_is_found_in_ten_minutes() {
    // 10 requests a second.
    let [leak, ..] = sockets(10).verdicts(|_, second| (second * 10.0 / 100.0).floor());
    assert!(leak >= 19, "{leak} of {SEEDS}");
}

#[test]
fn what_does_not_grow_is_never_called_a_leak() {
    for minutes in [1, 5, 10, 30, 60] {
        let [leak, no_leak, _] = memory(minutes).verdicts(|_, _| 0.0);
        assert_eq!(leak, 0, "memory, {minutes} minutes");
        assert!(minutes < 30 || no_leak >= 19, "memory, {minutes} minutes: {no_leak} of {SEEDS}");
        let [leak, no_leak, _] = sockets(minutes).verdicts(|_, _| 0.0);
        assert_eq!(leak, 0, "sockets, {minutes} minutes");
        assert!(minutes < 10 || no_leak >= 19, "sockets, {minutes} minutes: {no_leak} of {SEEDS}");
    }
}

#[test]
fn a_cache_that_fills_and_stops_is_no_leak() {
    for minutes in [10, 30, 60] {
        // Full after a tenth to half of the run.
        let [leak, no_leak, _] = memory(minutes).verdicts(|seed, second| {
            let full = f64::from(minutes) * 60.0 * (0.1 + 0.4 * seed as f64 / SEEDS as f64);
            50.0 * MB * (second / full).min(1.0)
        });
        assert!(leak <= 1, "{minutes} minutes: {leak} of {SEEDS}");
        assert!(minutes < 30 || no_leak >= 19, "{minutes} minutes: {no_leak} of {SEEDS}");
    }
}

#[test]
fn a_cache_that_fills_ever_more_slowly_is_no_leak() {
    let [leak, ..] = memory(30).verdicts(|seed, second| {
        let time = 60.0 * (2.0 + 6.0 * seed as f64 / SEEDS as f64);
        50.0 * MB * (1.0 - (-second / time).exp())
    });
    assert!(leak <= 1, "{leak} of {SEEDS}");
}

#[test]
fn the_teeth_of_a_garbage_collector_are_no_leak() {
    for minutes in [10, 30] {
        // A collection every 3 to 60 s.
        let tooth = |seed: u64, second: f64| {
            let period = 3.0 + 3.0 * seed as f64;
            20.0 * MB * (second % period) / period
        };
        let [leak, no_leak, _] = memory(minutes).verdicts(tooth);
        assert!(leak <= 1, "{minutes} minutes: {leak} of {SEEDS}");
        assert!(no_leak >= 19, "{minutes} minutes: {no_leak} of {SEEDS}");
        // Below which a leak is found all the same, and a slow one is not talked away.
        let [leak, ..] = memory(30).verdicts(|seed, s| tooth(seed, s) + s / 60.0 * MB);
        assert!(leak >= 19, "{leak} of {SEEDS}");
        let [_, no_leak, _] = memory(minutes).verdicts(|seed, s| tooth(seed, s) + s / 120.0 * MB);
        assert!(no_leak <= 1, "{minutes} minutes: {no_leak} of {SEEDS}");
    }
}

#[test]
fn a_single_step_is_no_leak() {
    let [leak, ..] = memory(10).verdicts(|seed, second| {
        let at = 60.0 * (3.0 + 6.0 * seed as f64 / SEEDS as f64);
        if second > at { 30.0 * MB } else { 0.0 }
    });
    assert!(leak <= 1, "{leak} of {SEEDS}");
}

#[test]
fn short_runs_find_gross_leaks_alone() {
    let [slow, ..] = memory(1).verdicts(|_, second| second / 60.0 * MB);
    let [gross, ..] = memory(1).verdicts(|_, second| second / 60.0 * 30.0 * MB);
    assert!(slow == 0 && gross >= 19, "{slow} and {gross} of {SEEDS}");
}

/// The verdict on the sockets of a service that keeps one of every hundred requests open, under load of
/// so many requests a second at each moment.
fn under(rps: fn(f64) -> f64) -> ResourceVerdict {
    let scene = Scene { seconds: 340.0, warm_up: 0.0, cool_down: 0.0, rps, ..Scene::default() };
    let mut run = scene.run();
    let sent = run.intervals.iter().map(|interval| (interval.end, interval.ledger.sent));
    let sent: Vec<_> = sent.collect();
    for look in run.resources.iter_mut().filter(|look| look.who == Observed::Target) {
        let before = sent.iter().rev().find(|(end, _)| *end <= look.at);
        look.sockets = Some(20 + before.map_or(0, |(_, sent)| *sent as u32 / 100));
    }
    let verdicts = judge_at(&run, Observed::Target, 1.0).into_iter();
    { verdicts }.find(|found| found.resource == Resource::Sockets).expect("a verdict")
}

#[test]
fn a_leak_whose_load_falls_is_no_plateau() {
    let steady = under(|_| 40.0);
    assert_eq!(steady.verdict, Leakage::Leak, "{steady:?}");
    let fallen = under(|second| if second < 215.0 { 40.0 } else { 1.0 });
    assert_eq!(fallen.verdict, Leakage::TooEarly, "{fallen:?}");
    assert!(fallen.why.contains("the load fell by"), "{fallen:?}");
    // Arrivals that differ by chance have not fallen.
    let none = under(|_| 0.4);
    assert_eq!(none.verdict, Leakage::NoLeak, "{none:?}");
}

/// A verdict of the JSON summary.
fn leak<'a>(summary: &'a Value, resource: &str) -> &'a Value {
    let all = summary["leaks"].as_array().expect("verdicts");
    all.iter().find(|found| found["resource"] == resource).expect("a verdict on it")
}

#[test]
fn a_service_that_leaks_grossly_is_found_out_by_what_its_ledger_says() {
    let _guard = one_at_a_time();
    let gander = Gander::new();
    let scenario = gander.scenario(&format!("service = \"inference\"\n{BUSY}"));
    let finished = gander.run(&format!(
        "{scenario} --users 4 --duration 12s --observe-every 100ms --service latency.base=4ms \
         --service leak.memory_per_request=400_000 --service leak.sockets_every=10 \
         --service leak.threads_every=20"
    ));
    let summary = finished.summary();
    for resource in ["memory", "sockets", "open_files", "threads"] {
        let found = leak(&summary, resource);
        assert_eq!(found["verdict"], "leak", "{found:#}");
    }
    let requests = summary["ledger"]["sent"].as_f64().expect("a count");
    let grew = |resource: &str| leak(&summary, resource)["per_1000_rows"].as_f64().expect("rows");
    assert!(requests > 500.0, "{requests}");
    assert!((grew("sockets") / 100.0 - 1.0).abs() < 0.2, "{}", grew("sockets"));
    assert!((grew("memory") / 400e6 - 1.0).abs() < 0.2, "{}", grew("memory"));
    let looks =
        std::fs::read_to_string(gander.run_folder().join("resources.jsonl")).expect("looks");
    let looks = looks.lines().filter(|line| line.contains("\"target\"")).count();
    assert!(looks > 3 * gander.intervals(), "{looks} looks in {} seconds", gander.intervals());
    let target = &summary["resources"]["target"];
    let close_wait = target["tcp_sockets_max"]["close_wait"].as_f64().expect("sockets by state");
    assert!(close_wait >= requests / 10.0 * 0.8, "{close_wait} of {requests} requests");
}

#[test]
fn a_service_that_falls_behind_does_not_leak() {
    let _guard = one_at_a_time();
    let gander = Gander::new();
    let scenario = gander.scenario(&format!("service = \"inference\"\n{BUSY}"));
    // A model that takes 20 requests a second, and gets 80.
    let finished = gander.run(&format!(
        "{scenario} --rate 80 --duration 12s --drain 1s --observe-every 100ms \
         --service latency.base=200ms"
    ));
    let summary = finished.summary();
    let sockets = leak(&summary, "sockets");
    assert_eq!(sockets["verdict"], "too_early", "{sockets:#}");
    assert!(sockets["why"].as_str().is_some_and(|why| why.contains("the load")), "{sockets:#}");
}

/// A soak of the inference service with these settings, short and at an even pace.
fn soaked(settings: &str) -> (Gander, Finished) {
    let gander = Gander::new();
    let scenario = gander.scenario(&format!("service = \"inference\"\nthink = \"20ms\"\n{BUSY}"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    let arguments = format!(
        "soak {scenario} --duration 8s --users 2 --settle 100ms --observe-every 100ms \
         --service latency.base=4ms {settings} --format json --reports"
    );
    command.args(shell_words::split(&arguments).expect("closed quotes")).arg(gander.reports());
    command.stdin(Stdio::null());
    let ended = gander::finished(command);
    (gander, ended)
}

#[test]
fn a_soak_of_a_service_that_leaks_fails_and_names_what_leaks() {
    let _guard = one_at_a_time();
    let (gander, ended) =
        soaked("--service leak.memory_per_request=300_000 --service leak.sockets_every=4");
    ended.assert_valid_or_crowded();
    let expected = if ended.reasons().is_empty() { 1 } else { 4 };
    assert_eq!(ended.code, expected, "{}", ended.stdout);
    let summary = ended.summary();
    let verdict = |resource: &str| leak(&summary, resource)["verdict"].clone();
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).expect("a report");
    for (resource, name) in [("memory", "Memory"), ("sockets", "Sockets")] {
        assert_eq!(verdict(resource), "leak", "{summary:#}");
        assert!(report.contains(&format!("| {name} | **LEAK** |")), "{report}");
    }
    assert_ne!(verdict("threads"), "leak", "{summary:#}");
    // The head of the report says it.
    let head = report.split("\n## ").next().expect("a head");
    assert!(head.contains("**LEAK**: memory"), "{head}");
    assert!(head.contains("**Not given back** after the load: sockets"), "{head}");
}

#[test]
fn a_soak_of_a_service_that_leaks_nothing_passes() {
    let _guard = one_at_a_time();
    let (_gander, ended) = soaked("");
    ended.assert_passed_or_crowded();
    let summary = ended.summary();
    let leaks = summary["leaks"].as_array().expect("verdicts");
    assert!(leaks.iter().all(|found| found["verdict"] != "leak"), "{leaks:#?}");
}

/// A kind of service: what it is called, its settings for a seed, what is judged, and what is right.
struct Kind {
    name: &'static str,
    settings: fn(u64) -> String,
    resource: Resource,
    right: Leakage,
    /// Of all seeds, those whose run may be too short to say it.
    may_be_early: usize,
}

/// 25 seconds stand for ten minutes: everything is so much faster, and so are the thresholds.
const SPEED: f64 = 24.0;
/// Requests in each run: about 100 a second.
const REQUESTS: u64 = 2_500;

const KINDS: [Kind; 5] = [
    Kind {
        name: "memory, 1 MB a minute",
        settings: |_| "--service leak.memory_per_minute=24_000_000".to_owned(),
        resource: Resource::Memory,
        right: Leakage::Leak,
        may_be_early: 1,
    },
    Kind {
        name: "a socket every 100 requests",
        settings: |_| "--service leak.sockets_every=100".to_owned(),
        resource: Resource::Sockets,
        right: Leakage::Leak,
        may_be_early: 1,
    },
    Kind {
        // Full after a tenth to half of the run.
        name: "a cache that fills and stops",
        settings: |seed| {
            let requests = REQUESTS / 10 + REQUESTS * 4 / 10 * seed / SEEDS;
            let each = 40_000_000 / requests;
            format!("--service leak.cache=40_000_000 --service leak.cache_per_request={each}")
        },
        resource: Resource::Memory,
        right: Leakage::NoLeak,
        may_be_early: 1,
    },
    Kind {
        // From 125 collections in a run to 8.
        name: "a garbage collector",
        settings: |seed| {
            let each = 20_000_000 / (20 + 16 * seed);
            format!("--service leak.garbage=20_000_000 --service leak.garbage_per_request={each}")
        },
        resource: Resource::Memory,
        right: Leakage::NoLeak,
        // Six of them have teeth of about ten looks and fewer, whose troughs are too coarse.
        may_be_early: 8,
    },
    Kind {
        name: "clean",
        settings: |_| String::new(),
        resource: Resource::Memory,
        right: Leakage::NoLeak,
        may_be_early: 1,
    },
];

impl Kind {
    /// The verdict on a real process, and how it grew.
    fn verdict(&self, seed: u64) -> ResourceVerdict {
        let gander = Gander::new();
        // Users, and no arrivals: when the machine stalls, these would open more connections.
        let scenario =
            gander.scenario(&format!("service = \"inference\"\nthink = \"35ms\"\n{BUSY}"));
        gander.run(&format!(
            "{scenario} --users 4 --duration 25s --observe-every 100ms --seed {seed} --threads 1 \
             --service latency.base=4ms --service seed={seed} {}",
            (self.settings)(seed)
        ));
        let run = journal::read(&gander.run_folder()).expect("a run");
        let verdicts = judge_at(&run, Observed::Target, SPEED);
        let found = verdicts.into_iter().find(|found| found.resource == self.resource);
        found.expect("a verdict")
    }
}

/// Four runs at a time, for they mostly wait.
#[test]
#[ignore = "a campaign of 12 minutes: cargo test --test leak -- --ignored --nocapture"]
fn real_services_that_leak_are_found_out_and_others_are_not() {
    let _guard = one_at_a_time();
    let next = AtomicUsize::new(0);
    let found = Mutex::new(vec![Vec::new(); KINDS.len()]);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            // One kind after another, so that all kinds meet the same machine.
            let (seed, at) = ((number / KINDS.len()) as u64, number % KINDS.len());
            if seed >= SEEDS {
                return;
            }
            let verdict = KINDS[at].verdict(seed);
            if verdict.verdict != KINDS[at].right {
                println!("{}, seed {seed}: {verdict:?}", KINDS[at].name);
            }
            found.lock().expect("no panic").get_mut(at).expect("its kind").push(verdict.verdict);
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    println!("| Kind | Right | Wrong | Too early |\n|---|---|---|---|");
    let found = found.into_inner().expect("no panic");
    let counts = KINDS.iter().zip(&found).map(|(kind, verdicts)| {
        let count = |verdict| verdicts.iter().filter(|found| **found == verdict).count();
        let (right, early) = (count(kind.right), count(Leakage::TooEarly));
        let wrong = verdicts.len() - right - early;
        println!("| {} | {right} | {wrong} | {early} |", kind.name);
        (kind, right, wrong)
    });
    for (kind, right, wrong) in counts.collect::<Vec<_>>() {
        let least = SEEDS as usize - kind.may_be_early;
        assert!(right >= least && wrong <= 1, "{}: {right} right, {wrong} wrong", kind.name);
    }
}
