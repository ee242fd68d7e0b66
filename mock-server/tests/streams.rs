//! Streams in the ledger, and faults that strike them on their way.

#![allow(clippy::unwrap_used, reason = "tests panic to fail")]

mod common;

use common::{Server, assert_balanced};
use mock_server::faults::{Faults, Kind, Rule};
use mock_server::ledger::Snapshot;
use mock_server::{Behaviour, Llm};
use serde_json::{Value, json};

const ROUTE: &str = "POST /v1/chat/completions";

fn llm(settings: &str) -> Llm {
    toml::from_str(settings).unwrap()
}

/// What came of a stream of chat completions, and whether it came to a good end.
async fn stream(server: &Server) -> (Vec<u8>, bool) {
    let asked = json!({
        "model": "gpt-4o",
        "stream": true,
        "messages": [{ "role": "user", "content": "Go on." }],
    });
    let mut response = server.post("/v1/chat/completions", &asked).await;
    assert_eq!(response.status(), 200);
    let mut seen = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => seen.extend_from_slice(&chunk),
            Ok(None) => return (seen, true),
            Err(_) => return (seen, false),
        }
    }
}

async fn ended(server: &Server) -> Snapshot {
    let ledger = server.until(|ledger| ledger.requests.in_flight == 0).await;
    assert_balanced(&ledger);
    ledger
}

#[tokio::test]
async fn the_ledger_has_the_chunks_and_the_times_of_streams() {
    let latency = r#"{ base = "1s", first_token = "30ms", per_token = "3ms" }"#;
    let server = Server::of(Behaviour::Llm(llm(&format!(
        "latency = {latency}\nreplies = {{ words = 20 }}"
    ))))
    .await;
    for _ in 0..3 {
        let (seen, is_whole) = stream(&server).await;
        assert!(is_whole && seen.ends_with(b"data: [DONE]\n\n"));
    }
    let ledger = ended(&server).await;
    let route = &ledger.routes[ROUTE];
    let streams = &route.streams;
    assert_eq!((streams.begun, streams.whole, streams.chunks), (3, 3, 60));
    assert_eq!((streams.first_chunk.count, streams.gaps.count), (3, 57));
    assert_eq!(route.tokens.completion, 60);
    assert!(streams.first_chunk.p50_ms >= 30.0, "{streams:?}");
    // First token and the gaps after it make up the whole time, which the ledger takes to the end. A
    // first token that is late shortens the gaps after it, and nothing makes the last one early.
    let sum = streams.first_chunk.mean_ms + 19.0 * streams.gaps.mean_ms;
    assert!(sum >= 0.99 * (30.0 + 19.0 * 3.0), "{streams:?}");
    let whole = route.statuses[&200].mean_ms;
    assert!((sum / whole - 1.0).abs() < 0.05, "{sum} {whole}");
    assert_eq!(route.intended.mean_ms, 30.0 + 19.0 * 3.0);
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_is_in_the_ledger() {
    let latency = r#"latency = { base = "0", per_token = "1h" }"#;
    let server = Server::of(Behaviour::Llm(llm(latency))).await;
    let asked = json!({
        "model": "m", "stream": true, "messages": [{ "role": "user", "content": "x" }],
    });
    let mut response = server.post("/v1/chat/completions", &asked).await;
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    let ledger = server.until(|ledger| ledger.requests.abandoned == 1).await;
    assert_balanced(&ledger);
    let streams = &ledger.routes[ROUTE].streams;
    assert_eq!((streams.begun, streams.whole, streams.chunks), (1, 0, 1));
}

/// With a token in each chunk, and with all in one: a fault strikes both.
#[tokio::test]
async fn streams_are_cut_and_damaged() {
    let kinds = [
        Kind::HalfBody,
        Kind::EarlyEof,
        Kind::Reset,
        Kind::InvalidJson,
        Kind::Truncated,
        Kind::Empty,
        Kind::MissingFields,
        Kind::InvalidUtf8,
        Kind::BrokenSse,
    ];
    for latency in ["\"0\"", r#"{ base = "2ms", per_token = "2ms" }"#] {
        for kind in kinds {
            let faults = Faults::new(vec![Rule::always(kind)]).unwrap();
            let settings = llm(&format!("latency = {latency}\nreplies = {{ words = 6 }}"));
            let server = Server::of(Behaviour::Llm(Llm { faults, ..settings })).await;
            if kind == Kind::Reset {
                let asked = json!({ "model": "m", "stream": true, "messages": [] });
                let url = format!("{}/v1/chat/completions", server.url);
                assert!(server.client.post(url).json(&asked).send().await.is_err());
                ended(&server).await;
                continue;
            }
            let (seen, is_whole) = stream(&server).await;
            let is_cut = matches!(kind, Kind::HalfBody | Kind::EarlyEof);
            assert_eq!(is_whole, !is_cut, "{kind} {latency}");
            assert!(!is_sound(&seen), "{kind} {latency}: {}", String::from_utf8_lossy(&seen));
            let ledger = ended(&server).await;
            assert_eq!(ledger.requests.broken, u64::from(is_cut), "{kind} {latency}");
            assert_eq!(ledger.faults[&kind.to_string()], 1);
        }
    }
}

/// Whether a client could be content: events of JSON with choices, and the end marker.
fn is_sound(seen: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(seen) else { return false };
    let mut events = text.split("\n\n").filter(|event| !event.is_empty());
    let is_event = |event: &str| {
        event.strip_prefix("data: ").is_some_and(|data| {
            data == "[DONE]"
                || serde_json::from_str::<Value>(data)
                    .is_ok_and(|chunk| chunk["choices"].is_array())
        })
    };
    text.ends_with("data: [DONE]\n\n") && events.all(is_event)
}

#[tokio::test]
async fn an_untouched_stream_is_sound() {
    let server = Server::of(Behaviour::Llm(llm("latency = \"0\""))).await;
    let (seen, is_whole) = stream(&server).await;
    assert!(is_whole && is_sound(&seen));
}

#[tokio::test]
async fn a_slow_drip_loses_no_event() {
    let drip = r#"faults = [{ kind = "slow-drip", delay = "100ms" }]"#;
    let server = Server::of(Behaviour::Llm(llm(&format!("latency = \"0\"\n{drip}")))).await;
    let (seen, is_whole) = stream(&server).await;
    assert!(is_whole && is_sound(&seen));
    let ledger = ended(&server).await;
    assert_eq!(ledger.response_body_bytes, seen.len() as u64);
    assert_eq!((ledger.requests.answered, ledger.faults["slow-drip"]), (1, 1));
}
