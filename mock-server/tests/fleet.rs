//! Several services by one command, in one process and apart.

#[path = "common/process.rs"]
mod process;

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use mock_server::Behaviour;
use mock_server::config::{Config, ServiceName};
use mock_server::fleet::{Fleet, muster};
use process::{Running, refused};
use tokio_util::sync::CancellationToken;

const ALL: [&str; 4] = ["inference", "llm", "multi-query", "ensemble"];

/// In one process, and in one for each service.
const BOTH: [&[&str]; 2] = [&[], &["--apart"]];

fn start(count: usize, services: &[&str], more: &[&str]) -> Running {
    Running::start(count, &[services, &["--port", "0"], more].concat())
}

#[test]
fn all_run_by_one_command_in_the_order_named() {
    for how in BOTH {
        let fleet = start(4, &["ensemble", "llm", "multi-query", "inference"], how);
        assert_eq!(fleet.names, ["ensemble", "llm", "multi-query", "inference"]);
        for name in ALL {
            let ledger = fleet.get_from(name, "/control/ledger");
            assert!(ledger.contains(&format!(r#""service":"{name}""#)), "{how:?}: {ledger}");
        }
        let body = r#"{"text":"good"}"#;
        assert!(fleet.send("inference", "POST /predict", body).starts_with("HTTP/1.1 200"));
        fleet.signal("-INT");
        let (success, rest) = fleet.end();
        assert!(success, "{how:?}");
        let order: Vec<usize> = ["ensemble", "llm", "multi-query", "inference"]
            .map(|name| rest.find(&format!("\n{name}: ")).expect("a summary for each"))
            .to_vec();
        assert!(order.is_sorted(), "{rest}");
        assert!(rest.contains("inference: 1 requests answered"), "{how:?}: {rest}");
        assert_eq!(rest.lines().filter(|line| line.starts_with("try: curl ")).count(), 4);
        let control = rest.lines().filter(|line| line.starts_with("control: curl "));
        assert_eq!(control.count(), 5, "a ledger for each, and faults once");
    }
}

#[test]
fn a_service_that_calls_another_has_it_started_beside() {
    for how in BOTH {
        let more = [&["--set", "llm.seed=7"], how].concat();
        let mut fleet = start(2, &["multi-query"], &more);
        assert_eq!(fleet.names, ["multi-query", "llm"], "{how:?}");
        let example = fleet.line();
        let command = example.strip_prefix("try: ").unwrap();
        assert!(Command::new("sh").args(["-c", command]).output().unwrap().status.success());
        // Two case studies by two criteria.
        let ledger = fleet.get_from("multi-query", "/control/ledger");
        assert!(ledger.contains(r#""upstream":{"begun":4,"#), "{how:?}: {ledger}");
        let ledger = fleet.get_from("llm", "/control/ledger");
        assert!(ledger.contains(r#""requests":{"accepted":4,"#), "{how:?}: {ledger}");
    }
}

#[test]
fn processes_apart_end_with_the_one_that_started_them() {
    for signal in ["-TERM", "-KILL"] {
        let mut fleet = start(2, &["inference", "llm"], &["--apart"]);
        let addresses = ["inference", "llm"].map(|name| fleet.address(name).to_owned());
        fleet.signal(signal);
        // Its output is open for as long as one of its children holds it.
        fleet.child.wait().unwrap();
        let gone = |address: &String| {
            (0..600).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(25));
                TcpStream::connect(address).is_err()
            })
        };
        assert!(addresses.iter().all(gone), "{signal}");
    }
}

#[test]
fn what_happens_is_counted_while_it_runs() {
    for how in BOTH {
        let mut fleet = start(2, &["llm", "inference"], how);
        let mut said = BufReader::new(fleet.child.stderr.take().unwrap());
        fleet.get_from("inference", "/health");
        fleet.get_from("inference", "/nothing");
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.starts_with("inference: "), "{how:?}: nothing happened in llm: {line}");
        assert!(line.contains(" answered, ") && line.contains("/s, 0 in flight"), "{line}");
    }
}

#[test]
fn a_port_in_use_stops_all_of_them() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("llm={}", taken.local_addr().unwrap().port());
    for how in BOTH {
        let arguments = [&["inference", "llm", "--port", "0", "--port", &port], how].concat();
        let (code, message) = refused(&arguments);
        assert_eq!(code, 3, "{message}");
        assert!(message.contains("is already in use"), "{message}");
    }
}

#[test]
fn settings_reach_processes_apart() {
    let sets = ["--set", "inference.latency.per_item=0ms", "--set", "inference.latency.base=1ms"];
    let fleet = start(2, &["inference", "llm"], &[&sets[..], &["--apart"]].concat());
    let body = r#"{"texts":["good","bad"]}"#;
    fleet.send("inference", "POST /predict_batch", body);
    let ledger = fleet.get_from("inference", "/control/ledger");
    assert!(ledger.contains(r#""intended":{"count":1,"mean_ms":1.0,"#), "{ledger}");
}

#[test]
fn one_llm_service_is_enough_for_all_that_call_it() {
    let posts = |named: &[ServiceName], config: &Config| {
        let posts = muster(config, named).unwrap();
        posts.iter().map(|post| (post.service, post.needs_llm)).collect::<Vec<_>>()
    };
    use ServiceName::{Ensemble, Inference, Llm, MultiQuery};
    let config = Config::default();
    assert_eq!(posts(&[Inference], &config), [(Inference, false)]);
    assert_eq!(
        posts(&[MultiQuery, Ensemble], &config),
        [(MultiQuery, true), (Ensemble, true), (Llm, false)]
    );
    assert_eq!(posts(&[Llm, MultiQuery], &config), [(Llm, false), (MultiQuery, true)]);
    let mut given = Config::default();
    given.multi_query.upstream.endpoint = Some("http://127.0.0.1:9".to_owned());
    assert_eq!(posts(&[MultiQuery], &given), [(MultiQuery, false)]);
    assert_eq!(posts(&[MultiQuery, Ensemble], &given).len(), 3);
}

#[tokio::test]
async fn each_ledger_is_its_own() {
    let mut config = Config::default();
    ServiceName::ALL.into_iter().for_each(|service| config.ports.set(service, 0));
    let posts = muster(&config, &[ServiceName::Inference, ServiceName::Llm]).unwrap();
    assert!(matches!(posts[1].behaviour, Behaviour::Llm(_)));
    let fleet = Fleet::bind("127.0.0.1", posts).unwrap();
    let (_, inference) = fleet.addresses()[0];
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(fleet.run(shutdown.clone()));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..3 {
        let url = format!("http://{inference}/health");
        assert_eq!(client.get(url).send().await.unwrap().status(), 200);
    }
    shutdown.cancel();
    let ledgers = running.await.unwrap().unwrap();
    let counts: Vec<(&str, u64)> =
        ledgers.iter().map(|ledger| (ledger.service.as_str(), ledger.requests.answered)).collect();
    assert_eq!(counts, [("inference", 3), ("llm", 0)]);
}
