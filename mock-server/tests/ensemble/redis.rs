//! S1-18: the cache in a real Redis, and in one that is not there any more.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use mock_server::{CacheKind, Ensemble};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::upstream::{Script, Upstream};
use super::{ask, get, serve};

/// How long a Redis may take to answer, on a machine that is busy with other tests.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// A Redis of this test's own: nothing of it is on a disk. Dropping it stops it.
struct Redis {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    process: Child,
}

impl Redis {
    /// Starts one on a free port; `None` where there is no Redis to start. In CI nothing is skipped,
    /// so there that fails.
    async fn start() -> Option<Redis> {
        let program = program("redis-server")?;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = env::temp_dir().join(format!("ensemble-redis-{port}"));
        fs::create_dir_all(&folder).unwrap();
        let process = spawn(&program, port, &folder);
        let mut redis = Redis { program, folder, port, process };
        redis.ready().await;
        Some(redis)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    async fn start_again(&mut self) {
        self.process = spawn(&self.program, self.port, &self.folder);
        self.ready().await;
    }

    async fn ready(&mut self) {
        let since = Instant::now();
        while self.say("PING").await.as_deref() != Some("+PONG\r\n") {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "redis-server ended: {ended:?}");
            assert!(since.elapsed() < STARTED_WITHIN, "redis-server does not answer");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The beginning of the answer to one command, without a client library between.
    async fn say(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).await.ok()?;
        let mut answer = vec![0; 4_096];
        let length = stream.read(&mut answer).await.ok()?;
        Some(String::from_utf8_lossy(&answer[..length]).into_owned())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn spawn(program: &PathBuf, port: u16, folder: &PathBuf) -> Child {
    Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "no", "--daemonize", "no"])
        .arg("--dir")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server starts")
}

#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path);
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file()));
    if found.is_none() {
        assert!(env::var_os("CI").is_none(), "`{name}` is missing: .ci/install-peers installs it");
        eprintln!("SKIPPED: `{name}` is missing; .ci/install-peers installs it");
    }
    found
}

fn cached(url: String) -> Ensemble {
    Ensemble { cache: CacheKind::Redis(url), ..Ensemble::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_services_share_one_redis() {
    let Some(redis) = Redis::start().await else { return };
    let upstream = Upstream::start(Script::default()).await;
    let one = serve(cached(redis.url()), &upstream).await;
    let other = serve(cached(redis.url()), &upstream).await;
    let first = ask(&one, "What is GPT-4?").await;
    let second = ask(&other, "  what is gpt-4 ").await;
    assert_eq!((&first["cached"], &second["cached"]), (&json!(false), &json!(true)));
    assert_eq!(first["snapshots"], second["snapshots"]);
    assert_eq!(upstream.calls().len(), 6);
    assert_eq!(get(&other, "/api/monitoring/stats").await["cache"]["kind"], "redis");

    // One key, which Redis forgets within a day: the answer to this question changes.
    let keys = redis.say("KEYS time-travel:*").await.unwrap();
    let mut lines = keys.lines();
    assert_eq!(lines.next(), Some("*1"));
    let key = lines.nth(1).unwrap().to_owned();
    let ttl = redis.say(&format!("TTL {key}")).await.unwrap();
    let ttl: u64 = ttl.trim().trim_start_matches(':').parse().unwrap();
    assert!(ttl > 86_000 && ttl <= 86_400, "{ttl}");

    // What does not depend on the time is kept for a week.
    redis.say("FLUSHALL").await.unwrap();
    let body = json!({ "question": "What is water?", "force_time_travel": true });
    one.post("/api/time-travel", &body).await;
    let keys = redis.say("KEYS time-travel:*").await.unwrap();
    let ttl = redis.say(&format!("TTL {}", keys.lines().nth(2).unwrap())).await.unwrap();
    let ttl: u64 = ttl.trim().trim_start_matches(':').parse().unwrap();
    assert!(ttl > 604_000 && ttl <= 604_800, "{ttl}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_redis_means_slower_not_broken() {
    let Some(mut redis) = Redis::start().await else { return };
    let upstream = Upstream::start(Script::default()).await;
    let server = serve(cached(redis.url()), &upstream).await;
    ask(&server, "What is GPT-4?").await;
    assert_eq!(ask(&server, "What is GPT-4?").await["cached"], true);

    redis.stop();
    for _ in 0..3 {
        let answer = ask(&server, "What is GPT-4?").await;
        assert_eq!((&answer["cached"], &answer["errors"]), (&json!(false), &json!([])));
    }
    assert_eq!(upstream.calls().len(), 4 * 6);
    let errors = server.ledger().await.counters["cache_errors"];
    assert!(errors >= 3, "{errors}");

    // It is back, and empty: within a few requests answers are kept again.
    redis.start_again().await;
    let mut asked = 0;
    while ask(&server, "What is GPT-4?").await["cached"] == false {
        asked += 1;
        assert!(asked < 10, "the cache does not come back");
    }
}

/// No Redis has ever listened there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_was_never_there_is_no_obstacle_either() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let upstream = Upstream::start(Script::default()).await;
    let server = serve(cached(format!("redis://127.0.0.1:{free}/")), &upstream).await;
    assert_eq!(ask(&server, "What is GPT-4?").await["errors"], json!([]));
    assert_eq!(upstream.calls().len(), 6);
}

/// One that takes connections and never says a word: each request waits for a moment, and then does
/// without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_is_not_waited_for() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut kept = Vec::new();
    let accepting = tokio::spawn(async move {
        loop {
            kept.push(silent.accept().await);
        }
    });
    // The upstream is far slower than a cache may be waited for.
    let latency = |_| Duration::from_millis(700);
    let upstream = Upstream::start(Script { latency, ..Script::default() }).await;
    let mut behaviour = cached(format!("redis://127.0.0.1:{port}/"));
    behaviour.time_scale = 0.1;
    let server = serve(behaviour, &upstream).await;
    let answer = ask(&server, "What is GPT-4?").await;
    let waited = super::part(&answer, "cache_lookup_ms") + super::part(&answer, "overhead_ms");
    assert!(waited < super::part(&answer, "total_ms") / 2.0, "{answer:#}");
    accepting.abort();
}
