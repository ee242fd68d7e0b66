//! What the tests of the llm service share.
#![allow(dead_code, reason = "every test file uses a part of it")]

use mock_server::latency::Latency;
use mock_server::{Behaviour, Llm, Reply};
use reqwest::Response;
use serde_json::{Value, json};

use crate::common::Server;

pub const OPENAI: &str = "/v1/chat/completions";
pub const AZURE: &str = "/openai/deployments/gpt/chat/completions?api-version=2024-10-21";

/// A service that takes no time.
pub fn instant() -> Llm {
    Llm { latency: Latency::ZERO, ..Llm::default() }
}

/// A service that takes no time and renders this template.
pub fn saying(template: &str) -> Llm {
    Llm { replies: Reply::Template(template.to_owned()), ..instant() }
}

/// Settings as a user writes them; they take no time unless they say so.
pub fn settings(toml: &str) -> Llm {
    let latency = if toml.contains("latency") { "" } else { "latency = \"0\"\n" };
    toml::from_str(&format!("{latency}{toml}")).expect("settings")
}

pub async fn start(llm: Llm) -> Server {
    Server::of(Behaviour::Llm(llm)).await
}

/// A request for a completion of one message.
pub fn chat(prompt: &str) -> Value {
    json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": prompt }] })
}

/// The same with further fields.
pub fn chat_with(prompt: &str, fields: Value) -> Value {
    let mut chat = chat(prompt);
    for (name, value) in fields.as_object().expect("an object") {
        chat[name] = value.clone();
    }
    chat
}

/// Posts to a path, checks the status, and returns the JSON of the answer.
pub async fn ask_at(server: &Server, path: &str, body: &Value, status: u16) -> Value {
    let response = server.post(path, body).await;
    assert_eq!(response.status(), status, "{path} {body}");
    response.json().await.expect("JSON")
}

pub async fn ask(server: &Server, body: &Value) -> Value {
    ask_at(server, OPENAI, body, 200).await
}

/// The text of the only choice.
pub fn text(completion: &Value) -> &str {
    assert_eq!(completion["choices"].as_array().expect("choices").len(), 1);
    completion["choices"][0]["message"]["content"].as_str().expect("a text")
}

pub fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name).unwrap_or_else(|| panic!("no header {name}"));
    value.to_str().expect("a text")
}

/// Data of the events of a stream, and whether it ended with its marker.
pub fn events(stream: &str) -> (Vec<Value>, bool) {
    let mut events = Vec::new();
    for event in stream.split_terminator("\n\n") {
        let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("no event: {event:?}"));
        if data == "[DONE]" {
            assert!(stream.ends_with("data: [DONE]\n\n"), "nothing follows the end marker");
            return (events, true);
        }
        events.push(serde_json::from_str(data).expect("JSON"));
    }
    (events, false)
}

/// Asks for a stream and returns its events; it must be whole.
pub async fn stream_at(server: &Server, path: &str, body: &Value) -> Vec<Value> {
    let response = server.post(path, body).await;
    assert_eq!(response.status(), 200, "{body}");
    assert_eq!(header(&response, "content-type"), "text/event-stream; charset=utf-8");
    let (events, is_whole) = events(&response.text().await.expect("a text"));
    assert!(is_whole);
    events
}

/// Texts of the chunks of a choice.
pub fn contents(events: &[Value], choice: u64) -> Vec<&str> {
    let of_choice = events.iter().flat_map(|event| event["choices"].as_array().expect("choices"));
    let contents = of_choice
        .filter(|part| part["index"] == choice && part["delta"]["role"].is_null())
        .filter_map(|part| part["delta"]["content"].as_str());
    contents.collect()
}
