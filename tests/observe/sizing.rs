//! `[sizing]`: what the target used beside what it may use where it is deployed.

use serde_json::Value;

use crate::gander::{BUSY, Gander, one_at_a_time};

/// A run of a scenario with this `[sizing]`, and its report.
fn sized(table: &str) -> (Value, String) {
    let gander = Gander::new();
    let service = "service = { name = \"inference\", latency = \"2ms\" }";
    let scenario =
        format!("{service}\n{}", BUSY.replace("[[step]]", &format!("{table}\n[[step]]")));
    let scenario = gander.scenario(&scenario);
    let run = gander.run(&format!("{scenario} --users 2 --duration 2s --observe-every 250ms"));
    let report = std::fs::read_to_string(gander.run_folder().join("report.md")).unwrap();
    (run.summary(), report)
}

#[test]
fn what_was_used_stands_beside_requests_and_limits() {
    let _alone = one_at_a_time();
    let (summary, report) = sized(
        "[sizing]\nrequest = { cpu = \"1m\", memory = \"512Ki\" }\nlimit = { cpu = \"64\", memory = \"1Mi\" }\n\
         replicas = 2\nmax_replicas = 3\ntarget = { cpu = \"50%\", memory = \"80%\" }",
    );
    let [cpu, memory] = [0, 1].map(|index| summary["sizing"]["resources"][index].clone());
    let target = &summary["resources"]["target"];
    // The same figures as those of the resources, in other units.
    assert_eq!(memory["peak"].as_f64(), target["rss_peak_bytes"].as_f64());
    let percent = target["cpu_mean_percent"].as_f64().unwrap();
    assert!((cpu["mean"].as_f64().unwrap() * 100.0 - percent).abs() < 1e-6, "{cpu} {percent}");
    assert!(memory["mean"].as_f64() <= memory["peak"].as_f64());
    assert_eq!((&cpu["word"], &memory["word"]), (&"above_request".into(), &"beyond_limit".into()));
    assert!(memory["headroom"].as_f64().unwrap() < 0.0);
    // ceil(n x use / target), of the resource that wants most; there may be three.
    let wanted = |one: &Value, target: f64| {
        let wanted = (2.0 * one["utilization"].as_f64().unwrap() / target).ceil();
        assert_eq!(one["replicas"].as_f64().unwrap(), wanted, "{one}");
        wanted
    };
    let most = wanted(&cpu, 0.5).max(wanted(&memory, 0.8));
    assert_eq!(summary["sizing"]["replicas"]["wanted"].as_f64().unwrap(), most);
    assert_eq!(summary["sizing"]["replicas"]["desired"], 3);
    for part in
        ["Beyond the limit", "BEYOND THE LIMIT", "Desired replicas", "the most there may be"]
    {
        assert!(report.contains(part), "{part}\n{report}");
    }
}

#[test]
fn nothing_is_sized_where_nothing_is_chosen() {
    let _alone = one_at_a_time();
    let (summary, report) = sized("");
    assert_eq!(summary["sizing"], Value::Null);
    assert!(!report.contains("## Sizing"), "{report}");
}
