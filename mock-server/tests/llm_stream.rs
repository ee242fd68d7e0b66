//! Streams of the llm service: what their chunks say, in which order, and when they are due.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests panic to fail")]

mod common;
mod llm_support;

use std::collections::BTreeMap;
use std::time::Duration;

use common::Server;
use http_body_util::BodyExt;
use hyper::Request;
use hyper_util::rt::TokioIo;
use llm_support::{
    AZURE, OPENAI, ask, ask_at, chat_with, contents, events, instant, saying, settings, start,
    stream_at, text,
};
use mock_server::Llm;
use mock_server::draws::Draws;
use mock_server::faults::{Faults, Kind, Rule};
use mock_server::latency::Latency;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::net::TcpStream;

fn streamed(prompt: &str) -> Value {
    chat_with(prompt, json!({ "stream": true }))
}

#[tokio::test]
async fn a_stream_has_role_content_finish_and_end() {
    let server = start(saying("Hello you")).await;
    let events = stream_at(&server, OPENAI, &streamed("x")).await;
    let id = events[0]["id"].clone();
    let deltas = [
        (json!({ "role": "assistant", "content": "" }), Value::Null),
        (json!({ "content": "Hell" }), Value::Null),
        (json!({ "content": "o" }), Value::Null),
        (json!({ "content": " you" }), Value::Null),
        (json!({}), json!("stop")),
    ];
    assert_eq!(events.len(), deltas.len());
    for (event, (delta, finish)) in events.iter().zip(deltas) {
        let choice =
            json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish });
        let expected = json!({
            "id": id, "object": "chat.completion.chunk", "created": event["created"],
            "model": "gpt-4o", "system_fingerprint": "fp_reference", "choices": [choice],
        });
        assert_eq!(*event, expected);
    }
    // The ids of two streams differ.
    assert_ne!(stream_at(&server, OPENAI, &streamed("x")).await[0]["id"], id);
}

#[tokio::test]
async fn usage_comes_last_and_only_if_it_is_asked_for() {
    let server = start(instant()).await;
    for path in [OPENAI, AZURE] {
        let body = chat_with(
            "x",
            json!({
                "stream": true, "stream_options": { "include_usage": true }, "n": 2,
            }),
        );
        let events = stream_at(&server, path, &body).await;
        let (last, others) = events.split_last().unwrap();
        assert_eq!(last["choices"], json!([]));
        assert_eq!(
            last["usage"],
            json!({
                "prompt_tokens": 8, "completion_tokens": 100, "total_tokens": 108,
            })
        );
        let of_choices = others.iter().filter(|event| event["choices"] != json!([]));
        assert!(of_choices.clone().all(|event| event.get("usage") == Some(&Value::Null)));
        assert_eq!(of_choices.count(), 2 * 52);
        assert_eq!(contents(&events, 0).len(), 50);
        assert_ne!(contents(&events, 0), contents(&events, 1), "each choice has its own words");
        let without = stream_at(&server, path, &streamed("x")).await;
        assert!(without.iter().all(|event| event.get("usage").is_none()));
    }
    let tokens = server.ledger().await.tokens;
    assert_eq!((tokens.prompt, tokens.completion), (4 * 8, 2 * 100 + 2 * 50));
}

#[tokio::test]
async fn azures_streams_begin_with_the_verdict_on_the_prompt() {
    let server = start(saying("Yes")).await;
    let events = stream_at(&server, AZURE, &streamed("x")).await;
    assert_eq!(events[0]["choices"], json!([]));
    assert_eq!(
        events[0]["prompt_filter_results"][0]["content_filter_results"]["hate"]["filtered"],
        false
    );
    assert_eq!(events[1]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(events[2]["choices"][0]["content_filter_results"]["violence"]["severity"], "safe");
    assert_eq!(events.len(), 4);
    let events = stream_at(&server, OPENAI, &streamed("x")).await;
    assert!(events.iter().all(|event| event.get("prompt_filter_results").is_none()));
}

#[tokio::test]
async fn a_stream_says_what_the_whole_answer_says() {
    for toml in ["", "tokens_per_chunk = 7", "tokens_per_chunk = 1000", "latency = '0.1ms'"] {
        let server = start(settings(&format!("replies = {{ words = '0..40' }}\n{toml}"))).await;
        for seed in 0..20 {
            let fields = json!({ "seed": seed, "n": 3, "max_tokens": 30 });
            let whole = ask(&server, &chat_with("x", fields.clone())).await;
            let mut body = chat_with("x", fields);
            body["stream"] = json!(true);
            let events = stream_at(&server, OPENAI, &body).await;
            for (index, choice) in whole["choices"].as_array().unwrap().iter().enumerate() {
                let contents = contents(&events, index as u64).concat();
                assert_eq!(choice["message"]["content"], contents);
                let finish = events.iter().filter_map(|event| {
                    let part = &event["choices"][0];
                    (part["index"] == index && !part["finish_reason"].is_null()).then_some(part)
                });
                let finish: Vec<_> = finish.collect();
                assert_eq!(finish.len(), 1);
                assert_eq!(finish[0]["finish_reason"], choice["finish_reason"]);
            }
        }
    }
}

#[tokio::test]
async fn chunks_after_the_first_have_as_many_tokens_as_configured() {
    let server = start(settings("replies = { words = 12 }\ntokens_per_chunk = 4")).await;
    let events = stream_at(&server, OPENAI, &streamed("x")).await;
    let words: Vec<_> = contents(&events, 0).iter().map(|c| c.split_whitespace().count()).collect();
    assert_eq!(words, [1, 4, 4, 3]);
}

#[tokio::test]
async fn an_empty_reply_is_a_stream_without_content() {
    let server = start(saying("")).await;
    let events = stream_at(&server, OPENAI, &streamed("x")).await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[1]["choices"][0]["finish_reason"], "stop");
    assert_eq!(text(&ask(&server, &chat_with("x", json!({}))).await), "");
}

#[tokio::test]
async fn characters_of_several_bytes_are_never_split() {
    let words = "日本語のテキスト élan größer 👩‍👩‍👧 \n\n  und\tSchluss  ";
    let server = start(saying("{{ prompt }}")).await;
    let events = stream_at(&server, OPENAI, &streamed(words)).await;
    assert_eq!(contents(&events, 0).concat(), words);
    assert_eq!(contents(&events, 0).len(), 2 + 1 + 2 + 2 + 1 + 2);
}

#[tokio::test]
async fn a_filtered_stream_ends_early_in_good_order() {
    let faults = Faults::new(vec![Rule::always(Kind::Filtered)]).unwrap();
    let server = start(Llm { faults, ..instant() }).await;
    let events = stream_at(&server, OPENAI, &streamed("x")).await;
    assert_eq!(contents(&events, 0).len(), 25);
    assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "content_filter");
}

/// With a token in each chunk or all in one, whether anything takes time or not.
#[tokio::test]
async fn an_error_comes_in_the_middle_of_a_stream_or_in_place_of_an_answer() {
    let faults = Faults::new(vec![Rule::always(Kind::ErrorEvent)]).unwrap();
    for (tokens_per_chunk, chunks) in [(1, 2), (100, 2)] {
        let tokens_per_chunk = std::num::NonZeroU32::new(tokens_per_chunk).unwrap();
        let server = start(Llm { faults: faults.clone(), tokens_per_chunk, ..instant() }).await;
        let body = streamed("x");
        let frames = frames(&server, &body).await.concat();
        assert_eq!(frames.matches("\"content\":\"").count(), 1 + chunks, "{frames}");
        assert!(!frames.contains("[DONE]"), "{frames}");
        let last = frames.trim_end().rsplit("data: ").next().unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        assert_eq!(last["error"]["type"], "server_error");
        assert_eq!(ask(&server, &chat_with("x", json!({}))).await["error"], last["error"]);
        let ledger = server.ledger().await;
        assert_eq!(ledger.faults["error-event"], 2);
        let streams =
            &ledger.routes.values().find(|route| route.streams.begun > 0).unwrap().streams;
        assert_eq!((streams.whole, streams.chunks), (0, chunks as u64));
    }
}

/// Frames of a streamed answer, each as the service handed it over.
async fn frames(server: &Server, body: &Value) -> Vec<String> {
    let address = server.url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut requests, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        TokioIo::new(stream),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("{}{OPENAI}", server.url)).body(body.to_string()).unwrap();
    let mut body = requests.send_request(request).await.unwrap().into_body();
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        if !data.is_empty() {
            frames.push(String::from_utf8(data.to_vec()).unwrap());
        }
    }
    frames
}

#[tokio::test]
async fn what_is_due_together_goes_out_together() {
    let server = start(settings("replies = { words = 40 }")).await;
    let together = frames(&server, &streamed("x")).await;
    assert_eq!(together.len(), 1, "nothing takes time: one frame");
    assert_eq!(events(&together[0]).0.len(), 42);

    // A first token and then one every 40 ms: the role comes with the first, the end with the last.
    let latency = "replies = { words = 4 }\nlatency = { base = '10ms', per_token = '40ms' }";
    let server = start(settings(latency)).await;
    // On a busy machine two of them may be due together after all.
    let mut apart = Vec::new();
    for _ in 0..5 {
        apart = frames(&server, &streamed("x")).await;
        if apart.len() == 4 {
            break;
        }
    }
    assert_eq!(apart.len(), 4);
    assert_eq!(events(&apart[0]).0.len(), 2);
    assert!(apart[0].contains("\"role\"") && !apart[1].contains("\"role\""));
    assert_eq!(events(&apart[3]).0.len(), 2);
    assert!(apart[3].ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn the_ledger_knows_streams_and_their_times() {
    let toml = "replies = { words = 10 }
        latency = { base = '90ms', first_token = '20ms', per_token = '4ms' }";
    let server = start(settings(toml)).await;
    for _ in 0..5 {
        stream_at(&server, OPENAI, &streamed("x")).await;
        ask(&server, &chat_with("x", json!({}))).await;
    }
    let ledger = server.until(|ledger| ledger.requests.in_flight == 0).await;
    let route = &ledger.routes["POST /v1/chat/completions"];
    let streams = &route.streams;
    assert_eq!((streams.begun, streams.whole, streams.chunks), (5, 5, 50));
    assert_eq!((streams.first_chunk.count, streams.gaps.count), (5, 45));
    // Nothing is sent before it is due.
    let first = streams.first_chunk;
    assert!(first.p50_ms >= 19.9, "{first:?}");
    // 20 + 9 x 4 of a stream and 90 + 9 x 4 of a whole answer are exactly what was intended.
    assert_eq!(route.intended.count, 10);
    assert!((route.intended.mean_ms - (56.0 + 126.0) / 2.0).abs() < 1e-6, "{:?}", route.intended);
    assert!((route.intended.max_ms - 126.0).abs() < 1e-6);
}

#[tokio::test]
async fn late_chunks_do_not_add_up() {
    // Each sleep ends up to a millisecond late: slept one after another, 300 of 0.2 ms would take
    // 300 ms and more instead of 60.
    let toml = "replies = { words = 300 }\nlatency = { per_token = '0.2ms' }";
    let mut ratios = Vec::new();
    for _ in 0..3 {
        let server = start(settings(toml)).await;
        stream_at(&server, OPENAI, &streamed("x")).await;
        let ledger = server.until(|ledger| ledger.requests.in_flight == 0).await;
        let route = &ledger.routes["POST /v1/chat/completions"];
        ratios.push(route.statuses[&200].mean_ms / route.intended.mean_ms);
    }
    assert!(ratios.iter().any(|ratio| *ratio < 2.5), "{ratios:?}");
    assert!(ratios.iter().all(|ratio| *ratio >= 1.0), "{ratios:?}");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_stream() {
    let server = start(settings("latency = { per_token = '20ms' }")).await;
    let response = server.post(OPENAI, &streamed("x")).await;
    assert_eq!(response.status(), 200, "the head is there at once");
    drop(response);
    let ledger = server.until(|ledger| ledger.requests.abandoned == 1).await;
    let streams = &ledger.routes["POST /v1/chat/completions"].streams;
    assert_eq!((streams.begun, streams.whole), (1, 0));
    assert!(streams.chunks < 50);
    let probe: Value = server.get("/probe").await.json().await.unwrap();
    assert_eq!(probe["now"], 0);
}

/// What a service with this seed says and intends in 24 requests, of which `together` run at once.
async fn told(seed: u64, together: usize) -> (BTreeMap<String, String>, f64, f64) {
    let toml = format!(
        "seed = {seed}\nreplies = {{ words = '1..9' }}\n\
         latency = {{ base = '0..4ms', per_token = 'exponential(0.5ms)' }}"
    );
    let server = start(settings(&toml)).await;
    let mut running = tokio::task::JoinSet::new();
    for client in 0..together {
        let (client_of, url) = (server.client.clone(), format!("{}{OPENAI}", server.url));
        running.spawn(async move {
            let mut said = Vec::new();
            for number in 0..24 / together {
                let mut body = streamed("x");
                body["stream"] = json!((client + number) % 2 == 0);
                body["stream_options"] = Value::Null;
                let answer = client_of.post(&url).json(&body).send().await.unwrap();
                let answer = answer.text().await.unwrap();
                said.push(match answer.starts_with("data: ") {
                    true => {
                        let (events, _) = events(&answer);
                        (events[0]["id"].to_string(), contents(&events, 0).concat())
                    }
                    false => {
                        let answer: Value = serde_json::from_str(&answer).unwrap();
                        (answer["id"].to_string(), text(&answer).to_owned())
                    }
                });
            }
            said
        });
    }
    let said = running.join_all().await.into_iter().flatten().collect();
    let ledger = server.until(|ledger| ledger.requests.in_flight == 0).await;
    let intended = ledger.routes["POST /v1/chat/completions"].intended;
    (said, intended.mean_ms, intended.max_ms)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seed_says_the_same_whatever_runs_together() {
    // Base and first token are the same draw: a whole answer takes as long as its stream.
    let alone = told(7, 1).await;
    assert_eq!(alone.0.len(), 24, "every answer has an id of its own");
    assert_eq!(told(7, 4).await, alone);
    assert_eq!(told(7, 12).await, alone);
    let other = told(8, 4).await;
    assert_ne!(other.0, alone.0);
    assert_ne!(other.1, alone.1);
}

#[tokio::test]
async fn a_reset_says_the_same_again() {
    let server = start(instant()).await;
    let three = async || {
        let mut said = Vec::new();
        for path in [OPENAI, AZURE, OPENAI] {
            let answer = ask_at(&server, path, &chat_with("x", json!({})), 200).await;
            said.push(text(&answer).to_owned());
        }
        said
    };
    let before = three().await;
    assert_ne!(before, three().await);
    server.reset().await;
    assert_eq!(before, three().await);
}

proptest! {
    /// The times of tokens are a function of the draws and never run backwards.
    #[test]
    fn times_of_tokens_are_pure(seed: u64, number: u64, base in 0..50u64, mean in 0..50u64) {
        let text = format!("base = '0..{base}ms'\nper_token = 'exponential({mean}ms)'");
        let latency: Latency = toml::from_str(&text).unwrap();
        let draws = Draws::new(seed, number);
        let times: Vec<Duration> = latency.tokens(draws).take(40).collect();
        prop_assert_eq!(&times, &latency.tokens(draws).take(40).collect::<Vec<_>>());
        prop_assert!(times.is_sorted());
        prop_assert_eq!(times[0], latency.draw(draws, 0));
    }
}
