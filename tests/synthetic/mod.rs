//! Runs made up by driving the recorder with samples: the same ones each time.

#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;
use std::time::Duration;

use gander::analysis::{Assessment, Ruling, Verdict};
use gander::measure::recorder::{IterationEnd, Recorder, Why, Window};
use gander::measure::resource::{Observed, ResourceSample};
use gander::measure::rows::{Effort, EndedIteration, Row};
use gander::measure::sample::{Bytes, Offset, Outcome, Sample, StepId, StreamTimes, Tokens};
use gander::measure::summary::MeasuredWindow;
use gander::measure::validity::Validity;
use gander::plan::{PlanRecord, StepRecord, Stop, TargetRecord, TransactionRecord, UserRecord};
use gander::schedule::{Arrivals, ClosedLoad, LoadModel, OpenLoad, Rate, RateStage, Spread, Stage};
use gander::store::entry::{End, Environment, Event, SCHEMA_VERSION, Start, StoredInterval};
use gander::store::run::Run;
use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// How a request failed.
pub struct Failure {
    pub outcome: Outcome,
    pub status: Option<u16>,
    pub message: String,
}

/// What a made-up run is like.
pub struct Scene {
    pub seconds: f64,
    pub warm_up: f64,
    pub cool_down: f64,
    pub users: u32,
    /// Requests a second at a moment.
    pub rps: fn(f64) -> f64,
    /// Median of the response time in milliseconds at a moment.
    pub median_ms: fn(f64) -> f64,
    /// Spread, as a share of it.
    pub spread: f64,
    /// Whether and how the n-th request at a moment fails.
    pub fails: Box<dyn Fn(u64, f64) -> Option<Failure>>,
    pub stop: Option<Stop>,
    /// When the run was cut off, if not at its planned end.
    pub cut_at: Option<f64>,
    pub target_is_known: bool,
    pub steps: Vec<(&'static str, &'static str, &'static str, u32)>,
    pub events: Vec<(f64, &'static str)>,
    /// The load, where it is an open one.
    pub open: Option<OpenLoad>,
    /// Whether every response is a stream, of so many chunks with a token in each.
    pub chunks: Option<u32>,
    /// Whether an iteration is a row.
    pub counts_rows: bool,
    /// Of moments, steps and times.
    pub seed: u64,
}

impl Default for Scene {
    fn default() -> Self {
        Scene {
            seconds: 30.0,
            warm_up: 5.0,
            cool_down: 2.0,
            users: 10,
            rps: |_| 40.0,
            median_ms: |_| 110.0,
            spread: 0.25,
            fails: Box::new(|_, _| None),
            stop: Some(Stop::Duration),
            cut_at: None,
            target_is_known: true,
            steps: vec![
                ("predict", "POST", "/predict", 3),
                ("batch_5", "POST", "/predict_batch", 1),
                ("batch_25", "POST", "/predict_batch", 2),
                ("batch_50", "POST", "/predict_batch", 1),
                ("health", "GET", "/health", 1),
            ],
            events: vec![],
            open: None,
            chunks: None,
            counts_rows: false,
            seed: 7,
        }
    }
}

fn at(seconds: f64) -> Offset {
    Offset::from(Duration::from_secs_f64(seconds.max(0.0)))
}

/// A normal variate: twelve uniform ones, less six.
fn normal(random: &mut impl Rng) -> f64 {
    (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0
}

/// The first chunk after a third of the response time, the last after nearly all of it.
fn streamed(moment: f64, seconds: f64, chunks: u32) -> StreamTimes {
    let mut times = StreamTimes::default();
    for chunk in 0..chunks {
        let share = 0.33 + 0.66 * f64::from(chunk) / f64::from(chunks - 1);
        times.chunk(at(moment + share * seconds), true, false);
    }
    times
}

impl Scene {
    fn samples(&self, end: f64) -> Vec<(Sample, Option<Failure>)> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let weights: u32 = self.steps.iter().map(|step| step.3).sum();
        let mut samples = Vec::new();
        let (mut moment, mut number) = (0.02, 0u64);
        while moment < end && (self.rps)(moment) > 0.0 {
            let mut draw = random.random_range(0..weights);
            let step = self.steps.iter().position(|step| match draw.checked_sub(step.3) {
                Some(rest) => {
                    draw = rest;
                    false
                }
                None => true,
            });
            let failure = (self.fails)(number, moment);
            let seconds =
                (self.median_ms)(moment) / 1000.0 * (self.spread * normal(&mut random)).exp();
            let opens = number < u64::from(self.users);
            let outcome = failure.as_ref().map_or(Outcome::Ok, |failure| failure.outcome);
            samples.push((
                Sample {
                    step: StepId(step.unwrap() as u16),
                    scheduled: at(moment),
                    sent: at(moment),
                    send_lag: Duration::from_micros(random.random_range(8..90)),
                    connect: opens.then(|| Duration::from_micros(random.random_range(90..240))),
                    tls: None,
                    first_byte: Some(at(moment + seconds * 0.97)),
                    done: at(moment + seconds),
                    bytes: Bytes { sent: 312, received: 540 },
                    outcome,
                    stream: self.chunks.map(|chunks| Box::new(streamed(moment, seconds, chunks))),
                    tokens: self.chunks.map(|chunks| Tokens {
                        reported: 1,
                        input: Some(25),
                        output: Some(chunks.into()),
                        ..Tokens::default()
                    }),
                    good: None,
                },
                failure,
            ));
            number += 1;
            moment += (0.5 + random.random::<f64>()) / (self.rps)(moment);
        }
        samples
    }

    /// The run as read back from its folder.
    pub fn run(&self) -> Run {
        let end = self.cut_at.unwrap_or(self.seconds);
        let window = MeasuredWindow {
            start: at(self.warm_up.min(end)),
            end: at((self.seconds - self.cool_down).min(end)),
        };
        let recorder = Arc::new(Recorder::new(self.steps.len(), 1, Window::not_yet_open()));
        recorder.window().open(window.start, window.end);
        let samples = self.samples(end);
        // Begin (true) and end (false) of each request, in the order of time.
        let mut moments: Vec<(Offset, bool, usize)> = (0..samples.len())
            .flat_map(|index| {
                let sample = &samples[index].0;
                [(sample.sent, true, index), (sample.done, false, index)]
            })
            .collect();
        moments.sort_unstable_by_key(|(moment, begins, index)| (*moment, !*begins, *index));
        let mut moments = moments.into_iter().peekable();
        let mut in_flight: Vec<_> = samples.iter().map(|_| None).collect();
        let mut users = Vec::new();
        let mut intervals = Vec::new();
        let mut second = 0.0;
        loop {
            let is_over = second >= end && (self.stop.is_none() || moments.peek().is_none());
            if is_over {
                break;
            }
            second = if second < end { (second + 1.0f64).min(end.max(1.0)) } else { second + 0.3 };
            while let Some((_, begins, index)) =
                moments.next_if(|(moment, ..)| *moment < at(second))
            {
                let (sample, failure) = &samples[index];
                let why = failure.as_ref().map_or(Why::default(), |failure| Why {
                    status: failure.status,
                    message: &failure.message,
                });
                if begins && sample.outcome == Outcome::Dropped {
                    recorder.drop_request(sample, why);
                    recorder.drop_iteration(index as u64, sample.scheduled, 0);
                } else if begins {
                    recorder.begin_iteration();
                    in_flight[index] = Some(recorder.begin());
                } else if let Some(guard) = in_flight[index].take() {
                    guard.finish(sample, why);
                    let is_ok = sample.outcome.is_success();
                    let end = if is_ok { IterationEnd::Ok } else { IterationEnd::Failed };
                    let row = self.counts_rows.then(|| Row {
                        end,
                        due: sample.scheduled,
                        done: sample.done,
                        effort: Effort { requests: 1, attempts: 1, ..Effort::default() },
                        failure: None,
                    });
                    recorder.end_iteration(&EndedIteration {
                        number: index as u64,
                        end,
                        due: sample.scheduled,
                        rows: row.into_iter().collect(),
                        effort: Effort::default(),
                    });
                }
            }
            let wanted = ((second * 5.0) as usize).min(self.users as usize);
            while users.len() < wanted {
                users.push(Arc::clone(&recorder).user());
            }
            if second >= end && self.stop.is_some() {
                users.clear();
            }
            intervals.push(StoredInterval::from(&recorder.rotate(at(second))));
        }
        Run {
            scraped: Vec::new(),
            start: self.start(),
            resources: self.resources(end),
            events: self
                .events
                .iter()
                .map(|(moment, text)| Event { at: at(*moment), text: (*text).to_owned() })
                .collect(),
            end: self.stop.map(|stop| End {
                reason: None,
                stop,
                at: intervals.last().map_or(Offset(0), |interval| interval.end),
                window,
                clock_shift_seconds: 0.0,
            }),
            intervals,
            lost_lines: usize::from(self.stop.is_none()),
            resumed: Vec::new(),
            settled: None,
        }
    }

    fn resources(&self, end: f64) -> Vec<ResourceSample> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed + 2);
        let (mut target_cpu, mut generator_cpu) = (1.3, 0.1);
        let mut looks = Vec::new();
        let mut moment = 0.1;
        while moment < end {
            let load = (self.rps)(moment) / 40.0;
            target_cpu += load * (0.7 + 0.1 * normal(&mut random)).max(0.0);
            generator_cpu += load * (0.03 + 0.004 * normal(&mut random)).max(0.0);
            let grown = (moment * 250_000.0) as u64;
            if self.target_is_known {
                looks.push(ResourceSample {
                    cpu_seconds: Some(target_cpu),
                    rss_bytes: Some(182_000_000 + grown),
                    processes: Some(1),
                    threads: Some(9),
                    open_files: Some(24),
                    ..ResourceSample::nothing(at(moment), Observed::Target)
                });
            }
            looks.push(ResourceSample {
                cpu_seconds: Some(generator_cpu),
                rss_bytes: Some(21_000_000),
                processes: Some(1),
                threads: Some(4),
                open_files: Some(31),
                sockets: Some(11),
                timer_lag_max_ms: Some(1.05 + f64::from(moment as u32 * 7 % 11) / 10.0),
                ..ResourceSample::nothing(at(moment), Observed::Generator)
            });
            moment += 1.0;
        }
        looks
    }

    fn start(&self) -> Start {
        let secs = Duration::from_secs_f64;
        Start {
            schema_version: SCHEMA_VERSION,
            started_at: "2026-03-04T10:15:00+01:00[Europe/Berlin]".to_owned(),
            plan: PlanRecord {
                scenario: "inference-mix".to_owned(),
                summary: "Single texts, batches and health checks, as a review service sends them."
                    .to_owned(),
                digest: "6f0c2b1e9ad34c57".to_owned(),
                users: vec![UserRecord {
                    name: "mixed".to_owned(),
                    weight: 1,
                    think_min: secs(0.5),
                    think_max: secs(2.0),
                    transactions: self
                        .steps
                        .iter()
                        .map(|step| TransactionRecord { name: step.0.to_owned(), weight: step.3 })
                        .collect(),
                }],
                steps: self
                    .steps
                    .iter()
                    .map(|(name, method, path, _)| StepRecord {
                        name: (*name).to_owned(),
                        method: (*method).to_owned(),
                        path: (*path).to_owned(),
                        timeout: secs(30.0),
                        streams: self.chunks.is_some(),
                        fans_out: false,
                        goodput: None,
                    })
                    .collect(),
                slos: vec![],
                alerts: vec![],
                load: match &self.open {
                    Some(load) => LoadModel::Open(load.clone()),
                    None => LoadModel::Closed(ClosedLoad {
                        stages: vec![Stage {
                            users: self.users,
                            ramp: secs(2.0),
                            hold: secs(self.seconds - 2.0),
                        }],
                        warm_up: secs(self.warm_up),
                        cool_down: secs(self.cool_down),
                        iterations: None,
                        drain: secs(5.0),
                    }),
                },
                target: TargetRecord {
                    url: "http://127.0.0.1:8000".to_owned(),
                    origin: if self.target_is_known {
                        "reference service inference (base=90ms)".to_owned()
                    } else {
                        "running already".to_owned()
                    },
                    pid: self.target_is_known.then_some(4711),
                },
                seed: 42,
                threads: 2,
                rows: None,
                budget: Default::default(),
                prices: Default::default(),
                variant: None,
                settings: Vec::new(),
                http: Default::default(),
                purpose: gander::plan::Purpose::Load,
                profile: None,
                observe_every: std::time::Duration::from_secs(1),
                scrape: None,
                sizing: None,
                command_line: ["gander", "load", "--users", "10"].map(str::to_owned).into(),
            },
            environment: Environment {
                gander_version: "0.1.0".to_owned(),
                gander_commit: Some("1a2b3c4".to_owned()),
                optimised_build: true,
                system: "Linux 6.8.0".to_owned(),
                cpu: "AMD EPYC 7763".to_owned(),
                cores: 2,
                usable_cores: None,
                memory_bytes: 8 << 30,
            },
            working_directory: None,
        }
    }
}

/// `run`, judged: valid unless `reasons` speak against it.
pub fn assess(run: &Run, reasons: &[&str], verdicts: &[(&str, &str, Ruling)]) -> Assessment {
    Assessment {
        summary: run.summary().unwrap(),
        merged: run.merged().unwrap(),
        validity: Validity { reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect() },
        verdicts: verdicts
            .iter()
            .map(|(rule, measured, ruling)| Verdict {
                rule: (*rule).to_owned(),
                measured: (*measured).to_owned(),
                ruling: *ruling,
            })
            .collect(),
        alerts: Vec::new(),
        soak: None,
    }
}

/// Every SLO holds, nothing fails.
pub fn healthy() -> (Run, Assessment) {
    let run = Scene::default().run();
    let assessment = assess(
        &run,
        &[],
        &[("predict: p95 < 200ms", "173 ms", Ruling::Passed), ("fail% < 1%", "0%", Ruling::Passed)],
    );
    (run, assessment)
}

/// From the tenth second on, requests fail in many ways, and hostile text comes back.
pub fn failing() -> (Run, Assessment) {
    let run = Scene {
        fails: Box::new(|number, moment| {
            let failure = |outcome, status, message: &str| {
                Some(Failure { outcome, status, message: message.to_owned() })
            };
            match number % 37 {
                _ if moment < 10.0 => None,
                3 | 4 => failure(
                    Outcome::HttpStatus,
                    Some(500),
                    "500 Internal Server Error: {\"detail\": \"model crashed\"}",
                ),
                7 => failure(Outcome::Timeout, None, "no whole response within 30 s"),
                11 => failure(Outcome::CheckFailed, Some(200), "$.sentiment is missing"),
                13 if number % 2 == 0 => failure(
                    Outcome::RateLimited,
                    Some(429),
                    "429 Too Many Requests, Retry-After: 2",
                ),
                17 if moment > 20.0 => failure(Outcome::Reset, None, HOSTILE),
                _ => None,
            }
        }),
        median_ms: |moment| if moment > 15.0 { 260.0 } else { 90.0 },
        events: vec![(10.2, "the target answered with 500 for the first time")],
        ..Scene::default()
    }
    .run();
    let assessment = assess(
        &run,
        &[],
        &[
            ("predict: p95 < 200ms", "389 ms", Ruling::Failed),
            ("batch_50: p99 < 500ms", "too few successes", Ruling::Unknown),
            ("fail% < 20%", "11.0%", Ruling::Passed),
        ],
    );
    (run, assessment)
}

/// Text that tries to become something else in Markdown, a terminal, HTML or XML.
pub const HOSTILE: &str = "a|b\\|c `x` ``y`` <img src=x onerror=alert(1)> **bold** [l](javascript:1) https://evil.example/ @you\n# head\r\u{1b}[31mred\u{1b}]0;title\u{7} \u{202e}abc\u{2066} &amp; ]]> \u{0}";

/// Nothing was sent.
pub fn empty() -> (Run, Assessment) {
    let run = Scene {
        rps: |_| 0.0,
        seconds: 3.0,
        warm_up: 0.0,
        cool_down: 0.0,
        target_is_known: false,
        ..Scene::default()
    };
    let run = Run { resources: vec![], ..run.run() };
    let assessment = assess(
        &run,
        &["no request ended in the measured part"],
        &[("p95 < 200ms", "no data", Ruling::Unknown)],
    );
    (run, assessment)
}

/// One request, one second.
pub fn single() -> (Run, Assessment) {
    let run = Scene {
        rps: |_| 0.5,
        seconds: 2.0,
        warm_up: 0.0,
        cool_down: 0.0,
        users: 1,
        steps: vec![("predict", "POST", "/predict", 1)],
        target_is_known: false,
        ..Scene::default()
    }
    .run();
    let assessment = assess(&run, &[], &[]);
    (run, assessment)
}

/// Open load whose rate rises and then stays, as the service allows; for three seconds it does not,
/// and what finds no place is dropped.
pub fn open() -> (Run, Assessment) {
    let secs = Duration::from_secs;
    let stage = |per_second, ramp, hold| RateStage {
        rate: Rate { per_second },
        ramp: secs(ramp),
        hold: secs(hold),
    };
    let load = OpenLoad {
        arrivals: Arrivals::Rates {
            stages: vec![stage(20.0, 0, 10), stage(60.0, 10, 10)],
            spread: Spread::Constant,
        },
        duration: secs(30),
        warm_up: secs(5),
        cool_down: secs(2),
        iterations: None,
        max_in_flight: 30,
        drain: secs(5),
    };
    let run = Scene {
        rps: |moment| 20.0 + 4.0 * (moment - 10.0).clamp(0.0, 10.0),
        median_ms: |moment| if (22.0..25.0).contains(&moment) { 400.0 } else { 110.0 },
        fails: Box::new(|number, moment| {
            ((22.5..25.0).contains(&moment) && number % 3 == 0).then(|| Failure {
                outcome: Outcome::Dropped,
                status: None,
                message: "no place among 30 in flight".to_owned(),
            })
        }),
        open: Some(load),
        ..Scene::default()
    }
    .run();
    let assessment = assess(&run, &[], &[("predict: p95 < 500ms", "438 ms", Ruling::Passed)]);
    (run, assessment)
}

/// Killed in the twelfth second, with requests in flight.
pub fn killed() -> (Run, Assessment) {
    let run = Scene { stop: None, cut_at: Some(11.6), ..Scene::default() }.run();
    let assessment = assess(&run, &[], &[("predict: p95 < 200ms", "170 ms", Ruling::Passed)]);
    (run, assessment)
}

/// Chat completions in streams of 21 tokens; some end without their marker.
pub fn streaming() -> (Run, Assessment) {
    let run = Scene {
        median_ms: |moment| if moment > 15.0 { 900.0 } else { 600.0 },
        steps: vec![("chat", "POST", "/v1/chat/completions", 1)],
        fails: Box::new(|number, _| {
            (number % 50 == 13).then(|| Failure {
                outcome: Outcome::Incomplete,
                status: Some(200),
                message: "the stream ended without `[DONE]` after 7 events".to_owned(),
            })
        }),
        chunks: Some(21),
        ..Scene::default()
    }
    .run();
    let assessment = assess(&run, &[], &[("ttft p95 < 500ms", "395 ms", Ruling::Passed)]);
    (run, assessment)
}

/// The generator was the bottleneck.
pub fn invalid() -> (Run, Assessment) {
    let (run, _) = healthy();
    let assessment = assess(
        &run,
        &["gander used 98% of its 2 processors: the figures show gander, not the target"],
        &[("predict: p95 < 200ms", "170 ms", Ruling::Passed)],
    );
    (run, assessment)
}

/// Three hours with a slow leak of time, a pause, and steep load.
pub fn long() -> (Run, Assessment) {
    let mut run = Scene {
        seconds: 10_800.0,
        warm_up: 600.0,
        cool_down: 300.0,
        users: 50,
        rps: |moment| if moment > 7000.0 { 0.7 } else { 0.5 },
        steps: vec![("predict", "POST", "/predict", 1)],
        median_ms: |moment| {
            if (4000.0..4100.0).contains(&moment) { 4000.0 } else { 20.0 + moment / 400.0 }
        },
        spread: 0.5,
        fails: Box::new(|number, moment| {
            (moment > 8000.0 && moment < 8600.0 && number.is_multiple_of(5)).then(|| Failure {
                outcome: Outcome::HttpStatus,
                status: Some(503),
                message: "503".to_owned(),
            })
        }),
        ..Scene::default()
    }
    .run();
    let is_lost = |at: Offset| (5000.0..5400.0).contains(&at.as_secs_f64());
    run.intervals.retain(|interval| !is_lost(interval.start));
    run.resources.retain(|look| !is_lost(look.at));
    let assessment = assess(&run, &[], &[]);
    (run, assessment)
}
