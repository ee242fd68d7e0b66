//! The service's settings as they are written.

use std::time::Duration;

use mock_server::{CacheKind, Ensemble, Pooling, PromptKind};

fn read(text: &str) -> Result<Ensemble, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn what_is_written_reads_back_the_same() {
    for behaviour in [Ensemble::original(), Ensemble::optimised()] {
        let text = toml::to_string(&behaviour).unwrap();
        assert_eq!(read(&text).unwrap(), behaviour, "{text}");
    }
    assert_eq!(read("").unwrap(), Ensemble::default());
}

#[test]
fn switches_are_on_off_or_tables() {
    let behaviour = read(
        "snapshots = \"sequential\"\npooling = false\ncache = \"redis://127.0.0.1:6379/\"\n\
         stable_ttl = \"2d\"\nchanging_ttl = \"90m\"\n[circuit_breaker]\nfailures = 2\n",
    )
    .unwrap();
    assert_eq!(behaviour.pooling, None);
    assert_eq!(behaviour.cache, CacheKind::Redis("redis://127.0.0.1:6379/".to_owned()));
    assert_eq!(behaviour.stable_ttl, Duration::from_secs(2 * 86_400));
    assert_eq!(behaviour.changing_ttl, Duration::from_secs(5_400));
    let breaker = behaviour.circuit_breaker.unwrap();
    assert_eq!((breaker.failures, breaker.recovery.as_secs(), breaker.successes), (2, 30, 3));
    assert_eq!(read("circuit_breaker = \"off\"").unwrap().circuit_breaker, None);
    let pooling = read("pooling = { connections = 4 }").unwrap().pooling.unwrap();
    assert_eq!(pooling, Pooling { connections: 4, ..Pooling::default() });
}

#[test]
fn what_makes_no_sense_is_refused_with_the_next_step() {
    for (text, expected) in [
        ("time_scale = 0.0", "1 is real time"),
        ("time_scale = 2", "1 is real time"),
        ("heartbeat = \"0\"", "raise it"),
        ("warming = true", "set `cache`"),
        ("cache = \"disk\"", "redis://127.0.0.1:6379/"),
        ("model = \"gpt-9\"", "[prices.\"gpt-9\"]"),
        ("pooling = { connections = 0 }", "pooling = false"),
        ("circuit_breaker = { failures = 0 }", "circuit_breaker = false"),
        ("circuit_breaker = \"never\"", "or a table of its settings"),
        ("stable_ttl = \"-1d\"", "365d"),
        ("snapshot = \"parallel\"", "unknown field"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn the_latencies_of_the_llm_service_are_scaled_and_told_apart_by_the_prompt() {
    let kinds = Ensemble::default().prompt_kinds();
    let latency = |kind: &PromptKind| kind.latency.as_ref().unwrap().base.to_string();
    let ends: Vec<String> = kinds.iter().map(latency).collect();
    assert_eq!(ends, ["180ms..220ms", "40ms..50ms", "40ms..50ms"]);
    for (first_words, matched) in
        [("Snapshot as of Today", 0), ("Key changes in 3", 1), ("Evolution narrative of", 2)]
    {
        let found: Vec<usize> = (0..3).filter(|at| kinds[*at].pattern.is_in(first_words)).collect();
        assert_eq!(found, [matched]);
    }
}
