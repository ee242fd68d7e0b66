//! Chat completions of the service behind this one, over HTTP: what the multi-query and the ensemble
//! service call. Every call is in the ledger.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{self, HeaderMap};
use reqwest::{Client, Url};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::duration;
use crate::ledger::{CallOutcome, Ledger};

/// Where and how chat completions are called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamSettings {
    /// Base URL of a chat completions service, such as `http://127.0.0.1:8001`; none: a reference
    /// llm service, started beside this one.
    #[serde(deserialize_with = "endpoint")]
    pub endpoint: Option<String>,
    /// Azure deployment; none: OpenAI's route.
    pub deployment_name: Option<String>,
    /// Key, sent as `api-key` to a deployment and as a bearer token else: itself, or the name of an
    /// environment variable that holds it, as in `{ env = "AZURE_OPENAI_KEY" }`. Never shown.
    #[serde(skip_serializing, deserialize_with = "api_key")]
    pub api_key: Option<String>,
    /// Azure API version.
    pub api_version: String,
    /// Longest time of one call.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// One client for all calls, whose connections are kept, or a new one for each call.
    pub client: ClientUse,
    /// Idle connections that a shared client keeps; none: as many as calls may be in progress, 20 at
    /// least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<usize>,
    /// How long it keeps them.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
}

impl Default for UpstreamSettings {
    /// The llm service beside this one, with one client that keeps its connections for 30 s.
    fn default() -> Self {
        UpstreamSettings {
            endpoint: None,
            deployment_name: None,
            api_key: None,
            api_version: "2024-10-21".to_owned(),
            timeout: Duration::from_secs(120),
            client: ClientUse::Shared,
            keep_alive: None,
            idle_timeout: Duration::from_secs(30),
        }
    }
}

/// Idle connections that a shared client keeps where nothing is said.
const KEEP_ALIVE: usize = 20;

impl UpstreamSettings {
    /// The same, where nothing is said keeping a connection for each of so many calls in progress.
    #[must_use]
    pub(crate) fn for_calls(&self, calls: usize) -> UpstreamSettings {
        let keep_alive = self.keep_alive.unwrap_or(calls.max(KEEP_ALIVE));
        UpstreamSettings { keep_alive: Some(keep_alive), ..self.clone() }
    }
}

fn endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.as_deref().map(base_url).transpose().map_err(D::Error::custom)?;
    Ok(text)
}

/// A key as it is written; one that is elsewhere is taken from there at once.
fn api_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a key, or { env = \"NAME\" }")]
    enum Written {
        Itself(String),
        Elsewhere { env: String },
    }
    match Written::deserialize(deserializer)? {
        Written::Itself(key) => Ok(Some(key)),
        Written::Elsewhere { env } => std::env::var(&env).map(Some).map_err(|_| {
            D::Error::custom(format!("the environment variable {env} is not set: export it first"))
        }),
    }
}

fn base_url(text: &str) -> Result<Url, String> {
    // What was written may hold a password, and is shown at its place by whoever reads it.
    let expected = || "`endpoint` is a base URL such as http://127.0.0.1:8001".to_owned();
    let url = Url::parse(text).map_err(|_| expected())?;
    let is_base = matches!(url.scheme(), "http" | "https") && url.has_host();
    if is_base { Ok(url) } else { Err(expected()) }
}

/// Where chat completions are below a base URL; none where it is no base.
fn completions(mut url: Url, settings: &UpstreamSettings) -> Option<Url> {
    let mut path = url.path_segments_mut().ok()?;
    path.pop_if_empty();
    match &settings.deployment_name {
        Some(deployment) => path.extend(["openai", "deployments", deployment, "chat"]),
        None => path.extend(["v1", "chat"]),
    };
    path.push("completions");
    drop(path);
    if settings.deployment_name.is_some() {
        url.query_pairs_mut().append_pair("api-version", &settings.api_version);
    }
    Some(url)
}

/// Who shares an HTTP client and its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientUse {
    /// All calls.
    Shared,
    /// Nobody: each call opens and closes a connection of its own.
    PerRequest,
}

/// A chat completion that is asked for.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Chat {
    pub model: String,
    pub messages: Vec<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Message {
    pub role: String,
    pub content: String,
}

impl Message {
    pub(crate) fn new(role: &str, content: impl Into<String>) -> Message {
        Message { role: role.to_owned(), content: content.into() }
    }
}

/// A chat completion that was given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Completion {
    pub content: String,
    pub finish_reason: String,
    pub model: String,
    pub usage: Usage,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub total_tokens: u64,
}

/// Why there is no completion.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum CallError {
    /// Another status than 200, with the error's code and message where the body has them.
    #[error("status {status}: {message}")]
    Status { status: u16, code: Option<String>, message: String, retry_after: Option<Duration> },
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("no connection: {0}")]
    Connect(String),
    #[error("the answer broke off: {0}")]
    Broken(String),
    #[error("the answer is no chat completion: {0}")]
    Malformed(String),
}

impl CallError {
    fn outcome(&self) -> CallOutcome {
        match self {
            CallError::Status { status, .. } => CallOutcome::Status(*status),
            CallError::Timeout(_) => CallOutcome::Timeout,
            CallError::Connect(_) => CallOutcome::Connect,
            CallError::Broken(_) => CallOutcome::Broken,
            CallError::Malformed(_) => CallOutcome::Malformed,
        }
    }
}

/// The service behind this one.
#[derive(Debug)]
pub(crate) struct Upstream {
    settings: UpstreamSettings,
    url: Url,
    shared: Option<Client>,
    ledger: Arc<Ledger>,
}

impl Upstream {
    /// The service at the settings' endpoint.
    ///
    /// # Errors
    /// The settings name no endpoint, or no HTTP client can be made.
    pub(crate) fn new(
        settings: &UpstreamSettings,
        ledger: &Arc<Ledger>,
    ) -> Result<Upstream, std::io::Error> {
        let endpoint = settings.endpoint.as_deref();
        let endpoint = endpoint.ok_or_else(|| std::io::Error::other("no upstream endpoint"))?;
        let endpoint = base_url(endpoint).map_err(std::io::Error::other)?;
        let url = completions(endpoint, settings).ok_or_else(|| {
            std::io::Error::other("`endpoint` is a URL that no path can be added to")
        })?;
        let mut upstream =
            Upstream { settings: settings.clone(), url, shared: None, ledger: Arc::clone(ledger) };
        if settings.client == ClientUse::Shared {
            upstream.shared = Some(upstream.client().map_err(std::io::Error::other)?);
        }
        Ok(upstream)
    }

    fn client(&self) -> reqwest::Result<Client> {
        let keep_alive = match self.settings.client {
            ClientUse::Shared => self.settings.keep_alive.unwrap_or(KEEP_ALIVE),
            ClientUse::PerRequest => 0,
        };
        let client = Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .timeout(self.settings.timeout)
            .pool_max_idle_per_host(keep_alive)
            .pool_idle_timeout(self.settings.idle_timeout)
            .build()?;
        self.ledger.client();
        Ok(client)
    }

    /// Asks for a completion and waits for its end. A call that is dropped is cancelled.
    pub(crate) async fn chat(&self, chat: &Chat) -> Result<Completion, CallError> {
        let call = self.ledger.call();
        let answer = self.ask(chat).await;
        call.end(match &answer {
            Ok(_) => CallOutcome::Status(200),
            Err(error) => error.outcome(),
        });
        answer
    }

    async fn ask(&self, chat: &Chat) -> Result<Completion, CallError> {
        let client = match &self.shared {
            Some(client) => client.clone(),
            None => self.client().map_err(|error| CallError::Connect(error.to_string()))?,
        };
        let mut request = client.post(self.url.clone()).json(chat);
        if let Some(key) = &self.settings.api_key {
            request = match self.settings.deployment_name {
                Some(_) => request.header("api-key", key),
                None => request.bearer_auth(key),
            };
        }
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let body = response.bytes().await.map_err(|error| self.failed(&error))?;
        match status {
            200 => completion(&body).map_err(CallError::Malformed),
            _ => Err(refused(status, &body, retry_after)),
        }
    }

    fn failed(&self, error: &reqwest::Error) -> CallError {
        // The outermost text says little, the innermost says what happened.
        let mut source: &dyn std::error::Error = error;
        while let Some(inner) = source.source() {
            source = inner;
        }
        if error.is_timeout() {
            CallError::Timeout(self.settings.timeout)
        } else if error.is_connect() {
            CallError::Connect(source.to_string())
        } else {
            CallError::Broken(source.to_string())
        }
    }
}

fn completion(body: &[u8]) -> Result<Completion, String> {
    #[derive(Deserialize)]
    struct Answer {
        model: Option<String>,
        choices: Vec<Choice>,
        usage: Option<Usage>,
    }
    #[derive(Deserialize)]
    struct Choice {
        #[serde(default)]
        finish_reason: Option<String>,
        message: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        #[serde(default)]
        content: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let choice = answer.choices.into_iter().next().ok_or("it has no choices")?;
    Ok(Completion {
        content: choice.message.content.unwrap_or_default(),
        finish_reason: choice.finish_reason.unwrap_or_default(),
        model: answer.model.unwrap_or_default(),
        usage: answer.usage.unwrap_or_default(),
    })
}

/// When to ask again, as the answer says: in milliseconds before seconds, because those are exact.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1e3);
    let seconds = seconds.or_else(|| number(header::RETRY_AFTER.as_str()))?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn refused(status: u16, body: &[u8], retry_after: Option<Duration>) -> CallError {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &value["error"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    CallError::Status {
        status,
        code: text(&error["code"]),
        message: text(&error["message"])
            .or_else(|| text(&value["detail"]))
            .unwrap_or_else(|| String::from_utf8_lossy(body).chars().take(200).collect()),
        retry_after,
    }
}
