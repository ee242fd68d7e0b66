//! Every route, and every form of error.

mod common;

use common::{Server, instant};
use reqwest::header::{ALLOW, CONTENT_TYPE};
use serde_json::{Value, json};

async fn predicted(server: &Server, text: &str) -> Value {
    let response = server.post("/predict", &json!({ "text": text })).await;
    assert_eq!(response.status(), 200, "{text}");
    response.json().await.expect("JSON")
}

#[tokio::test]
async fn a_prediction_follows_from_the_text() {
    let server = Server::start(instant()).await;
    let cases = [
        ("A great product, I love it", "positive", 0.75),
        ("GREAT", "positive", 2.0 / 3.0),
        ("Terrible: slow and broken.", "negative", 0.8),
        ("This is not a good idea", "negative", 2.0 / 3.0),
        ("I don't hate it", "positive", 2.0 / 3.0),
        ("Not now, we ship later, great work", "positive", 2.0 / 3.0),
        ("good and bad", "neutral", 0.5),
        ("The table is made of wood", "neutral", 0.5),
        ("日本語のテキスト", "neutral", 0.5),
    ];
    for (text, sentiment, confidence) in cases {
        let expected = json!({
            "text": text, "sentiment": sentiment, "confidence": confidence, "model_version": "1.0.0",
        });
        assert_eq!(predicted(&server, text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn a_batch_is_its_single_predictions_in_order() {
    let server = Server::start(instant()).await;
    let texts = ["I love it", "I hate it", "It is"];
    let mut singles = Vec::new();
    for text in texts {
        singles.push(predicted(&server, text).await);
    }
    let response = server.post("/predict_batch", &json!({ "texts": texts })).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.json::<Value>().await.unwrap(), json!({ "predictions": singles }));
}

#[tokio::test]
async fn information_routes_answer() {
    let server = Server::start(instant()).await;
    let health: Value = server.get("/health").await.json().await.unwrap();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["model_loaded"], true);
    assert_eq!(health["service_name"], "inference");
    assert!(health["version"].is_string());
    let info: Value = server.get("/models/info").await.json().await.unwrap();
    assert_eq!(info["model_version"], "1.0.0");
    assert_eq!((&info["max_text_length"], &info["max_batch_size"]), (&json!(5000), &json!(100)));
    let index: Value = server.get("/").await.json().await.unwrap();
    assert_eq!(index["service"], "inference");
    for path in index["endpoints"].as_array().unwrap() {
        let status = server.get(path.as_str().unwrap()).await.status();
        assert!(status == 200 || status == 405, "{path} exists");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let server = Server::start(instant()).await;
    for path in ["/nothing", "/predict/", "/control", "/control/nothing"] {
        let response = server.get(path).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(response.json::<Value>().await.unwrap(), json!({ "detail": "Not Found" }));
    }
    for (path, allowed) in [("/predict", "POST"), ("/control/reset", "POST")] {
        let response = server.get(path).await;
        assert_eq!(response.status(), 405, "{path}");
        assert_eq!(response.headers()[ALLOW], allowed);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body, json!({ "detail": "Method Not Allowed" }));
    }
}

#[tokio::test]
async fn limits_are_exact_and_count_characters() {
    let server = Server::start(instant()).await;
    let ok = [json!("a"), json!("é".repeat(5000)), json!(" a ")];
    for text in ok {
        assert_eq!(server.post("/predict", &json!({ "text": text })).await.status(), 200);
    }
    let long = server.post("/predict", &json!({ "text": "é".repeat(5001) })).await;
    assert_eq!(long.status(), 422);

    let batch = |size| json!({ "texts": vec!["good"; size] });
    let largest = server.post("/predict_batch", &batch(100)).await;
    assert_eq!(largest.status(), 200);
    let predictions: Value = largest.json().await.unwrap();
    assert_eq!(predictions["predictions"].as_array().unwrap().len(), 100);
    let over = server.post("/predict_batch", &batch(101)).await;
    assert_eq!(over.status(), 400);
    let detail = "Batch size 101 exceeds maximum allowed size of 100";
    assert_eq!(over.json::<Value>().await.unwrap(), json!({ "detail": detail }));
}

/// Posts JSON and returns the validation list of a 422.
async fn problems(server: &Server, path: &str, body: Value) -> Value {
    let response = server.post(path, &body).await;
    assert_eq!(response.status(), 422, "{body}");
    let mut answer: Value = response.json().await.expect("JSON");
    answer["detail"].take()
}

#[tokio::test]
async fn a_bad_text_is_described_as_fastapi_does() {
    let server = Server::start(instant()).await;
    let long = "x".repeat(5001);
    let loc = json!(["body", "text"]);
    let cases = [
        (json!({}), json!({ "type": "missing", "loc": loc, "msg": "Field required", "input": {} })),
        (
            json!({ "text": 5 }),
            json!({ "type": "string_type", "loc": loc, "msg": "Input should be a valid string",
                    "input": 5 }),
        ),
        (
            json!({ "text": "" }),
            json!({ "type": "string_too_short", "loc": loc, "input": "",
                    "msg": "String should have at least 1 character",
                    "ctx": { "min_length": 1 } }),
        ),
        (
            json!({ "text": long }),
            json!({ "type": "string_too_long", "loc": loc, "input": long,
                    "msg": "String should have at most 5000 characters",
                    "ctx": { "max_length": 5000 } }),
        ),
        (
            json!({ "text": " \n\t" }),
            json!({ "type": "value_error", "loc": loc, "input": " \n\t",
                    "msg": "Value error, Text cannot be empty or whitespace only",
                    "ctx": { "error": {} } }),
        ),
        (
            json!(["text"]),
            json!({ "type": "model_attributes_type", "loc": ["body"], "input": ["text"],
                    "msg": "Input should be a valid dictionary or object to extract fields from" }),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(problems(&server, "/predict", body).await, json!([expected]));
    }
}

#[tokio::test]
async fn every_bad_text_of_a_batch_is_named() {
    let server = Server::start(instant()).await;
    let found = problems(&server, "/predict_batch", json!({ "texts": ["a", 1, "b", " "] })).await;
    let where_and_what: Vec<_> =
        found.as_array().unwrap().iter().map(|p| (p["loc"].clone(), p["type"].clone())).collect();
    assert_eq!(
        where_and_what,
        [
            (json!(["body", "texts", 1]), json!("string_type")),
            (json!(["body", "texts", 3]), json!("value_error")),
        ]
    );
    let found = problems(&server, "/predict_batch", json!({ "texts": "a" })).await;
    assert_eq!(found[0]["type"], "list_type");
    let found = problems(&server, "/predict_batch", json!({ "texts": [] })).await;
    assert_eq!(found[0]["type"], "too_short");
    let found = problems(&server, "/predict_batch", json!({ "text": "a" })).await;
    assert_eq!(
        (&found[0]["type"], &found[0]["loc"]),
        (&json!("missing"), &json!(["body", "texts"]))
    );
}

#[tokio::test]
async fn what_is_not_json_is_told_apart() {
    let server = Server::start(instant()).await;
    let post = async |content_type: Option<&str>, body: &'static [u8]| {
        let mut request = server.client.post(format!("{}/predict", server.url)).body(body);
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let good = br#"{"text": "good"}"#;
    for content_type in
        [None, Some("application/json; charset=utf-8"), Some("application/vnd.x+json")]
    {
        assert_eq!(post(content_type, good).await.0, 200, "{content_type:?}");
    }
    let (status, answer) = post(Some("application/x-www-form-urlencoded"), good).await;
    assert_eq!(status, 422);
    assert_eq!(answer["detail"][0]["type"], "model_attributes_type");
    assert_eq!(answer["detail"][0]["input"], r#"{"text": "good"}"#);

    let (status, answer) = post(None, "{\"text\":\n\"é\" x}".as_bytes()).await;
    assert_eq!(status, 422);
    assert_eq!(answer["detail"][0]["type"], "json_invalid");
    assert_eq!(answer["detail"][0]["loc"], json!(["body", 13]), "the character that is wrong");

    let (status, answer) = post(Some("application/json"), b"").await;
    assert_eq!(status, 422);
    assert_eq!(
        answer["detail"],
        json!([{ "type": "missing", "loc": ["body"], "msg": "Field required", "input": null }])
    );
    let (status, answer) = post(Some("application/json"), b"{\"text\": \"\xff\"}").await;
    assert_eq!(status, 400);
    assert_eq!(answer, json!({ "detail": "There was an error parsing the body" }));
}

#[tokio::test]
async fn a_body_without_end_is_refused() {
    let server = Server::start(instant()).await;
    let response = server.post("/predict", &json!({ "text": "x".repeat(17 << 20) })).await;
    assert_eq!(response.status(), 413);
    assert_eq!(server.ledger().await.routes["POST /predict"].statuses[&413].count, 1);
}
