//! The llm service's routes, in OpenAI's and in Azure's form: answers, errors, keys, limits.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests panic to fail")]

mod common;
mod llm_support;

use common::{Server, assert_balanced};
use llm_support::{
    AZURE, OPENAI, ask, ask_at, chat, chat_with, header, instant, saying, settings, start,
};
use mock_server::Llm;
use mock_server::faults::{Faults, Kind, Rule};
use reqwest::Response;
use serde_json::{Value, json};

#[tokio::test]
async fn a_completion_has_openais_shape() {
    let server = start(saying("Hello {{ prompt }}!")).await;
    let response = server.post(OPENAI, &chat("world")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), "application/json");
    for name in ["requests", "tokens"] {
        let limit = header(&response, &format!("x-ratelimit-limit-{name}"));
        assert_eq!(limit, header(&response, &format!("x-ratelimit-remaining-{name}")));
        assert_eq!(header(&response, &format!("x-ratelimit-reset-{name}")), "0s");
    }
    assert!(header(&response, "x-request-id").starts_with("req_"));
    assert!(header(&response, "openai-processing-ms").parse::<u64>().is_ok());
    let mut body: Value = response.json().await.unwrap();
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert!(body["created"].as_u64().unwrap() > 1_700_000_000);
    (body["id"], body["created"]) = (json!("id"), json!(0));
    let expected = json!({
        "id": "id", "object": "chat.completion", "created": 0, "model": "gpt-4o",
        "choices": [{
            "index": 0, "logprobs": null, "finish_reason": "stop",
            "message": { "role": "assistant", "content": "Hello world!", "refusal": null },
        }],
        // 3 of the prompt, 4 of the message, 2 of "worl" and "d"; "Hell" "o" "worl" "d!".
        "usage": { "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13 },
        "system_fingerprint": "fp_reference",
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn azure_adds_its_filter_and_takes_the_model_from_the_deployment() {
    let server = start(saying("Yes")).await;
    let body = json!({ "messages": [{ "role": "user", "content": "ok?" }] });
    let response = server.post(AZURE, &body).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "x-request-id"), header(&response, "apim-request-id"));
    assert!(!header(&response, "x-ms-region").is_empty());
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["model"], "gpt");
    let safe = json!({ "filtered": false, "severity": "safe" });
    for kind in ["hate", "self_harm", "sexual", "violence"] {
        assert_eq!(body["choices"][0]["content_filter_results"][kind], safe, "{kind}");
        let prompt = &body["prompt_filter_results"][0];
        assert_eq!(prompt["content_filter_results"][kind], safe, "{kind}");
    }
    let jailbreak = &body["prompt_filter_results"][0]["content_filter_results"]["jailbreak"];
    assert_eq!(*jailbreak, json!({ "filtered": false, "detected": false }));
    // On OpenAI's route none of this is there.
    let openai = ask(&server, &chat("ok?")).await;
    assert!(openai.get("prompt_filter_results").is_none());
    assert!(openai["choices"][0].get("content_filter_results").is_none());
}

#[tokio::test]
async fn information_routes_answer() {
    let server = start(settings("models = ['a', 'b']")).await;
    let health: Value = server.get("/health").await.json().await.unwrap();
    assert_eq!((&health["status"], &health["service_name"]), (&json!("healthy"), &json!("llm")));
    let models: Value = server.get("/v1/models").await.json().await.unwrap();
    assert_eq!(models["object"], "list");
    let ids: Vec<_> = models["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(ids, ["a", "b"]);
    let model: Value = server.get("/v1/models/b").await.json().await.unwrap();
    assert_eq!((&model["id"], &model["object"]), (&json!("b"), &json!("model")));
    let response = server.get("/v1/models/c").await;
    assert_eq!(response.status(), 404);
    assert_eq!(response.json::<Value>().await.unwrap()["error"]["code"], "model_not_found");
    let error = ask_at(&server, OPENAI, &chat("x"), 404).await;
    assert_eq!(error["error"]["code"], "model_not_found");
    // Azure's deployments are names of their own.
    ask_at(&server, AZURE, &chat("x"), 200).await;
}

#[tokio::test]
async fn unknown_routes_are_refused_in_the_form_of_their_api() {
    let server = start(instant()).await;
    let response = server.get("/v1/nothing").await;
    assert_eq!(response.status(), 404);
    let expected = json!({ "error": {
        "message": "Invalid URL (GET /v1/nothing)", "type": "invalid_request_error",
        "param": null, "code": "unknown_url",
    } });
    assert_eq!(response.json::<Value>().await.unwrap(), expected);
    let response = server.get("/openai/nothing").await;
    assert_eq!(response.status(), 404);
    let expected = json!({ "error": { "message": "Resource not found", "code": "404" } });
    assert_eq!(response.json::<Value>().await.unwrap(), expected);
    let response = server.get(OPENAI).await;
    assert_eq!(response.status(), 405);
    assert_eq!(header(&response, "allow"), "POST");
    let error: Value = response.json().await.unwrap();
    assert_eq!(error["error"]["code"], "method_not_supported");
}

#[tokio::test]
async fn azure_wants_an_api_version_and_a_deployment_that_is_there() {
    let server = start(settings("deployments = ['gpt', 'other one']")).await;
    let base = "/openai/deployments/gpt/chat/completions";
    for path in [base.to_owned(), format!("{base}?api-version="), format!("{base}?version=1")] {
        let error = ask_at(&server, &path, &chat("x"), 404).await;
        assert_eq!(error["error"]["code"], "404", "{path}");
    }
    ask_at(&server, AZURE, &chat("x"), 200).await;
    let spaced = "/openai/deployments/other%20one/chat/completions?x=y&api-version=2024-10-21";
    ask_at(&server, spaced, &chat("x"), 200).await;
    let missing = "/openai/deployments/nope/chat/completions?api-version=2024-10-21";
    let error = ask_at(&server, missing, &chat("x"), 404).await;
    assert_eq!(error["error"]["code"], "DeploymentNotFound");
}

#[tokio::test]
async fn keys_are_checked_where_there_are_any() {
    let server = start(settings("api_keys = ['right', 'other']")).await;
    let post = async |path: &str, name: &'static str, value: &str| -> Response {
        let request = server.client.post(format!("{}{path}", server.url)).json(&chat("x"));
        let request = if name.is_empty() { request } else { request.header(name, value) };
        request.send().await.unwrap()
    };
    for (path, name, value, status) in [
        (OPENAI, "authorization", "Bearer right", 200),
        (OPENAI, "authorization", "bearer other", 200),
        (OPENAI, "authorization", "Bearer wrong", 401),
        (OPENAI, "authorization", "right", 401),
        (OPENAI, "api-key", "right", 401),
        (OPENAI, "", "", 401),
        (AZURE, "api-key", "right", 200),
        (AZURE, "authorization", "Bearer right", 200),
        (AZURE, "api-key", "wrong", 401),
        (AZURE, "", "", 401),
    ] {
        let response = post(path, name, value).await;
        assert_eq!(response.status(), status, "{path} {name} {value}");
        let body: Value = response.json().await.unwrap();
        if status == 401 && path == AZURE {
            assert_eq!(body["error"]["code"], "401");
        } else if status == 401 {
            assert_eq!(body["error"]["type"], "invalid_request_error");
            let is_given = name == "authorization" && value.contains(' ');
            let code = if is_given { json!("invalid_api_key") } else { Value::Null };
            assert_eq!(body["error"]["code"], code, "{name} {value}");
        }
    }
    assert_eq!(server.get("/v1/models").await.status(), 401);
    assert_eq!(server.get("/health").await.status(), 200);
    // Without keys in the settings, everybody may ask.
    let open = start(instant()).await;
    let request = open.client.post(format!("{}{OPENAI}", open.url)).json(&chat("x"));
    assert_eq!(request.bearer_auth("any").send().await.unwrap().status(), 200);
}

/// The error of a body that is refused.
async fn refused(server: &Server, body: &Value) -> (Value, Value, String) {
    let error = ask_at(server, OPENAI, body, 400).await["error"].take();
    assert_eq!(error["type"], "invalid_request_error", "{body}");
    let message = error["message"].as_str().expect("a message").to_owned();
    (error["param"].clone(), error["code"].clone(), message)
}

#[tokio::test]
async fn a_wrong_field_is_named_as_openai_names_it() {
    let server = start(instant()).await;
    let user = |content: Value| json!({ "messages": [{ "role": "user", "content": content }] });
    let part = |part: Value| user(json!([part]));
    let schema = |fields: Value| json!({ "response_format": fields });
    let cases = [
        (json!({ "messages": null }), "messages", "invalid_type"),
        (json!({ "messages": "hello" }), "messages", "invalid_type"),
        (json!({ "messages": [] }), "messages", "empty_array"),
        (json!({ "messages": ["x"] }), "messages[0]", "invalid_type"),
        (
            json!({ "messages": [{ "content": "x" }] }),
            "messages[0].role",
            "missing_required_parameter",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": "x" }, { "role": "boss", "content": "x" }] }),
            "messages[1].role",
            "invalid_value",
        ),
        (user(Value::Null), "messages[0].content", "invalid_type"),
        (user(json!(5)), "messages[0].content", "invalid_type"),
        (
            part(json!({ "type": "text" })),
            "messages[0].content[0].text",
            "missing_required_parameter",
        ),
        (part(json!({ "type": "smell" })), "messages[0].content[0].type", "invalid_value"),
        (
            part(json!({ "type": "image_url" })),
            "messages[0].content[0].image_url",
            "missing_required_parameter",
        ),
        (json!({ "model": 4 }), "model", "invalid_type"),
        (json!({ "temperature": 2.1 }), "temperature", "decimal_above_max_value"),
        (json!({ "temperature": -0.1 }), "temperature", "decimal_below_min_value"),
        (json!({ "temperature": "warm" }), "temperature", "invalid_type"),
        (json!({ "top_p": 2 }), "top_p", "decimal_above_max_value"),
        (json!({ "n": 0 }), "n", "integer_below_min_value"),
        (json!({ "n": 129 }), "n", "integer_above_max_value"),
        (json!({ "n": 1.5 }), "n", "invalid_type"),
        (json!({ "max_tokens": 0 }), "max_tokens", "integer_below_min_value"),
        (
            json!({ "max_completion_tokens": -1 }),
            "max_completion_tokens",
            "integer_below_min_value",
        ),
        (
            json!({ "max_tokens": 5, "max_completion_tokens": 5 }),
            "max_tokens",
            "invalid_parameter_combination",
        ),
        (json!({ "stop": ["a", "b", "c", "d", "e"] }), "stop", "array_above_max_length"),
        (json!({ "stop": ["a", 1] }), "stop[1]", "invalid_type"),
        (json!({ "stream": "yes" }), "stream", "invalid_type"),
        (json!({ "stream_options": { "include_usage": true } }), "stream_options", ""),
        (schema(json!({ "type": "yaml" })), "response_format.type", "invalid_value"),
        (schema(json!({ "type": "json_object" })), "messages", ""),
        (
            schema(json!({ "type": "json_schema" })),
            "response_format.json_schema",
            "missing_required_parameter",
        ),
        (
            schema(json!({ "type": "json_schema", "json_schema": { "schema": {} } })),
            "response_format.json_schema.name",
            "missing_required_parameter",
        ),
        (
            schema(
                json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": { "type": "thing" } } }),
            ),
            "response_format",
            "",
        ),
    ];
    for (fields, expected, expected_code) in cases {
        let body = chat_with("hello", fields);
        let (param, code, message) = refused(&server, &body).await;
        assert_eq!(param, expected, "{body}: {message}");
        let expected_code =
            if expected_code.is_empty() { json!(null) } else { json!(expected_code) };
        assert_eq!(code, expected_code, "{body}: {message}");
    }
    let (param, code, message) = refused(&server, &json!({ "messages": [] })).await;
    assert_eq!((param, code), (json!(null), json!(null)));
    assert_eq!(message, "you must provide a model parameter");
    let (param, code, _) = refused(&server, &json!({ "model": "x" })).await;
    assert_eq!((param, code), (json!("messages"), json!("missing_required_parameter")));
    let ledger = server.ledger().await;
    assert_eq!(ledger.tokens.prompt + ledger.tokens.completion, 0, "nothing was worked on");
    assert_balanced(&ledger);
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let server = start(instant()).await;
    for body in ["", "{", "[]", "{\"model\": }", "\u{1}"] {
        let url = format!("{}{OPENAI}", server.url);
        let response = server.client.post(url).body(body).send().await.unwrap();
        assert_eq!(response.status(), 400, "{body:?}");
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["error"]["type"], "invalid_request_error");
    }
}

#[tokio::test]
async fn parts_images_tools_and_other_roles_are_accepted() {
    let server = start(saying("{{ prompt }}")).await;
    let image = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AA" } });
    let text = |text: &str| json!({ "type": "text", "text": text });
    let body = json!({
        "model": "gpt-4o",
        "messages": [
            { "role": "developer", "content": "Be" },
            { "role": "assistant", "content": null, "tool_calls": [] },
            { "role": "tool", "content": "ten", "tool_call_id": "x" },
            { "role": "user", "content": [text("one"), image, text("two \u{e9}\\n\"")] },
        ],
        "tools": [{ "type": "function", "function": { "name": "f" } }],
        "temperature": 2, "top_p": 0.5, "user": "me", "metadata": { "a": "b" },
        "max_tokens": null, "seed": 5, "stop": "zzz", "unheard_of": [1, 2, { "x": null }],
    });
    let completion = ask(&server, &body).await;
    assert_eq!(llm_support::text(&completion), "one\ntwo \u{e9}\\n\"");
    // 3, four messages of 4, "Be", "ten", and of the last "one", "two", one word of 4; an image of 85.
    assert_eq!(completion["usage"]["prompt_tokens"], 3 + 16 + 1 + 1 + 3 + 85);
}

#[tokio::test]
async fn the_ledger_has_the_tokens_of_the_usage() {
    let llm =
        Llm { replies: serde_json::from_value(json!({ "words": "5..40" })).unwrap(), ..instant() };
    let server = start(llm).await;
    let (mut prompt, mut completion, mut choices) = (0, 0, 0);
    for n in 1..=6 {
        for path in [OPENAI, AZURE] {
            let body = chat_with(&"some words ".repeat(n), json!({ "n": n, "max_tokens": 20 }));
            let answer = ask_at(&server, path, &body, 200).await;
            let usage = |name: &str| answer["usage"][name].as_u64().unwrap();
            assert_eq!(usage("total_tokens"), usage("prompt_tokens") + usage("completion_tokens"));
            assert_eq!(answer["choices"].as_array().unwrap().len(), n);
            prompt += usage("prompt_tokens");
            completion += usage("completion_tokens");
            choices += n as u64;
        }
    }
    let ledger = server.ledger().await;
    assert_eq!((ledger.tokens.prompt, ledger.tokens.completion), (prompt, completion));
    assert_eq!(ledger.items, choices);
    assert_eq!(ledger.routes["POST /v1/chat/completions"].requests.answered, 6);
    let azure = &ledger.routes["POST /openai/deployments/{deployment}/chat/completions"];
    assert_eq!(azure.requests.answered, 6);
}

#[tokio::test]
async fn errors_of_faults_have_the_services_form() {
    let faults = |kind| Faults::new(vec![Rule::always(kind)]).unwrap();
    for (status, kind, code) in [
        (429, "requests", "rate_limit_exceeded"),
        (529, "overloaded_error", "overloaded"),
        (503, "server_error", "service_unavailable"),
        (504, "server_error", "timeout"),
        (500, "server_error", "server_error"),
        (404, "invalid_request_error", "model_not_found"),
        (401, "invalid_request_error", "invalid_api_key"),
        (403, "invalid_request_error", "forbidden"),
        (400, "invalid_request_error", "bad_request"),
    ] {
        let server = start(Llm { faults: faults(Kind::Status(status)), ..instant() }).await;
        let response = server.post(OPENAI, &chat("x")).await;
        assert_eq!(response.status(), status);
        let retry_after = response.headers().get("retry-after").map(|value| value.as_bytes());
        assert_eq!(retry_after, (status == 429).then_some(&b"1"[..]));
        let left = if status == 429 { "0" } else { header(&response, "x-ratelimit-limit-tokens") };
        assert_eq!(header(&response, "x-ratelimit-remaining-tokens"), left);
        let error: Value = response.json().await.unwrap();
        assert_eq!(
            (&error["error"]["type"], &error["error"]["code"]),
            (&json!(kind), &json!(code))
        );
        assert!(error["error"]["message"].is_string());
    }
    let server = start(Llm { faults: faults(Kind::ContentFilter), ..instant() }).await;
    let error = &ask_at(&server, AZURE, &chat("x"), 400).await["error"];
    assert_eq!((&error["code"], &error["param"]), (&json!("content_filter"), &json!("prompt")));
    assert_eq!(error["innererror"]["code"], "ResponsibleAIPolicyViolation");
    let results = &error["innererror"]["content_filter_result"];
    assert_eq!(results["hate"], json!({ "filtered": true, "severity": "high" }));
    for kind in ["self_harm", "sexual", "violence", "jailbreak"] {
        assert_eq!(results[kind]["filtered"], false, "{kind}");
    }
}

#[tokio::test]
async fn a_filtered_answer_is_half_of_one() {
    let faults = Faults::new(vec![Rule::every(Kind::Filtered, 2)]).unwrap();
    let server = start(Llm { faults, ..instant() }).await;
    for path in [OPENAI, AZURE] {
        let whole = ask_at(&server, path, &chat("x"), 200).await;
        assert_eq!(whole["choices"][0]["finish_reason"], "stop");
        assert_eq!(whole["usage"]["completion_tokens"], 50);
        let half = ask_at(&server, path, &chat("x"), 200).await;
        assert_eq!(half["choices"][0]["finish_reason"], "content_filter");
        assert_eq!(half["usage"]["completion_tokens"], 25);
        assert_eq!(llm_support::text(&half).split(' ').count(), 25);
        let filter = &half["choices"][0]["content_filter_results"];
        assert_eq!(filter["hate"]["filtered"] == true, path == AZURE);
    }
}

#[tokio::test]
async fn a_limit_of_requests_says_how_much_is_left_and_when_to_come_again() {
    let server = start(settings("requests_per_minute = 3")).await;
    for left in ["2", "1", "0"] {
        let response = server.post(OPENAI, &chat("x")).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "x-ratelimit-limit-requests"), "3");
        assert_eq!(header(&response, "x-ratelimit-remaining-requests"), left);
        assert!(header(&response, "x-ratelimit-reset-requests").ends_with('s'));
    }
    for path in [OPENAI, AZURE] {
        let response = server.post(path, &chat("x")).await;
        assert_eq!(response.status(), 429);
        // One in 20 seconds; the first three took less than that.
        let ms: u64 = header(&response, "retry-after-ms").parse().unwrap();
        let seconds: u64 = header(&response, "retry-after").parse().unwrap();
        assert!(ms <= 20_000 && seconds == ms.div_ceil(1_000), "{ms} ms, {seconds} s");
        assert_eq!(header(&response, "x-ratelimit-remaining-requests"), "0");
        let error: Value = response.json().await.unwrap();
        let code = if path == AZURE { "429" } else { "rate_limit_exceeded" };
        assert_eq!(error["error"]["code"], code);
    }
    // What is not valid takes nothing.
    assert_eq!(server.post(OPENAI, &json!({})).await.status(), 400);
}

#[tokio::test]
async fn a_limit_of_tokens_counts_those_of_the_usage() {
    let server = start(Llm { tokens_per_minute: 50, ..saying("one two three") }).await;
    // 3 + 4 + 1 of the prompt and 4 of the reply.
    for left in ["38", "26", "14", "2"] {
        let response = server.post(OPENAI, &chat("x")).await;
        assert_eq!(response.status(), 200);
        let remaining: u64 = header(&response, "x-ratelimit-remaining-tokens").parse().unwrap();
        let least: u64 = left.parse().unwrap();
        assert!((least..least + 9).contains(&remaining), "{remaining} of {least}");
    }
    let response = server.post(OPENAI, &chat("x")).await;
    assert_eq!(response.status(), 429);
    assert!(response.headers().contains_key("retry-after"));
    // More than a minute's worth will never go through: no time to come again helps.
    let response = server.post(OPENAI, &chat(&"x ".repeat(60))).await;
    assert_eq!(response.status(), 429);
    assert!(!response.headers().contains_key("retry-after"));
    let error: Value = response.json().await.unwrap();
    assert_eq!(error["error"]["type"], "tokens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_probe_counts_what_is_in_the_service_together() {
    let server = start(settings("latency = '300ms'")).await;
    let probe = async || server.get("/probe").await.json::<Value>().await.unwrap();
    assert_eq!(probe().await, json!({ "now": 0, "peak": 0 }));
    let stream = json!({ "stream": true });
    let (one, two, wrong) = (chat("x"), chat_with("x", stream), json!({}));
    tokio::join!(
        server.post(OPENAI, &one),
        server.post(AZURE, &one),
        async { server.post(OPENAI, &two).await.text().await.unwrap() },
        server.post(OPENAI, &wrong),
    );
    let peak = probe().await;
    assert_eq!(peak["now"], 0);
    assert!((3..=4).contains(&peak["peak"].as_u64().unwrap()), "{peak}");
    server.client.post(format!("{}/control/reset", server.url)).send().await.unwrap();
    assert_eq!(probe().await, json!({ "now": 0, "peak": 0 }));
}
