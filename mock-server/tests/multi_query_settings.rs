//! Settings of the multi-query service: what is written, and what is refused with what to write
//! instead.

use mock_server::{Execution, MultiQuery, Order, OutputType, QueryEngine};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(settings: Value) -> Result<MultiQuery, String> {
    serde_json::from_value(settings).map_err(|error| error.to_string())
}

#[test]
fn nothing_written_is_the_default() {
    let settings = read(json!({})).unwrap();
    assert_eq!(settings, MultiQuery::default());
    assert_eq!((settings.pool_size, settings.engine), (4, QueryEngine::RowBarrier));
    assert_eq!(settings.check(), Ok(()));
}

#[test]
fn settings_are_read_from_toml() {
    let text = r#"
        model = "gpt-4o-mini"
        template = "{{ row.input_1 }} {{ criterion.code }} {{ lookup.scale[0] }}"
        engine = "flat"
        order = "criterion"
        execution = "async"
        pool_size = 2_000
        max_capacity_retry_seconds = 1
        upstream = { endpoint = "http://127.0.0.1:8001", deployment_name = "gpt", timeout = "5s" }

        [lookup]
        scale = ["none", "some"]

        [output_mapping]
        level = { suffix = "level", type = "enum", values = ["low", "high"] }

        [[case_studies]]
        name = "cs"
        input_fields = ["a", "b"]

        [[criteria]]
        name = "safety"
        code = "S"
        subcriteria = ["dose", "interaction"]
        max_tokens = 50
    "#;
    let settings: MultiQuery = toml::from_str(text).unwrap();
    assert_eq!(settings.order(), Order::Criterion);
    assert_eq!((settings.execution, settings.pool_size), (Execution::Async, 2_000));
    assert_eq!(settings.max_capacity_retry_seconds, 1.0);
    assert_eq!(settings.output_mapping["level"].kind, OutputType::Enum);
    assert_eq!(settings.criteria[0].max_tokens, Some(50));
    let again: MultiQuery = toml::from_str(&toml::to_string(&settings).unwrap()).unwrap();
    assert_eq!(again, settings);
}

#[test]
fn each_engine_takes_the_orders_that_mean_something() {
    for (engine, own, allowed) in [
        ("row-barrier", Order::Row, &["row"][..]),
        ("flat", Order::Flat, &["row", "criterion", "flat"]),
        ("pipelined", Order::Flat, &["flat"]),
    ] {
        assert_eq!(read(json!({ "engine": engine })).unwrap().order(), own);
        for order in ["row", "criterion", "flat"] {
            let read = read(json!({ "engine": engine, "order": order }));
            assert_eq!(read.is_ok(), allowed.contains(&order), "{engine} {order}");
            if let Err(error) = read {
                assert!(error.contains("use engine \"flat\""), "{error}");
                assert!(error.contains("leave `order` out"), "{error}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_next_step() {
    let output = |field: Value| json!({ "output_mapping": { "f": field } });
    for (settings, expected) in [
        (json!({ "pool_siz": 4 }), "pool_size"),
        (json!({ "pool_size": 0 }), "at least 1"),
        (json!({ "pool_size": 2_001 }), "use execution \"async\""),
        (json!({ "pool_size": 10_001, "execution": "async" }), "at most 10000"),
        (json!({ "case_studies": [] }), "at least one of `case_studies`"),
        (json!({ "criteria": [] }), "one of `criteria`"),
        (json!({ "criteria": [{ "code": "x" }] }), "needs a `name`"),
        (json!({ "case_studies": [{ "name": "a" }] }), "`input_fields`"),
        (json!({ "criteria": [{ "name": "a" }, { "name": "a" }] }), "\"cs1_a_"),
        (json!({ "output_mapping": {} }), "type = \"integer\""),
        (output(json!({ "suffix": "s", "type": "enum" })), "needs `values`"),
        (output(json!({ "suffix": "s", "type": "string", "values": ["a"] })), "takes no `values`"),
        (output(json!({ "suffix": "", "type": "string" })), "another suffix"),
        (output(json!({ "suffix": "usage", "type": "string" })), "variables_hash"),
        (json!({ "backoff_multiplier": 1.0 }), "more than 1"),
        (json!({ "min_dispatch_delay_ms": 10, "max_dispatch_delay_ms": 5 }), "lower the first"),
        (json!({ "max_capacity_retry_seconds": -1.0 }), "from 0"),
        (json!({ "template": "{{ row.input_1" }), "no Jinja template"),
        (json!({ "temperature": 2.5 }), "from 0 to 2"),
        (json!({ "max_tokens": 0 }), "leave it out"),
        (json!({ "client_retries": 11 }), "at most 10"),
    ] {
        let error = read(settings.clone()).expect_err(&settings.to_string());
        assert!(error.contains(expected), "{settings}: {error}");
    }
}

proptest! {
    /// Whatever is read is written back to the same settings.
    #[test]
    fn what_is_written_is_read_again(
        pool_size in 1_usize..2_000,
        engine in prop::sample::select(vec![
            QueryEngine::RowBarrier, QueryEngine::Flat, QueryEngine::Pipelined,
        ]),
        min in 0_u64..100,
        more in 0_u64..1_000,
        backoff_multiplier in 1.01_f64..10.0,
        template_cache in any::<bool>(),
    ) {
        let settings = MultiQuery {
            pool_size,
            engine,
            min_dispatch_delay_ms: min,
            max_dispatch_delay_ms: min + more,
            backoff_multiplier,
            template_cache,
            ..MultiQuery::default()
        };
        let written = serde_json::to_value(&settings).unwrap();
        prop_assert_eq!(read(written).unwrap(), settings);
    }
}
