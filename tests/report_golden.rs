//! What a report says, in every form, of runs whose every sample is known.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod synthetic;

use std::time::Duration;

use comrak::nodes::NodeValue;
use comrak::{Arena, Options, parse_document};
use gander::analysis::leak::{Leakage, Resource};
use gander::analysis::profile::{Bound, ProfileFindings};
use gander::analysis::resources::Resources;
use gander::analysis::{Assessment, Ruling};
use gander::measure::interval::Phase;
use gander::measure::resource::{Detail, Observed, ResourceSample};
use gander::measure::sample::{Offset, Outcome};
use gander::measure::summary::MeasuredWindow;
use gander::plan::{Purpose, Stop};
use gander::profile::{Counts, Folded, Missing, ProfileRecord, Profiles, SamplerKind};
use gander::report::model::{Cell, Report, Span, Table};
use gander::report::timeline::Timeline;
use gander::report::{inert, json, markdown, run, terminal};
use gander::scenario::slo::Alert;
use gander::store::entry::{Event, Resumed, ServiceSockets, Settled};
use gander::store::run::Run;
use proptest::prelude::*;
use synthetic::{Failure, HOSTILE, Scene, assess};
use unicode_width::UnicodeWidthStr;

fn all_runs() -> Vec<(&'static str, Run, Assessment)> {
    let named = |name, (run, assessment)| (name, run, assessment);
    vec![
        named("healthy", synthetic::healthy()),
        named("failing", synthetic::failing()),
        named("empty", synthetic::empty()),
        named("single", synthetic::single()),
        named("open", synthetic::open()),
        named("killed", synthetic::killed()),
        named("invalid", synthetic::invalid()),
        named("streaming", synthetic::streaming()),
        named("soak", soak()),
    ]
}

fn failing_report() -> Report {
    let (run, assessment) = synthetic::failing();
    run::build(&run, &assessment).saved_as("reports/2026-03-04-inference-mix/report.md")
}

#[test]
fn markdown_reads_as_agreed() {
    insta::assert_snapshot!("failing.md", markdown::render(&failing_report()));
}

#[test]
fn a_run_of_open_load_says_what_was_planned_and_dropped() {
    let (run, assessment) = synthetic::open();
    let report = run::build(&run, &assessment);
    insta::assert_snapshot!("open.md", markdown::render(&report));
    let chart = report.charts().find(|chart| chart.file_stem == "throughput").unwrap();
    assert!(chart.svg.contains("planned iterations") && chart.alt.contains("planned"));
    // Closed load plans no rate.
    let (run, assessment) = synthetic::healthy();
    let report = run::build(&run, &assessment);
    assert!(report.charts().all(|chart| !chart.svg.contains("planned")));
}

#[test]
fn the_terminal_shows_the_short_form() {
    insta::assert_snapshot!("failing.80", terminal::render(&failing_report(), 80, false));
}

/// Times to the first token, between chunks, per token; tokens; the variant that was run.
#[test]
fn a_run_of_streams_reads_as_agreed() {
    let (mut run, assessment) = synthetic::streaming();
    run.start.plan.variant = Some("long answers".to_owned());
    run.start.plan.settings = vec!["step.chat.timeout=9s".to_owned(), "load.users=10".to_owned()];
    let report = run::build(&run, &assessment).saved_as("reports/2026-03-04-chat/report.md");
    insta::assert_snapshot!("streaming.md", markdown::render(&report));
    insta::assert_snapshot!("streaming.80", terminal::render(&report, 80, false));
    insta::assert_json_snapshot!("streaming.json", json::summary(&run, &assessment));
    let ttft = report.charts().find(|chart| chart.file_stem == "ttft").unwrap();
    insta::assert_snapshot!("streaming.ttft.svg", ttft.svg);
}

/// A soak of twenty minutes that was killed once: memory leaks, files do not, threads come and go, and
/// sockets were not measured; it gets slower.
fn soak() -> (Run, Assessment) {
    let scene = Scene {
        seconds: 1200.0,
        warm_up: 0.0,
        rps: |_| 8.0,
        median_ms: |moment| 80.0 + moment / 20.0,
        counts_rows: true,
        ..Scene::default()
    };
    let mut run = scene.run();
    let seconds = |seconds: f64| Offset::from(Duration::from_secs_f64(seconds));
    let end = run.intervals.last().unwrap().end;
    let plan = &mut run.start.plan;
    (plan.purpose, plan.alerts) = (Purpose::Soak, Alert::defaults());
    plan.budget.requests = Some(20_000);
    let target = plan.target.clone();
    run.resumed.push(Resumed {
        at: seconds(700.0),
        resumed_at: "2026-03-04T10:28:13+01:00".to_owned(),
        away_seconds: Some(93.4),
        killed: Some(true),
        target,
    });
    for second in run.intervals.iter_mut().filter(|second| second.end > seconds(700.0)) {
        let ledger = &mut second.ledger;
        for count in [&mut ledger.scheduled, &mut ledger.sent, &mut ledger.lost] {
            *count += 2;
        }
        (ledger.iterations_started, ledger.iterations_lost) = (ledger.iterations_started + 2, 2);
    }
    let of_target = |look: &&mut ResourceSample| look.who == Observed::Target;
    for (number, look) in run.resources.iter_mut().filter(of_target).enumerate() {
        let moment = look.at.as_secs_f64();
        look.rss_bytes = Some(182_000_000 + (moment * 40_000.0) as u64 / 4096 * 4096);
        // A pool that follows a load of its own, and is growing when the run ends.
        look.threads = Some(9 + [0, 40, 5, 60, 0, 80][number / 200 % 6]);
    }
    let after = end + Duration::from_secs(2);
    let last = run.resources.iter().rfind(|look| look.who == Observed::Target).unwrap();
    run.resources.push(ResourceSample { at: after, threads: Some(11), ..*last });
    let service = ServiceSockets { accepted: 14, open: 1, upstream_clients: 0 };
    run.settled = Some(Settled { load_ended: end, at: after, service: Some(service) });
    let assessment = gander::analysis::assess(&run).unwrap();
    (run, assessment)
}

#[test]
fn a_soak_reads_as_agreed() {
    let (run, assessment) = soak();
    let verdicts = assessment.soak.as_ref().unwrap().resources.iter();
    let verdicts: Vec<_> = verdicts.map(|found| (found.resource, found.verdict)).collect();
    let expected = [
        (Resource::Memory, Leakage::Leak),
        (Resource::OpenFiles, Leakage::NoLeak),
        (Resource::Sockets, Leakage::NotMeasured),
        (Resource::Threads, Leakage::TooEarly),
    ];
    assert_eq!(verdicts, expected);
    let report = run::build(&run, &assessment).saved_as("reports/2026-03-04-soak/report.md");
    insta::assert_snapshot!("soak.md", markdown::render(&report));
    insta::assert_snapshot!("soak.100", terminal::render(&report, 100, false));
}

#[test]
fn json_has_stable_names() {
    let (run, assessment) = synthetic::failing();
    insta::assert_json_snapshot!("failing.json", json::summary(&run, &assessment));
}

#[test]
fn nothing_sent_is_said_and_never_a_zero_latency() {
    let (run, assessment) = synthetic::empty();
    let report = run::build(&run, &assessment);
    insta::assert_snapshot!("empty.md", markdown::render(&report));
    let summary = json::summary(&run, &assessment);
    assert!(summary["total"]["response_time"].is_null());
    assert!(summary["total"]["failure_share"].is_null());
    assert!(summary["resources"]["target"].is_null());
}

#[test]
fn no_form_shows_what_is_not_a_number() {
    for (name, run, assessment) in all_runs() {
        let report = run::build(&run, &assessment);
        let mut forms = vec![markdown::render(&report), terminal::render(&report, 80, false)];
        forms.push(json::summary(&run, &assessment).to_string());
        forms.extend(report.charts().map(|chart| chart.svg.clone()));
        for form in forms {
            let odd = ["NaN", "inf ", "inf\"", "-0 "].iter().find(|odd| form.contains(*odd));
            assert_eq!(odd, None, "{name}: {form}");
        }
    }
}

#[test]
fn the_terminal_form_fits_its_width() {
    for (name, run, assessment) in all_runs() {
        let report = run::build(&run, &assessment);
        for width in [80, 140] {
            for line in terminal::render(&report, width, false).lines() {
                assert!(line.width() <= width, "{name}: {} columns: {line}", line.width());
            }
        }
    }
}

#[test]
fn every_footnote_is_said_once_and_referred_to() {
    for (name, run, assessment) in all_runs() {
        let report = run::build(&run, &assessment);
        let page = markdown::render(&report);
        for (index, note) in report.footnotes.iter().enumerate() {
            let others = report.footnotes.iter().filter(|other| *other == note).count();
            assert_eq!(others, 1, "{name}: said twice: {note}");
            let mark = format!("[^{}]", index + 1);
            assert!(page.matches(&mark).count() > 1, "{name}: {mark} is never referred to");
        }
        let beyond = format!("[^{}]", report.footnotes.len() + 1);
        assert!(!page.contains(&beyond), "{name}: {beyond} does not exist");
    }
}

#[test]
fn an_invalid_run_is_marked_everywhere() {
    let (run, assessment) = synthetic::invalid();
    let report = run::build(&run, &assessment);
    assert!(report.title.contains("INVALID"));
    for table in report.tables() {
        let marked = table.caption.as_ref().and_then(|caption| caption.0.first());
        assert!(matches!(marked, Some(Span::Strong(_, text)) if text == "INVALID RUN"));
    }
    for chart in report.charts() {
        assert!(chart.svg.contains("INVALID RUN") && chart.title.contains("INVALID RUN"));
    }
    let page = markdown::render(&report);
    let is_pass = page.contains("**passed**") || page.contains("1 of 1 passed");
    assert!(!is_pass, "a rule that held in an invalid run is no pass");
}

#[test]
fn a_run_that_was_cut_short_says_how() {
    for (stop, words) in [
        (None, "the run was killed"),
        (Some(Stop::Interrupted), "interrupted after"),
        (Some(Stop::Terminated), "terminated after"),
        (Some(Stop::Failed), "ended by a failure inside gander"),
    ] {
        let run = Scene { stop, cut_at: Some(6.0), ..Scene::default() }.run();
        let report = run::build(&run, &assess(&run, &[], &[]));
        assert!(report.title.contains("partial"));
        let page = markdown::render(&report);
        assert!(page.contains(&format!("**partial:** {words}")), "{page}");
    }
}

#[test]
fn charts_are_well_formed_and_name_what_they_show() {
    for (name, run, assessment) in all_runs() {
        for chart in run::build(&run, &assessment).charts() {
            let document = roxmltree::Document::parse(&chart.svg).unwrap();
            let text = |tag| {
                document
                    .descendants()
                    .find(|node| node.has_tag_name(("http://www.w3.org/2000/svg", tag)))
            };
            assert!(text("title").is_some() && text("desc").is_some(), "{name}");
        }
    }
}

/// A run and its assessment with hostile text in every place that is not gander's own.
fn hostile() -> (Run, Assessment) {
    let (mut run, mut assessment) = synthetic::failing();
    let text = || HOSTILE.to_owned();
    let plan = &mut run.start.plan;
    (plan.scenario, plan.summary, plan.digest) = (text(), text(), text());
    (plan.target.url, plan.target.origin) = (text(), text());
    plan.command_line.push(text());
    plan.users[0].name = text();
    plan.users[0].transactions[0].name = text();
    (plan.steps[0].name, plan.steps[0].path) = (text(), text());
    (run.start.environment.cpu, run.start.started_at) = (text(), text());
    run.events.push(Event { at: Offset(1), text: text() });
    assessment.validity.reasons.push(text());
    assessment.verdicts[0].rule = text();
    assessment.verdicts[0].measured = text();
    (run, assessment)
}

/// Whether a character does something instead of being seen; line ends aside.
fn acts(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn hostile_text_does_nothing_in_markdown() {
    let (run, assessment) = hostile();
    let page = markdown::render(&run::build(&run, &assessment));
    assert_eq!(page.find(acts), None, "{page:?}");
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.footnotes = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.tasklist = true;
    let arena = Arena::new();
    let mut literal = 0;
    for node in parse_document(&arena, &page, &options).descendants() {
        match &node.data.borrow().value {
            NodeValue::HtmlInline(_) | NodeValue::HtmlBlock(_) | NodeValue::Link(_) => {
                panic!("acts: {node:?}")
            }
            NodeValue::CodeBlock(_) | NodeValue::ThematicBreak | NodeValue::Emph => {
                panic!("acts: {node:?}")
            }
            NodeValue::Image(image) => assert!(image.url.starts_with("charts/"), "{}", image.url),
            NodeValue::Heading(heading) => assert!(heading.level <= 3),
            NodeValue::Strong => {
                let words: Vec<_> = node.children().collect();
                assert!(!format!("{words:?}").contains("bold"), "made bold: {words:?}");
            }
            NodeValue::Code(code) => {
                // In a table, the parser may double a backslash that stands before a pipe.
                let shown = code.literal.replace(r"\\|", r"\|");
                literal += usize::from(shown == inert::visible(HOSTILE));
            }
            _ => {}
        }
    }
    // Digest, URL, rule, event, date: whole, in code, with not one character changed.
    assert!(literal >= 5, "only {literal} of the literal texts are whole");
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains("onerror"));
    assert!(rows.count() >= 5, "a row of a table was broken into lines");
}

#[test]
fn hostile_text_does_nothing_in_the_terminal() {
    let (run, assessment) = hostile();
    let report = run::build(&run, &assessment);
    for colour in [false, true] {
        let shown = terminal::render(&report, 80, colour);
        let mut rest = shown.as_str();
        let mut plain = String::new();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            let codes = after.strip_prefix('[').unwrap();
            let (code, after) = codes.split_once('m').unwrap();
            assert!(colour && code.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'));
            plain.push_str(before);
            rest = after;
        }
        plain.push_str(rest);
        assert_eq!(plain.find(acts), None, "{plain:?}");
        assert!(plain.contains("[31mred") && plain.contains(r"\u{202e}abc"), "{plain}");
    }
}

fn table<'a>(report: &'a Report, first_heading: &str) -> Option<&'a Table> {
    report.tables().find(|table| table.columns[0].heading == first_heading)
}

/// The figures of a column, by the words of the first column.
fn column(table: &Table, heading: &str) -> Vec<(String, u64)> {
    let index = table.columns.iter().position(|column| column.heading == heading).unwrap();
    table.rows.iter().chain(&table.total).map(|row| (words(&row[0]), number(&row[index]))).collect()
}

fn words(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text
            .0
            .iter()
            .map(|span| match span {
                Span::Plain(text) | Span::Code(text) | Span::Strong(_, text) => text.as_str(),
                Span::Note(_) => "",
            })
            .collect(),
        Cell::Figure(figure, _) | Cell::Missing(figure) => figure.clone(),
    }
}

fn number(cell: &Cell) -> u64 {
    words(cell).replace('\u{202f}', "").parse().unwrap()
}

fn sum(rows: &[(String, u64)]) -> u64 {
    rows.iter().map(|(_, count)| count).sum()
}

fn tables_agree_with_the_ledger(run: &Run, assessment: &Assessment) {
    let report = run::build(run, assessment);
    let ledger = run.ledger();
    let counted = |outcome: Outcome| match outcome {
        Outcome::Dropped => ledger.dropped,
        sent => ledger.ended_in(sent),
    };
    if let Some(outcomes) = table(&report, "Outcome") {
        let whole = column(outcomes, "Whole run");
        assert_eq!(sum(&whole), ledger.ended_total() + ledger.dropped);
        for (name, count) in whole {
            let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.name() == name).unwrap();
            assert_eq!(count, counted(outcome), "{name}");
        }
    }
    let failed: u64 =
        Outcome::ALL.into_iter().filter(|outcome| outcome.is_error()).map(counted).sum();
    let has = |table: &Table, heading: &str| table.columns.iter().any(|c| c.heading == heading);
    let failures =
        report.tables().find(|table| table.columns.len() == 7 && has(table, "Whole run"));
    assert_eq!(failures.map_or(0, |table| sum(&column(table, "Whole run"))), failed);

    let by_row = column(table(&report, "Whole run").unwrap(), "Count");
    let of = |name: &str| by_row.iter().find(|(row, _)| row == name).unwrap().1;
    assert_eq!(of("scheduled"), ledger.scheduled);
    assert_eq!(of("sent"), ledger.sent);
    assert_eq!(of("ended"), ledger.ended_total());
    let parts =
        ["due in the warm-up", "due in the measured part", "due after the measured part"].map(of);
    assert_eq!(parts.iter().sum::<u64>(), ledger.ended_total());

    let mut endpoints = column(table(&report, "Step").unwrap(), "Count");
    let (_, total) = endpoints.pop().unwrap();
    assert_eq!(sum(&endpoints), total);
    let counted = &assessment.summary.total.outcomes;
    let apart =
        [Outcome::Cancelled, Outcome::Retried].map(|outcome| counted.get(&outcome).copied());
    let dropped = counted.get(&Outcome::Dropped).copied().unwrap_or(0);
    assert_eq!(total - dropped + apart.into_iter().flatten().sum::<u64>(), parts[1]);
}

#[test]
fn every_count_equals_the_ledgers() {
    for (_, run, assessment) in all_runs() {
        tables_agree_with_the_ledger(&run, &assessment);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_equal_the_ledgers_whatever_fails(
        seconds in 3.0f64..8.0,
        warm_up in 0.0f64..2.0,
        every in 1u64..9,
        kinds in prop::collection::vec(prop::sample::select(&Outcome::ALL[1..]), 1..5),
        cut_at in prop::option::of(0.5f64..3.0),
    ) {
        // The recorder is told of what was sent; a dropped request is not.
        let kinds: Vec<_> = kinds.into_iter().filter(|kind| *kind != Outcome::Dropped).collect();
        let fails = move |number: u64, _| {
            let kind = kinds.get(number as usize / 7 % kinds.len().max(1))?;
            number.is_multiple_of(every).then(|| Failure {
                outcome: *kind,
                status: (number.is_multiple_of(2)).then_some(500),
                message: format!("failure {}", number % 5),
            })
        };
        let stop = if cut_at.is_some() { None } else { Some(Stop::Duration) };
        let scene = Scene { seconds, warm_up, cool_down: 0.5, fails: Box::new(fails), stop, cut_at, ..Scene::default() };
        let run = scene.run();
        let assessment = assess(&run, &[], &[("p95 < 1s", "200 ms", Ruling::Passed)]);
        tables_agree_with_the_ledger(&run, &assessment);
    }
}

#[test]
fn a_gap_in_the_records_is_a_gap_and_not_zero() {
    let (mut run, assessment) = synthetic::healthy();
    run.intervals.retain(|interval| !(9.5..13.5).contains(&interval.start.as_secs_f64()));
    let time = Timeline::of(&run).unwrap();
    let gap: Vec<_> = time.bins.iter().filter(|bin| bin.rate(bin.ok).is_none()).collect();
    assert_eq!(gap.len(), 4);
    assert!(gap.iter().all(|bin| bin.latency.is_none() && (10.0..14.0).contains(&bin.from)));
    let report = run::build(&run, &assessment);
    let latency = report.charts().find(|chart| chart.file_stem == "latency").unwrap();
    let p50 = latency.svg.lines().filter(|line| line.starts_with("<path"));
    let p50 = p50.filter(|line| line.contains("stroke=\"#0072b2\""));
    assert_eq!(p50.count(), 3, "legend, before the gap, after it");
}

#[test]
fn three_hours_give_charts_as_small_and_legible_as_three_seconds() {
    let (run, assessment) = synthetic::long();
    let time = Timeline::of(&run).unwrap();
    assert_eq!(time.width, 60.0);
    assert!((180..=182).contains(&time.bins.len()), "{} bins", time.bins.len());
    let report = run::build(&run, &assessment);
    assert_eq!(report.charts().count(), 5);
    for chart in report.charts() {
        assert!(chart.svg.len() < 50_000, "{}: {} bytes", chart.file_stem, chart.svg.len());
        if chart.file_stem != "distribution" {
            assert!(chart.svg.contains("start of the run (h)"), "{}", chart.file_stem);
        }
    }
}

#[test]
fn a_timeline_counts_every_request_once() {
    let (run, _) = synthetic::failing();
    let time = Timeline::of(&run).unwrap();
    let ledger = run.ledger();
    let (ok, failed) =
        time.bins.iter().fold((0, 0), |(ok, failed), bin| (ok + bin.ok, failed + bin.failed));
    assert_eq!(ok, ledger.ended_in(Outcome::Ok));
    assert_eq!(ok + failed, ledger.ended_total());
    assert_eq!(time.ended.values().sum::<u64>(), ledger.ended_total());
    assert!(time.ended[&Phase::Measured] > time.ended[&Phase::WarmUp]);
    assert_eq!(time.bins.len(), 30, "the last, short interval joins the second before");
}

#[test]
fn connections_are_those_of_the_whole_run_whatever_became_of_the_request() {
    // Ten users open a connection each in the warm-up; the first three requests fail.
    let fails = |number, _| {
        (number < 3).then(|| Failure {
            outcome: Outcome::HttpStatus,
            status: Some(500),
            message: "500".to_owned(),
        })
    };
    let run = Scene { fails: Box::new(fails), ..Scene::default() }.run();
    let assessment = assess(&run, &[], &[]);
    let summary = json::summary(&run, &assessment);
    assert_eq!(summary["total"]["failed"], 0, "they failed in the warm-up");
    assert_eq!(summary["total"]["connections_opened"], 10);
    for figures in summary["steps"].as_array().unwrap().iter().chain([&summary["total"]]) {
        let count = figures["connect"]["count"].as_u64().unwrap_or(0);
        assert_eq!(figures["connections_opened"], count, "{figures}");
    }
    let report = run::build(&run, &assessment);
    let connects = column(table(&report, "Time").unwrap(), "Count");
    let connects = connects.iter().find(|(name, _)| name == "Connect");
    assert_eq!(connects.map(|(_, count)| *count), Some(10));
}

/// A look at the target; `lag` is that of gander's timers.
fn look(seconds: f64, cpu_seconds: f64, rss_bytes: u64, lag: f64) -> ResourceSample {
    ResourceSample {
        cpu_seconds: Some(cpu_seconds),
        rss_bytes: Some(rss_bytes),
        processes: Some(2),
        timer_lag_max_ms: Some(lag),
        ..ResourceSample::nothing(Offset((seconds * 1e9) as u64), Observed::Target)
    }
}

/// What the target used between two moments, as told by `looks`.
fn used(looks: &[ResourceSample], start: f64, end: f64) -> Resources {
    let (mut run, _) = synthetic::healthy();
    run.resources = looks.to_vec();
    let at = |seconds: f64| Offset((seconds * 1e9) as u64);
    let window = MeasuredWindow { start: at(start), end: at(end) };
    Resources::of(&run, Observed::Target, window, Some(10.0))
}

#[test]
fn resources_are_those_of_the_measured_part() {
    let looks = [
        look(1.0, 90.0, 1, 99.0),
        look(5.0, 100.0, 500, 80.0),
        look(6.0, 100.5, 900, 3.0),
        // A process of the tree ended: its time is gone, and this second says nothing.
        look(7.0, 40.0, 700, 5.0),
        look(8.0, 41.5, 400, 4.0),
        look(29.0, 99.0, 9_999, 70.0),
    ];
    let used = used(&looks, 5.0, 8.5);
    assert_eq!(used.looks, 4);
    assert_eq!(used.cpu_seconds, Some(2.0));
    assert_eq!(used.cpu_mean_percent, Some(100.0));
    assert_eq!(used.cpu_peak_percent, Some(150.0));
    assert_eq!(used.cpu_ms_per_request, Some(100.0));
    assert_eq!((used.rss_start_bytes, used.rss_peak_bytes), (Some(500), Some(900)));
    assert_eq!(used.rss_growth_bytes, Some(-100));
    assert_eq!((used.processes, used.threads), (Some(2), None));
    assert_eq!(used.timer_lag_max_ms, Some(5.0), "80 ms was before the measured part");
}

#[test]
fn the_looks_next_to_the_edges_of_the_measured_part_tell_of_it() {
    // The first look lies before the first user, the last one after the last response.
    let looks = [
        look(0.0, 1.0, 100, 50.0),
        look(1.0, 1.5, 300, 2.0),
        look(2.0, 2.5, 350, 9.0),
        look(3.0, 9.9, 999, 60.0),
    ];
    let used = used(&looks, 0.5, 1.75);
    assert_eq!(used.looks, 3);
    assert_eq!((used.rss_start_bytes, used.rss_growth_bytes), (Some(100), Some(250)));
    // Half of the first second and three quarters of the next.
    assert_eq!(used.cpu_seconds, Some(0.25 + 0.75));
    assert_eq!(used.cpu_mean_percent, Some(80.0));
    assert_eq!(used.cpu_peak_percent, Some(100.0));
    assert_eq!(used.timer_lag_max_ms, Some(9.0));
}

#[test]
fn a_run_of_a_second_has_resources() {
    let used = used(&[look(0.0, 1.0, 100, 1.0), look(1.0, 1.5, 300, 2.0)], 0.125, 0.875);
    assert_eq!((used.looks, used.cpu_mean_percent), (2, Some(50.0)));
    assert_eq!(used.rss_growth_bytes, Some(200));
}

#[test]
fn a_second_that_lies_mostly_outside_is_not_the_peak() {
    let looks = [look(4.0, 0.0, 1, 1.0), look(5.0, 0.9, 1, 1.0), look(6.0, 1.0, 1, 1.0)];
    let used = used(&looks, 4.875, 6.0);
    assert_eq!(used.cpu_peak_percent.map(f64::round), Some(10.0));
}

#[test]
fn looks_far_from_the_measured_part_say_nothing_of_it() {
    let looks = [look(1.0, 1.0, 100, 1.0), look(9.0, 5.0, 900, 1.0)];
    assert_eq!(used(&looks, 3.0, 7.0), Resources::default());
    assert_eq!(used(&looks, 1.0, 1.0), Resources::default(), "nothing was measured");
}

/// A profile of ten seconds of the healthy run, whose target used about 0.7 processors.
fn profiles(folded: &str) -> Profiles {
    let folded = Folded::parse(folded).unwrap();
    let record = ProfileRecord {
        name: "target-cpu".to_owned(),
        who: Observed::Target,
        counts: Counts::Cpu,
        sampler: SamplerKind::InProcess,
        from: Offset::from(Duration::from_secs(10)),
        to: Offset::from(Duration::from_secs(20)),
        sampled: Duration::from_secs(10),
        frequency: 99.0,
        samples: folded.total() + 4,
        empty: 4,
        lost: None,
        notes: vec!["Taken while <b>25</b> requests were in flight.".to_owned()],
    };
    let missing = Missing {
        who: Observed::Generator,
        sampler: Some(SamplerKind::Perf),
        why: "perf is not installed".to_owned(),
        mend: Some("apt-get install linux-perf".to_owned()),
    };
    Profiles { taken: vec![(record, folded)], missing: vec![missing] }
}

const BEFORE: &str = "svc::main;svc::serve::{{closure}};svc::model::tokenize::h0123456789abcdef 410
svc::main;svc::serve::{{closure}};svc::model::tokenize::h0123456789abcdef;memcpy [libc.so.6] 60
svc::main;svc::serve::{{closure}};svc::model::embed 205
svc::main;svc::walk;svc::walk;svc::walk 12
svc::main;<script>alert(1)</script> 9
";

#[test]
fn profiles_are_shown_in_three_views() {
    let (mut run, assessment) = synthetic::healthy();
    run.start.plan.purpose = Purpose::Profile;
    let findings = ProfileFindings::of(&profiles(BEFORE), &run);
    let mut report = run::build(&run, &assessment);
    gander::report::profile::add_to(&mut report, &findings, &run, &assessment);
    let shown = report.clone().only("profile").unwrap();
    insta::assert_snapshot!("profile.100", terminal::render(&shown, 100, false));
    report.sections.retain(|section| section.title.starts_with("Profile") || section.level > 1);
    insta::assert_snapshot!("profile.md", markdown::render(&report));
    let none = report.clone().only("zzz").unwrap_err().to_string();
    assert!(none.contains("it has: ") && !none.contains("did you mean"), "{none}");
    let error = report.only("modulse").unwrap_err().to_string();
    assert!(error.contains("`modulse`; did you mean `Modules: target-cpu`?"), "{error}");
}

#[test]
fn tables_of_profiles_say_that_the_run_is_not_whole_or_not_valid() {
    let all = [synthetic::healthy(), synthetic::killed(), synthetic::invalid()];
    for ((run, assessment), flag) in all.into_iter().zip(["", "partial run", "INVALID RUN"]) {
        let findings = ProfileFindings::of(&profiles(BEFORE), &run);
        let mut report = run::build(&run, &assessment);
        let before = report.tables().count();
        gander::report::profile::add_to(&mut report, &findings, &run, &assessment);
        assert!(report.tables().count() > before);
        for table in report.tables() {
            let caption = table.caption.clone();
            let caption = caption.map_or(String::new(), |text| words(&Cell::Text(text)));
            let marks = ["partial run", "INVALID RUN"].map(|mark| caption.matches(mark).count());
            assert_eq!(marks.iter().sum::<usize>(), usize::from(!flag.is_empty()), "{caption}");
            assert!(caption.starts_with(flag), "{caption}");
        }
    }
}

#[test]
fn seconds_of_functions_are_shares_of_what_was_measured() {
    let (run, _) = synthetic::healthy();
    let findings = ProfileFindings::of(&profiles(BEFORE), &run);
    let profiled = findings.target_cpu().unwrap();
    let cpu = |moment: f64| {
        let looks = run.resources_of(Observed::Target);
        let look = looks.min_by(|a, b| {
            let far = |look: &ResourceSample| (look.at.as_secs_f64() - moment).abs();
            far(a).total_cmp(&far(b))
        });
        look.unwrap().cpu_seconds.unwrap()
    };
    let measured = cpu(20.1) - cpu(10.1);
    let seconds = profiled.cpu_seconds.unwrap();
    assert!((seconds / measured - 1.0).abs() < 0.05, "{seconds} s of {measured} s");
    let (own, _) = profiled.functions.get("svc::model::tokenize");
    let share = 410.0 / 700.0;
    assert!((profiled.seconds(own).unwrap() - seconds * share).abs() < 1e-9);
    // Forty requests a second for ten seconds.
    assert!((profiled.requests / 400.0 - 1.0).abs() < 0.05, "{} requests", profiled.requests);
    assert!(profiled.is_sound(), "{:?}", profiled.weaknesses);
    let waiting = findings.waiting.unwrap();
    assert_eq!(waiting.bound, Bound::Io, "{waiting:?}");
    assert!((waiting.wait_share - (1.0 - seconds / waiting.request_seconds)).abs() < 1e-9);
}

#[test]
fn a_poor_profile_draws_no_conclusions() {
    let (run, _) = synthetic::healthy();
    let findings = ProfileFindings::of(&profiles("main;a 20\nmain;b 10\n"), &run);
    let weaknesses = findings.target_cpu().unwrap().weaknesses.join("; ");
    for reason in ["34 samples", "12% of the samples have no stack", "most were missed"] {
        assert!(weaknesses.contains(reason), "{reason} in {weaknesses}");
    }
    let findings = ProfileFindings::of(&profiles("main;a 2000\n"), &run);
    let weaknesses = findings.target_cpu().unwrap().weaknesses.join("; ");
    assert!(weaknesses.starts_with("2004 samples in 7.12 s"), "{weaknesses}");
}

/// The healthy run, whose requests take 46 s of service time in the ten seconds of the profile; its
/// target uses `cpu` processors, waits for as many as `runnable` says, and its busiest thread uses so
/// much of one.
fn target_that_uses(cpu: f64, runnable: Option<f64>, busiest: Option<f64>) -> Run {
    let (mut run, _) = synthetic::healthy();
    for look in run.resources.iter_mut().filter(|look| look.who == Observed::Target) {
        let since = look.at.as_secs_f64();
        look.cpu_seconds = Some(cpu * since);
        look.detail = Some(Detail {
            runnable_seconds: runnable.map(|runnable| runnable * since),
            busiest_thread: busiest,
            ..Detail::default()
        });
    }
    run
}

#[test]
fn what_bounds_the_target_follows_from_what_was_measured() {
    // Two processors.
    let classes = [
        (Bound::Io, 0.7, Some(0.01), Some(0.3)),
        (Bound::Cpu, 1.5, Some(0.5), Some(0.5)),
        // Its requests compute, or wait for a processor, for more than half of their time.
        (Bound::Cpu, 0.7, Some(2.0), Some(0.3)),
        (Bound::OneThread, 0.95, Some(0.2), Some(0.93)),
        (Bound::Mixed, 0.8, Some(1.0), Some(0.3)),
        (Bound::Unclear, 0.95, Some(0.01), None),
    ];
    for (bound, cpu, runnable, busiest) in classes {
        let run = target_that_uses(cpu, runnable, busiest);
        let waiting = ProfileFindings::of(&profiles(BEFORE), &run).waiting.unwrap();
        assert_eq!(waiting.bound, bound, "{waiting:?}");
        assert!((waiting.processors.processors_used / cpu - 1.0).abs() < 1e-6, "{waiting:?}");
    }
}

#[test]
fn waiting_for_a_processor_is_a_weakness_only_where_others_have_it() {
    let crowded = |cpu, runnable, busiest| {
        let run = target_that_uses(cpu, Some(runnable), busiest);
        let findings = ProfileFindings::of(&profiles(BEFORE), &run);
        let weaknesses = findings.target_cpu().unwrap().weaknesses.join("; ");
        assert!(weaknesses.is_empty() || weaknesses.contains("others used it"), "{weaknesses}");
        !weaknesses.is_empty()
    };
    assert!(crowded(0.7, 0.5, Some(0.6)), "others crowd it out");
    assert!(!crowded(0.7, 0.1, Some(0.6)), "it hardly waits");
    assert!(!crowded(1.5, 1.5, Some(0.5)), "it uses what there is");
    assert!(!crowded(0.95, 0.5, Some(0.93)), "one thread never rests");
}

#[test]
fn only_what_became_cheaper_is_said_to_have_shrunk() {
    use gander::report::profile::diff::{Half, build};
    let (run, _) = synthetic::healthy();
    // Twice as many samples; tokenize takes half of what it took.
    let scaled = |text: &str, by: fn(&str) -> u64| {
        let mut all = Folded::default();
        for (stack, times) in Folded::parse(text).unwrap().stacks() {
            all.add(stack.to_vec(), times * by(stack.last().unwrap()));
        }
        all.to_string()
    };
    let before = scaled(BEFORE, |_| 2);
    let after = scaled(BEFORE, |name| if name.contains("tokenize") { 1 } else { 2 });
    let [before, after] =
        [before, after].map(|folded| ProfileFindings::of(&profiles(&folded), &run));
    let (was, is) = (before.target_cpu().unwrap(), after.target_cpu().unwrap());
    let all = was.ms_per_request(was.total()).unwrap();
    // As many samples fewer as there is less time.
    let less = is.total() as f64 / was.total() as f64;
    let report = build(
        Half { run: "reports/before", profiled: was, ms_per_request: all },
        Half { run: "reports/after", profiled: is, ms_per_request: all * less },
    );
    insta::assert_snapshot!("profile-diff.100", terminal::render(&report, 100, false));
    assert!(was.is_sound() && is.is_sound());
    let [after, before] = report.charts().collect::<Vec<_>>()[..] else { panic!("two charts") };
    // Widths of after: what a request takes now; both are coloured by what became of it.
    assert!(after.svg.contains("svc::model::tokenize (6,") && before.svg.contains("(12,0"));
    for chart in [after, before] {
        assert!(chart.svg.contains("rgb(100,100,255)") && !chart.svg.contains("rgb(255,100,100)"));
    }
}
