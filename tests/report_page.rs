//! Reports as pages: what they hold, that no text in them acts, and what a real browser makes of them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests panic to fail, and say what they skip"
)]

#[path = "support/peers.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod peers;
mod synthetic;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gander::measure::distribution::Distribution;
use gander::report::chart::Words;
use gander::report::chart::grouped::{Bar, Group, grouped};
use gander::report::chart::memory::{Resident, memory};
use gander::report::chart::percentiles::{Named, percentiles};
use gander::report::chart::waterfall::{Component, waterfall};
use gander::report::model::{Block, Cell, Chart, Column, Note, Report, Section, Table, Text, Tone};
use gander::report::{html, inert, run};
use html5gum::{Token, Tokenizer};
use proptest::prelude::*;

fn failing() -> String {
    let (run, assessment) = synthetic::failing();
    html::render(&run::build(&run, &assessment))
}

#[test]
fn a_page_reads_as_agreed() {
    let page = failing().replace("><", ">\n<");
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"base64,[A-Za-z0-9+/=]+", "base64,IMAGE");
    settings.add_filter(r"sha256-[A-Za-z0-9+/=]+", "sha256-DIGEST");
    settings.add_filter(r"(?s)<style>.*</style>", "<style>STYLE</style>");
    settings.bind(|| insta::assert_snapshot!("failing.html", page));
}

/// What is markup of a page: tags with the names of their attributes, in order.
fn markup(page: &str) -> Vec<String> {
    let tokens = Tokenizer::new(page).map(|Ok(token)| token);
    let tags = tokens.filter_map(|token| match token {
        Token::StartTag(tag) => {
            let names =
                tag.attributes.keys().map(|name| String::from_utf8_lossy(name).into_owned());
            let name = String::from_utf8_lossy(&tag.name).into_owned();
            Some(format!("<{name} {}>", names.collect::<Vec<_>>().join(" ")))
        }
        Token::EndTag(tag) => Some(format!("</{}>", String::from_utf8_lossy(&tag.name))),
        Token::Comment(_) => Some("comment".to_owned()),
        Token::Error(error) => Some(format!("error {error:?}")),
        Token::String(_) | Token::Doctype(_) => None,
    });
    tags.collect()
}

/// Values of all attributes called `name`.
fn values(page: &str, name: &str) -> Vec<String> {
    let tokens = Tokenizer::new(page).map(|Ok(token)| token);
    let found = tokens.filter_map(|token| match token {
        Token::StartTag(tag) => {
            let value = tag.attributes.get(name.as_bytes())?;
            Some(String::from_utf8_lossy(value).into_owned())
        }
        _ => None,
    });
    found.collect()
}

#[test]
fn links_of_a_page_lead_somewhere_in_it_and_footnotes_back() {
    let (run, assessment) = synthetic::failing();
    let report = run::build(&run, &assessment);
    let page = html::render(&report);
    let ids = values(&page, "id");
    let unique: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "an id stands twice: {ids:?}");
    let links = values(&page, "href");
    for target in links.iter().filter_map(|link| link.strip_prefix('#')) {
        assert!(ids.iter().any(|id| id == target), "#{target} leads nowhere");
    }
    for number in 1..=report.footnotes.len() {
        for link in [format!("#note_{number}"), format!("#to_note_{number}")] {
            assert!(links.contains(&link), "{link} is missing");
        }
    }
    let beside = links.iter().filter(|link| !link.starts_with('#') && *link != "data:,");
    let charts: Vec<String> = report.charts().map(Chart::file).collect();
    assert_eq!(beside.cloned().collect::<Vec<_>>(), charts);
    assert!(!markup(&page).iter().any(|tag| tag.starts_with("<script")));
}

fn words<'a>(title: &'a str, file_stem: &'a str) -> Words<'a> {
    Words { title, subtitle: title, axis: title, file_stem, flag: Some(title) }
}

fn distribution(milliseconds: impl IntoIterator<Item = u64>) -> Distribution {
    let mut times = Distribution::default();
    milliseconds.into_iter().for_each(|ms| times.record(Duration::from_millis(ms)));
    times
}

/// Every kind of chart of two sides, with `text` wherever a name goes.
fn charts(text: &str) -> Vec<Chart> {
    let (slow, fast) = (distribution(50..1050), distribution((0..500).map(|i| 10 + i % 40)));
    let bars = vec![Some(Bar { value: 3.0, interval: Some((2.0, 4.5)) }), None];
    let components: Vec<Component> = (0..9)
        .map(|i| Component { name: text.to_owned(), ms: [Some(f64::from(i)), Some(1.0)] })
        .collect();
    let sides = [Named { name: text, times: &slow }, Named { name: "after", times: &fast }];
    let looks = [(0.0, 100 << 20), (60.0, 180 << 20)];
    [
        percentiles(text, text, &sides, Some(text)),
        memory(text, &[Resident { name: text, looks: &looks }], Some(text)),
        grouped(words(text, text), &[text, text], &[Group { name: text, bars }]),
        waterfall(words(text, text), [text, text], &components),
    ]
    .map(Option::unwrap)
    .into()
}

/// A report with `text` in every place that takes one.
fn full_of(text: &str) -> Report {
    let line = || {
        let line = Text::from(text).strong(Tone::Bad, text).strong(Tone::Good, text);
        line.strong(Tone::Warning, text).strong(Tone::Neutral, text).code(text).note(Note(1))
    };
    let mut table = Table::new([Column::words(text).note(Note(1)), Column::figures(text)]);
    table.caption = Some(line());
    table.rows.push(vec![line().into(), Cell::Figure(text.to_owned(), Some(Note(2)))]);
    table.rows.push(vec![Cell::Missing(text.to_owned()), text.into()]);
    table.total = Some(vec![text.into(), text.into()]);
    let mut section = Section::new(text)
        .with(line())
        .with(Block::List(vec![line()]))
        .with(Block::Facts(vec![(text.to_owned(), line())]))
        .with(table);
    section.blocks.extend(charts(text).into_iter().map(Block::Chart));
    Report {
        title: text.to_owned(),
        subtitle: vec![line()],
        sections: vec![section.clone(), section.nested(), Section::new(text).nested().nested()],
        footnotes: vec![text.to_owned(); 2],
        location: Some(text.to_owned()),
    }
}

/// 540 texts that would be markup, or leave the place they stand in, if nothing were escaped.
fn payloads() -> Vec<String> {
    let leave = [
        "x",
        "x\"",
        "x'",
        "x>",
        "x\">",
        "x'>",
        "x/>",
        "x-->",
        "x]]>",
        "x</title>",
        "x</style>",
        "x</code>",
        "x</td></tr></table>",
        "x</svg>",
        "x\n",
        "x\u{0}",
        "x\u{202e}",
        "x&quot;>",
    ];
    let act = [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg onload=alert(1)>",
        "<iframe src=javascript:alert(1)>",
        "<a href=javascript:alert(1)>x</a>",
        "<style>*{}</style>",
        "<base href=https://evil.example>",
        "<link rel=stylesheet href=//evil.example>",
        "<meta http-equiv=refresh content=0>",
        "<form action=//evil.example><input>",
        "<!--",
        "<![CDATA[",
        "<body onload=alert(1)>",
        " onmouseover=alert(1) ",
        " style=background:url(//evil.example) ",
        "<math><mi//xlink:href=\"data:x,<script>alert(1)</script>\">",
        "<template><script>",
        "<plaintext>",
        "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
        "&lt;script&gt;",
        "&#60;script&#62;",
        "\u{ff1c}script\u{ff1e}",
        "<scr\u{0}ipt>",
        "<SCRIPT SRC=//evil.example>",
        "<details open ontoggle=alert(1)>",
        "{{7*7}}",
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "<?xml-stylesheet?>",
        "<!ENTITY x SYSTEM \"file:///etc/passwd\">",
    ];
    let both = |leave: &str| act.map(|act| format!("{leave}{act}")).to_vec();
    leave.into_iter().flat_map(both).collect()
}

#[test]
fn no_payload_changes_the_markup_of_a_page_or_a_chart() {
    let harmless = markup(&html::render(&full_of("word")));
    let elements = |chart: &Chart| {
        let document = roxmltree::Document::parse(&chart.svg).unwrap();
        let nodes = document.descendants().filter(roxmltree::Node::is_element);
        nodes.map(|node| node.tag_name().name().to_owned()).collect::<Vec<_>>()
    };
    let allowed: BTreeSet<String> = charts("word").iter().flat_map(elements).collect();
    assert!(payloads().len() >= 500);
    for payload in payloads() {
        let page = html::render(&full_of(&payload));
        assert_eq!(markup(&page), harmless, "{payload:?} became markup");
        for link in values(&page, "href") {
            let is_ours = ["#", "charts/", "data:,"].iter().any(|begin| link.starts_with(begin));
            assert!(is_ours, "{payload:?} became a link: {link}");
        }
        let shown = inert::visible(&payload).into_owned();
        let texts = Tokenizer::new(&page).map(|Ok(token)| token).filter(|token| {
            matches!(token, Token::String(text) if String::from_utf8_lossy(text).contains(&shown))
        });
        assert!(texts.count() > 40, "{payload:?} is not shown whole");
        for chart in charts(&payload) {
            assert!(elements(&chart).iter().all(|tag| allowed.contains(tag)), "{payload:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_changes_the_markup_of_a_page(text in "\\PC{0,12}|[<>\"'&/= \u{0}-\u{1f}a-z]{0,24}") {
        let text = format!("x{text}");
        prop_assert_eq!(markup(&html::render(&full_of(&text))), markup(&html::render(&full_of("word"))));
    }
}

#[test]
fn charts_of_two_sides_read_as_agreed() {
    let slow = distribution((1..=1000).map(|i| 80 + i * i / 4000));
    let fast = distribution((1..=400).map(|i| 20 + i / 10));
    let sides = [Named { name: "before", times: &slow }, Named { name: "after", times: &fast }];
    let chart = percentiles("Response time", "percentiles", &sides, None).unwrap();
    insta::assert_snapshot!("percentiles.svg", chart.svg);
    let component =
        |name: &str, before, after| Component { name: name.to_owned(), ms: [before, after] };
    let parts = [
        component("tokenize", Some(12.5), Some(12.1)),
        component("search", Some(240.0), Some(61.0)),
        component("rerank", Some(96.0), None),
    ];
    let words = |title, axis, file_stem| Words {
        title,
        subtitle: "One request",
        axis,
        file_stem,
        flag: None,
    };
    let of = words("Where the time goes", "Time (ms)", "components");
    let chart = waterfall(of, ["before", "after"], &parts).unwrap();
    assert!(chart.alt.contains("in all 349 ms and at least 73.1 ms"), "{}", chart.alt);
    insta::assert_snapshot!("components.svg", chart.svg);
    let bar = |value| Some(Bar { value, interval: None });
    let groups = [
        Group {
            name: "1 pool",
            bars: vec![bar(4.0), Some(Bar { value: 3.7, interval: Some((3.4, 3.9)) })],
        },
        Group { name: "2 cache", bars: vec![bar(1.5), bar(-0.2)] },
        Group { name: "3 batch", bars: vec![bar(2.0), None] },
    ];
    let of = words("Gain by phase", "Gain (times)", "gain");
    let chart = grouped(of, &["expected", "measured"], &groups).unwrap();
    assert!(chart.alt.contains("3 batch: expected 2.00, measured not measured"), "{}", chart.alt);
    insta::assert_snapshot!("gain.svg", chart.svg);
}

#[test]
fn what_was_not_measured_is_no_chart() {
    let nothing = Component { name: "search".to_owned(), ms: [None, None] };
    assert!(waterfall(words("x", "x"), ["before", "after"], &[nothing]).is_none());
    assert!(
        grouped(words("x", "x"), &["measured"], &[Group { name: "x", bars: vec![None] }]).is_none()
    );
    assert!(memory("x", &[Resident { name: "x", looks: &[] }], None).is_none());
    let one = distribution([5]);
    assert!(percentiles("x", "x", &[Named { name: "x", times: &one }], None).is_none());
}

/// Answers with `page`, where another one is asked for with an empty one, and passes on what was asked
/// for.
fn serve(page: String) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, requests) = mpsc::channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap_or(0);
            let line = String::from_utf8_lossy(&head[..length]);
            // Browsers open connections that they may never use.
            let Some(path) = line.split(' ').nth(1) else { continue };
            let _gone = asked.send(path.to_owned());
            let page = if path == "/report.html" { page.as_str() } else { "" };
            let _closed = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                page.len()
            );
        }
    });
    (port, requests)
}

/// What a browser made of a page.
struct Seen {
    dom: String,
    console: Vec<String>,
    asked: Vec<String>,
}

/// `None` where there is no browser.
fn seen(page: String) -> Option<Seen> {
    let chromium = peers::program("chromium")?;
    let profile = tempfile::tempdir().unwrap();
    let (port, requests) = serve(page);
    // A browser that hangs does not hang the tests.
    let output = Command::new("timeout")
        .args(["--kill-after=5", "120"])
        .arg(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update"])
        .args(["--disable-dev-shm-usage", "--enable-logging=stderr", "--virtual-time-budget=3000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", &format!("http://127.0.0.1:{port}/report.html")])
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let console = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned);
    Some(Seen {
        dom: String::from_utf8_lossy(&output.stdout).into_owned(),
        console: console.collect(),
        asked: requests.try_iter().collect(),
    })
}

/// Text that makes itself seen if anything of it runs or loads.
const LOUD: &str = "x\"'></title></style></code></td><script>document.title='owned';console.error('owned')</script><img src=/leak onerror=\"document.title='owned'\"><link rel=stylesheet href=/leak><meta http-equiv=refresh content='0;url=/leak'>";

#[test]
fn a_browser_shows_a_page_and_nothing_in_it_acts() {
    let mut report = full_of(LOUD);
    let (run, assessment) = synthetic::failing();
    report.sections.extend(run::build(&run, &assessment).sections);
    report.footnotes.resize(30, LOUD.to_owned());
    // A picture that brings a script, as flamegraphs do.
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"document.title='owned'\"><script>console.error('owned')</script><image href=\"/leak\"/></svg>";
    let chart = charts("chart").remove(0);
    report.sections[0].blocks.push(Chart { svg: svg.to_owned(), ..chart }.into());
    let Some(seen) = seen(html::render(&report)) else { return };
    assert_eq!(seen.asked, ["/report.html"], "the page asked for more");
    assert_eq!(seen.console, Vec::<String>::new());
    assert!(seen.dom.contains("<title>x\"'&gt;&lt;/title&gt;"), "{}", seen.dom);
    assert!(seen.dom.contains("<table>") && seen.dom.contains(">predict<"), "a table is shown");
    assert!(!seen.dom.contains("<script"), "{}", seen.dom);
}

/// What is looked for above is found where it is there.
#[test]
fn a_browser_that_runs_the_text_is_noticed() {
    let page = format!("<!DOCTYPE html><title>page</title><body><p title=\"{LOUD}</p>");
    let Some(seen) = seen(page) else { return };
    assert!(seen.asked.iter().any(|path| path == "/leak"), "{:?}", seen.asked);
    assert!(seen.console.iter().any(|line| line.contains("owned")), "{:?}", seen.console);
}
