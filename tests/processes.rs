//! Targets of several processes: what they used, what they may use, and what is not theirs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod synthetic;

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gander::analysis::profile::{Bound, ProfileFindings, Waiting};
use gander::analysis::resources::Resources;
use gander::analysis::server::server;
use gander::analysis::sizing::{Word, size};
use gander::measure::resource::{Detail, Limits, Observed, ResourceSample};
use gander::measure::sample::Offset;
use gander::measure::scrape::{Kind, Scraped, Series};
use gander::measure::selector::{JsonPage, ScrapeRules};
use gander::observe::resources::Observer;
use gander::profile::{Counts, Folded, ProfileRecord, Profiles, SamplerKind};
use gander::scenario::sizing::{Amounts, Sizing};
use gander::store::run::Run;

/// A child of this test. It is gone when this is dropped.
struct Target(Child);

impl Target {
    fn start(command: &mut Command) -> Target {
        Target(command.stdin(Stdio::piped()).spawn().unwrap())
    }

    fn look(&self, observer: &mut Observer) -> ResourceSample {
        observer.sample(Offset::default())
    }

    fn observer(&self) -> Observer {
        Observer::tree(Observed::Target, self.0.id())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Its children end when its standard input, which is theirs too, does.
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seconds of `0m0.120s`.
fn seconds(text: &str) -> f64 {
    let (minutes, seconds) = text.split_once('m').unwrap();
    minutes.parse::<f64>().unwrap() * 60.0 + seconds.trim_end_matches('s').parse::<f64>().unwrap()
}

#[test]
fn cpu_time_of_children_that_came_and_went_is_what_the_system_says() {
    // Each works for some milliseconds, and is gone before anybody looks.
    let work = "i=0; while [ $i -lt 20 ]; do i=$((i+1)); \
                sh -c 'j=0; while [ $j -lt 20000 ]; do j=$((j+1)); done'; done; times; read end";
    let mut target = Target::start(Command::new("sh").args(["-c", work]).stdout(Stdio::piped()));
    let mut observer = target.observer();
    let before = target.look(&mut observer).cpu_seconds.unwrap();
    let mut lines = BufReader::new(target.0.stdout.take().unwrap()).lines();
    let said: Vec<String> = (0..2).map(|_| lines.next().unwrap().unwrap()).collect();
    let truth: f64 = said.iter().flat_map(|line| line.split_whitespace()).map(seconds).sum();
    let after = target.look(&mut observer).cpu_seconds.unwrap();
    assert!(truth > 0.1, "{said:?}");
    // Both are counted in ticks of 10 ms, of user and system, own and inherited.
    assert!((after - truth).abs() < 0.05, "{before} to {after}: the system says {truth}");
}

#[test]
fn a_socket_that_several_processes_share_is_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let shared = Stdio::from(OwnedFd::from(listener));
    // What runs in the background has another standard input.
    let forks =
        "exec 3<&0; (read end <&3) & (read end <&3) & (read end <&3) & echo ready >&2; wait";
    let mut command = Command::new("sh");
    command.args(["-c", forks]).stdout(shared).stderr(Stdio::piped());
    let mut target = Target::start(&mut command);
    let mut ready = String::new();
    BufReader::new(target.0.stderr.take().unwrap()).read_line(&mut ready).unwrap();
    let look = target.look(&mut target.observer());
    assert!(look.processes.unwrap() >= 4, "{look:?}");
    assert_eq!(look.sockets, Some(1), "{look:?}");
    assert_eq!(look.detail.unwrap().tcp.unwrap().listening, 1, "{look:?}");
}

#[test]
fn processors_are_those_that_the_target_may_use() {
    let mut command = Command::new("taskset");
    let target = Target::start(command.args(["-c", "0", "cat"]).stdout(Stdio::null()));
    let mut observer = target.observer();
    // It sets its affinity, and becomes the other.
    let name = format!("/proc/{}/comm", target.0.id());
    while std::fs::read_to_string(&name).unwrap().trim() != "cat" {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(target.look(&mut observer).limits.unwrap().affinity, Some(1));

    let used = |affinity, cpus| {
        let mut run = synthetic::healthy().0;
        run.start.environment.cores = 8;
        for look in run.resources.iter_mut().filter(|look| look.who == Observed::Target) {
            look.limits = Some(Limits { affinity, cpus, ..Limits::default() });
            look.cpu_seconds = look.cpu_seconds.map(|seconds| seconds * 1.2);
        }
        waiting(&run, None)
    };
    // 0.8 processors are used.
    assert_eq!(used(None, None).processors.processors, 8.0);
    assert_eq!(used(None, None).bound, Bound::Io);
    assert_eq!(used(Some(1), None).processors.processors, 1.0);
    assert_eq!(used(Some(1), None).bound, Bound::Cpu);
    assert_eq!(used(Some(4), Some(0.75)).processors.processors, 0.75);
}

/// What the requests of `run` did, beside a profile with so many samples a second for 10 s.
fn waiting(run: &Run, samples: Option<u64>) -> Waiting {
    let mut profiles = Profiles::default();
    if let Some(samples) = samples {
        let mut folded = Folded::default();
        folded.add(vec!["main".to_owned(), "work".to_owned()], samples * 10);
        let at = |seconds| Offset::from(Duration::from_secs(seconds));
        let record = ProfileRecord {
            name: "target-cpu".to_owned(),
            who: Observed::Target,
            counts: Counts::Cpu,
            sampler: SamplerKind::Perf,
            from: at(10),
            to: at(20),
            sampled: Duration::from_secs(10),
            frequency: 99.0,
            samples: samples * 10,
            empty: 0,
            lost: None,
            notes: Vec::new(),
        };
        profiles.taken.push((record, folded));
    }
    ProfileFindings::of(&profiles, run).waiting.unwrap()
}

#[test]
fn what_the_profile_contradicts_bounds_nothing() {
    let mut run = synthetic::healthy().0;
    run.start.environment.cores = 8;
    // 0.7 processors at 99 samples a second are 70 of them.
    assert_ne!(waiting(&run, Some(70)).bound, Bound::Contradicted);
    assert_eq!(waiting(&run, Some(500)).bound, Bound::Contradicted);
}

#[test]
fn memory_of_forks_is_their_proportional_size_or_not_known() {
    const MIB: u64 = 1 << 20;
    let sizing = Sizing {
        limit: Amounts { memory_bytes: Some(512 * MIB), ..Amounts::default() },
        replicas: 1,
        ..Sizing::default()
    };
    let judged = |processes, pss: Option<u64>| {
        let mut run = synthetic::healthy().0;
        for look in run.resources.iter_mut().filter(|look| look.who == Observed::Target) {
            look.processes = Some(processes);
            look.rss_bytes = Some(1157 * MIB);
            look.detail = Some(Detail { pss_bytes: pss, ..Detail::default() });
        }
        let used = Resources::of(&run, Observed::Target, run.window(), None).used();
        let [_, memory] = size(&sizing, &used);
        (memory.word, memory.peak.unwrap() as u64 / MIB)
    };
    assert_eq!(judged(5, Some(236 * MIB)), (Word::Within, 236));
    assert_eq!(judged(5, None), (Word::MayBeBeyond, 1157));
    // Of one process, all pages are its own.
    assert_eq!(judged(1, Some(236 * MIB)), (Word::BeyondLimit, 1157));
}

#[test]
fn what_gander_asks_for_itself_is_not_of_the_load() {
    let mut run = synthetic::healthy().0;
    let page = |at: &str| JsonPage { at: at.to_owned(), values: Vec::new() };
    let rules = ScrapeRules {
        at: Some("http://127.0.0.1:9/own/numbers?format=text".to_owned()),
        json: vec![page("/stats"), page("/predict")],
        ..ScrapeRules::default()
    };
    run.start.plan.scrape = Some(rules);
    let sent = run.ledger().sent as f64;
    let paths = ["/predict", "/stats", "/own/numbers", "/metrics", "/debug/pprof/profile"];
    let series = |path: &&str| Series {
        name: "http_requests_total".to_owned(),
        labels: vec![("path".to_owned(), (*path).to_owned())],
        kind: Kind::Counter,
    };
    let look = |at, is_first, of_load: f64, own: f64| Scraped {
        at,
        is_first,
        new: if is_first { paths.iter().map(series).collect() } else { Vec::new() },
        old: Vec::new(),
        values: (0..5).map(|id| (id, if id == 0 { of_load } else { own })).collect(),
    };
    let end = run.intervals.last().unwrap().end;
    run.scraped = vec![look(Offset::default(), true, 0.0, 1.0), look(end, false, sent, 300.0)];
    let said = server(&run, &run.summary().unwrap()).unwrap();
    let requests = said.compared.iter().find(|one| one.what == "requests").unwrap();
    // What the load asks for too counts: nobody can tell its requests apart.
    assert_eq!((requests.server, requests.agrees), (sent, true), "{requests:?}");
}
