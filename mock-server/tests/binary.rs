//! One service through the real binary.

#[path = "common/process.rs"]
mod process;

use std::net::TcpListener;

use process::{Running, refused};

#[test]
fn a_signal_ends_it_with_a_summary() {
    for signal in ["-INT", "-TERM"] {
        let service = Running::start(1, &["inference", "--port", "0", "--set", "latency=0ms"]);
        assert_eq!(service.names, ["inference"]);
        assert!(service.get("/health").starts_with("HTTP/1.1 200"));
        assert!(service.get("/nothing").starts_with("HTTP/1.1 404"));
        service.signal(signal);
        let (success, rest) = service.end();
        assert!(success);
        let example = rest.lines().next().unwrap();
        assert!(example.starts_with("try: curl -s http://127.0.0.1:"), "{example}");
        assert!(rest.contains("inference: 2 requests answered and 0 abandoned"), "{rest}");
        let health = rest.lines().find(|line| line.starts_with("GET /health")).unwrap();
        assert_eq!(health.split_whitespace().skip(2).take(2).collect::<Vec<_>>(), ["200", "1"]);
    }
}

#[test]
fn the_end_of_standard_input_ends_it_if_asked() {
    let mut service = Running::start(1, &["inference", "--port", "0", "--until-stdin-closes"]);
    assert!(service.get("/health").starts_with("HTTP/1.1 200"));
    assert!(service.child.try_wait().unwrap().is_none(), "an open input keeps it running");
    drop(service.child.stdin.take());
    let (success, rest) = service.end();
    assert!(success);
    assert!(rest.contains("1 requests answered"), "{rest}");
}

#[test]
fn the_end_of_standard_input_means_nothing_otherwise() {
    let mut service = Running::start(1, &["inference", "--port", "0"]);
    drop(service.child.stdin.take());
    assert!(service.get("/health").starts_with("HTTP/1.1 200"));
    assert!(service.child.try_wait().unwrap().is_none());
}

#[test]
fn a_parent_that_reads_no_more_is_no_error() {
    let mut service = Running::start(1, &["inference", "--port", "0", "--until-stdin-closes"]);
    drop(service.out.take());
    drop(service.child.stdin.take());
    assert!(service.child.wait().unwrap().success());
}

#[test]
fn settings_become_behaviour() {
    let service = Running::start(
        1,
        &[
            "inference",
            "--port",
            "0",
            "--set",
            "engine=blocking",
            "--set",
            "latency={ base = '0.5ms', per_item = '250us' }",
            "--until-stdin-closes",
        ],
    );
    let body = r#"{"texts":["good","bad"]}"#;
    let answer = service.send("inference", "POST /predict_batch", body);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let ledger = service.get("/control/ledger");
    assert!(ledger.contains(r#""intended":{"count":1,"mean_ms":1.0,"#), "{ledger}");
}

#[test]
fn the_commands_that_it_names_work_as_they_are() {
    let mut service = Running::start(1, &["inference", "--port", "0", "--set", "latency=0ms"]);
    let example = service.line();
    let control = service.line();
    let outputs = [example.strip_prefix("try: "), control.strip_prefix("control: ")].map(|line| {
        let output = std::process::Command::new("sh").arg("-c").arg(line.unwrap()).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    });
    assert!(outputs[0].contains(r#""sentiment":"#), "{outputs:?}");
    assert!(outputs[1].contains(r#""answered":1"#), "{outputs:?}");
}

#[test]
fn a_port_in_use_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, message) = refused(&["inference", "--port", &port]);
    assert_eq!(code, 3);
    assert!(message.contains(&format!("port {port} on 127.0.0.1 is already in use")), "{message}");
    assert!(message.contains("--port"), "{message}");
    let (code, message) = refused(&["inference", "--host", "no.such.host.invalid", "--port", "0"]);
    assert_eq!(code, 3);
    assert!(message.contains("cannot listen on no.such.host.invalid port 0"), "{message}");
}

#[test]
fn contradictions_and_misspellings_are_bad_input() {
    let cases = [
        (&["inferense"][..], "inference"),
        (&["inference", "inference"], "named twice"),
        (&[], "SERVICE"),
        (&["inference", "--preset", "caos"], "chaos"),
        (&["inference", "--port", "70000"], "0 to 65535"),
        (&["inference", "--port", "inferense=1"], "did you mean `inference`?"),
        (&["inference", "llm", "--port", "9000"], "--port inference=9000"),
        (&["inference", "llm", "--port", "llm=8000"], "would both listen on port 8000"),
        (&["inference", "--engine", "blocking"], "--set engine=…"),
        (&["inference", "--base=5ms"], "--set latency.base=…"),
        (&["inference", "--jitter", "5ms"], "--set latency.base='90ms +- 10ms'"),
        (&["inference", "--config", "no/such.toml"], "cannot read no/such.toml"),
    ];
    for (arguments, expected) in cases {
        let (code, message) = refused(arguments);
        assert_eq!(code, 2, "{arguments:?}: {message}");
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
}
