//! Who does what with which data: several scenarios at once, and rows that are handed out exactly
//! once, as a user runs them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/gander.rs"]
mod gander;
#[path = "support/reference.rs"]
mod reference;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gander::{Finished, Gander, one_at_a_time};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use mock_server::latency::{Distribution, Latency};
use mock_server::{Behaviour, Llm, Reply};
use reference::Reference;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A scenario that asks the llm service whether it hears `WORD`, which its only row says.
const ASKING: &str = r#"
summary = "asks for WORD"
service = "llm"
[data]
row = [ { word = "WORD" } ]
[[step]]
name = "ask"
post = "/v1/chat/completions"
json = { model = "m", messages = [ { role = "user", content = "{{ row.word }}" } ] }
usage = true
expect = { json = { "choices[0].message.content" = { equals = "WORD" } } }
KEYS
[[slo]]
rule = "ask: failures < 1%"
[[slo]]
rule = "failures < 2%"
"#;

/// Two of these scenarios, `first` and `second`, with more keys or tables.
fn write(gander: &Gander, first: &str, second: &str) {
    for (name, word, keys) in [("first", "alpha", first), ("second", "omega", second)] {
        let text = ASKING.replace("WORD", word).replace("KEYS", keys);
        std::fs::write(gander.path(&format!("{name}.toml")), text).unwrap();
    }
}

fn path(gander: &Gander, name: &str) -> String {
    shell_words::quote(gander.path(name).to_str().unwrap()).into_owned()
}

fn load(gander: &Gander, weights: [&str; 2], arguments: &str) -> Finished {
    let (first, second) = (path(gander, "first.toml"), path(gander, "second.toml"));
    gander.run(&format!("{first}{} {second}{} {arguments}", weights[0], weights[1]))
}

/// A service that says what it hears.
fn echo() -> Reference {
    Reference::of(Behaviour::Llm(Llm {
        latency: Latency::of(Distribution::Fixed(Duration::from_millis(5))),
        replies: Reply::Echo,
        ..Llm::default()
    }))
}

fn step<'a>(summary: &'a Value, name: &str) -> &'a Value {
    let steps = summary["steps"].as_array().unwrap();
    steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("{name}: {steps:?}"))
}

#[test]
fn a_weight_of_a_scenario_that_is_alone_is_refused() {
    let run = Gander::new().run("chat@3 --target http://127.0.0.1:9");
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("chat is alone"), "{}", run.stderr);
    let run = Gander::new().run("chat@1 --target http://127.0.0.1:9");
    assert!(!run.stderr.contains("is alone"), "{}", run.stderr);
}

#[test]
fn scenarios_share_the_users_and_each_sees_its_own_data() {
    let _alone = one_at_a_time();
    let (gander, service) = (Gander::new(), echo());
    write(&gander, "", "");
    let target = format!("--target {} --users 8 --iterations 800", service.url);
    let run = load(&gander, ["@3", ""], &target);
    let summary = run.summary();
    assert_eq!(summary["ledger"]["balances"], true, "{}", summary["ledger"]);
    assert_eq!(summary["total"]["failed"], 0, "a row of the other one fails the expectation");
    assert_eq!(summary["scenario"], "first+second");
    let count = |name: &str| step(&summary, name)["count"].as_u64().unwrap();
    let (first, second) = (count("first/ask"), count("second/ask"));
    assert_eq!(first + second, service.ledger().requests.accepted);
    assert_eq!(first + second, 800);
    // Six users and two, each of which waits for its response.
    let ratio = first as f64 / second as f64;
    assert!((2.0..4.5).contains(&ratio), "{first} : {second}");
    let verdicts = summary["verdicts"].as_array().unwrap();
    let rules: Vec<&str> = verdicts.iter().map(|of| of["rule"].as_str().unwrap()).collect();
    assert_eq!(
        rules,
        ["first/ask: failures < 1%", "failures < 2%", "second/ask: failures < 1%"],
        "a rule without a step is one for all"
    );
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    for name in ["first/user", "second/user", "75", "25", "first/ask", "second/ask"] {
        assert!(report.contains(name), "{name}");
    }
}

#[test]
fn arrivals_of_open_load_are_shared_by_weight_too() {
    let _alone = one_at_a_time();
    let (gander, service) = (Gander::new(), echo());
    write(&gander, "", "");
    // However many kinds of users it has, and whatever their weights are.
    let of_users = "[[user]]\nname = \"a\"\nweight = 2\n[[user.transaction]]\nname = \"ask\"\n\
                    get = \"/v1/models\"\n[[user]]\nname = \"b\"\nweight = 5\n\
                    [[user.transaction]]\nname = \"look\"\nget = \"/v1/models\"\n";
    std::fs::write(gander.path("second.toml"), of_users).unwrap();
    let target = format!("--target {} --rate 400 --iterations 800", service.url);
    let summary = load(&gander, ["@1", "@3"], &target).summary();
    let of = |name: &str| step(&summary, name)["count"].as_u64().unwrap() as f64;
    // Each with five standard deviations of a binomial draw: sqrt(p (1 - p) / 800).
    for (name, share) in
        [("first/ask", 0.25), ("second/ask", 0.75 * 2.0 / 7.0), ("second/look", 0.75 * 5.0 / 7.0)]
    {
        let drawn = of(name) / 800.0;
        let margin = 5.0 * (share * (1.0 - share) / 800.0_f64).sqrt();
        assert!((drawn - share).abs() < margin, "{name}: {drawn}, not {share}");
    }
}

#[test]
fn the_service_that_all_of_them_name_is_started() {
    let _alone = one_at_a_time();
    let gander = Gander::new();
    write(&gander, "", "");
    let arguments = "--users 4 --iterations 40 --set second/step.ask.timeout=9s \
                     --service replies=echo --service latency=2ms";
    let summary = load(&gander, ["", ""], arguments).summary();
    assert_eq!(summary["total"]["count"], 40);
    assert_eq!(summary["total"]["failed"], 0);
}

#[test]
fn what_does_not_go_together_is_said() {
    let gander = Gander::new();
    let refused = |weights: [&str; 2], arguments: &str| {
        let run = load(&gander, weights, arguments);
        assert_eq!(run.code, 2, "{}", run.stderr);
        run.stderr
    };
    write(&gander, "", "[variant.v]\nload.users = 3\n");
    let same = gander.path("first.toml");
    let twice = gander.run(&format!("{0} {0}", shell_words::quote(same.to_str().unwrap())));
    assert!(twice.stderr.contains("two scenarios are named first"), "{}", twice.stderr);
    assert!(
        refused(["", ""], "--rows all").contains("--rows: the iterations of several scenarios")
    );
    assert!(refused(["@0", ""], "").contains("a weight of 0 means never"));
    let unknown = refused(["", ""], "--set second/step.asc.timeout=9s");
    assert!(unknown.contains("asc") && unknown.contains("`ask`"), "{unknown}");
    assert!(refused(["", ""], "--variant first/v").contains("the scenario has no variant `v`"));

    let budget = "[budget]\nrequests = 100\n[price]\ncurrency = \"USD\"\n";
    write(
        &gander,
        &format!("{budget}default = {{ input = 1, output = 2 }}\n"),
        &format!("{budget}default = {{ input = 1, output = 3 }}\n"),
    );
    let budgets = refused(["", ""], "");
    assert!(budgets.contains("two of the scenarios have a budget of requests"), "{budgets}");
    assert!(budgets.contains("--max-requests"), "{budgets}");
    let prices = refused(["", ""], "--max-requests 10");
    assert!(prices.contains("the scenarios have two prices of every other model"), "{prices}");

    write(&gander, "", "");
    let other = std::fs::read_to_string(gander.path("second.toml")).unwrap();
    let other =
        other.replace("service = \"llm\"", "service = { name = \"llm\", latency = \"9ms\" }");
    std::fs::write(gander.path("second.toml"), other).unwrap();
    let services = refused(["", ""], "");
    assert!(
        services.contains(
            "the scenarios load different services: first loads llm, second loads llm (latency=\"9ms\")"
        ),
        "{services}"
    );
    assert!(services.contains("--target"), "{services}");
}

/// A service that answers every request, and remembers the path of each.
struct Listener {
    url: String,
    paths: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

impl Listener {
    fn new() -> Listener {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let paths = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&paths);
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let heard = Arc::clone(&heard);
                tokio::spawn(async move {
                    let answer = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
                        heard.lock().unwrap().push(request.uri().path().to_owned());
                        async { Ok::<_, Infallible>(hyper::Response::new("ok".to_owned())) }
                    });
                    let socket = TokioIo::new(socket);
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(socket, answer)
                        .await;
                });
            }
        });
        Listener { url, paths, _runtime: runtime }
    }
}

#[test]
fn many_users_hand_out_every_row_exactly_once() {
    let _alone = one_at_a_time();
    for order in ["next", "shuffle"] {
        let (gander, service) = (Gander::new(), Listener::new());
        let rows: Vec<String> = (0..500).map(|id| format!("row-{id}")).collect();
        let file = gander.scenario(&format!(
            "rows = \"row\"\n[data]\nrow = {{ file = \"rows.json\", order = \"{order}\" }}\n\
             [[step]]\nname = \"a\"\nget = \"/{{{{ row }}}}\"\n"
        ));
        std::fs::write(gander.path("rows.json"), serde_json::to_string(&rows).unwrap()).unwrap();
        let run = gander.run(&format!("{file} --target {} --users 20 --rows all", service.url));
        assert_eq!(run.summary()["total"]["count"], 500);
        let mut heard = service.paths.lock().unwrap().clone();
        // That the target is there is asked without a request.
        heard.sort();
        let mut rows: Vec<String> = rows.iter().map(|row| format!("/{row}")).collect();
        rows.sort();
        assert_eq!(heard, rows, "{order}");
    }
}
