//! Every expectation of the built-in studies fails where its cause is planted: each study is carried out
//! with switches turned round, and what fails is held against all that it expects.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::gander::{Gander, Started, one_at_a_time};

/// A study's file with some words replaced.
struct Plant {
    study: &'static str,
    replaced: &'static [(&'static str, &'static str)],
}

/// Which names of runs and settings stand here is the business of `scenarios/studies/`.
const PLANTS: &[Plant] = &[
    Plant {
        study: "inference",
        replaced: &[
            (
                "load inference-single --users 10 --warm-up 1s --service engine=threaded --service workers=4",
                "load inference-single --users 10 --warm-up 1s --service engine=blocking --service 'faults=[{kind=500,rate=0.2}]'",
            ),
            (
                "load inference-single --users 1 --service engine=blocking",
                "load inference-single --users 1 --service engine=blocking --service latency=200ms --service 'faults=[{kind=\\\"reset\\\",rate=0.5}]'",
            ),
            (
                "load inference-mix --users 10 --warm-up 1s --service engine=threaded --service workers=4",
                "load inference-mix --users 10 --warm-up 1s --service engine=blocking",
            ),
            ("load inference-items --iterations 10\"", "load inference-items --iterations 9\""),
            ("--iterations 10 --service vectorised=true\"", "--iterations 10\""),
            (
                "--iterations 10 --service vectorised=true --service feature_cache=true\"",
                "--iterations 10\"",
            ),
            (
                "--iterations 10 --service vectorised=true --service feature_cache=true --service logging=false\"",
                "--iterations 10\"",
            ),
            (
                "--service spend=cpu --service latency=30ms",
                "--service spend=cpu --service latency=5ms --service work.tokenize=60ms",
            ),
            (
                "--service engine=threaded --service workers=1\"",
                "--service engine=threaded --service workers=2\"",
            ),
            (
                "--users 20 --warm-up 1s --service engine=threaded --service workers=4",
                "--users 20 --warm-up 1s --service engine=blocking",
            ),
            (
                "load inference-mix --users 40 --warm-up 1s --service engine=threaded --service workers=4",
                "load inference-mix --users 40 --warm-up 4s --service engine=blocking",
            ),
            (
                "--stages 50u:5s,100u:5s --service engine=threaded --service workers=4",
                "--stages 50u:5s,100u:5s --service engine=threaded --service workers=8",
            ),
            (" --service 'faults=[{kind=\\\"model-not-loaded\\\"}]'", ""),
        ],
    },
    Plant {
        study: "inference",
        replaced: &[
            (
                "--service engine=threaded --service workers=2\"",
                "--service engine=threaded --service workers=1\"",
            ),
            (
                "--service workers=4 --service vectorised=true --service feature_cache=true\"",
                "--service workers=1 --service vectorised=true --service feature_cache=true\"",
            ),
        ],
    },
];

/// What the expectations of a study with `plant` came to.
fn planted(plant: &Plant) -> Vec<(String, String)> {
    let gander = Gander::new();
    let path = format!("{}/scenarios/studies/{}.toml", env!("CARGO_MANIFEST_DIR"), plant.study);
    let mut text = std::fs::read_to_string(path).unwrap();
    for (old, new) in plant.replaced {
        assert!(text.contains(old), "{}: nothing says {old}", plant.study);
        text = text.replace(old, new);
    }
    std::fs::write(gander.path("planted.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gander"));
    command
        .args(["study", "./planted.toml", "--format", "json", "--reports"])
        .arg(gander.reports());
    command.current_dir(gander.path(".")).stdin(Stdio::null());
    let run = Started::new(command).ended_within(Duration::from_secs(1500));
    assert_eq!(run.code, 1, "{}", run.stderr);
    let summary = run.summary();
    let sections = summary["sections"].as_array().unwrap().iter();
    let all = sections.flat_map(|section| section["expectations"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.map(|judged| (text(&judged["what"]), text(&judged["ruling"]))).collect()
}

#[test]
#[ignore = "a campaign: each planted study takes minutes"]
fn campaign_every_expectation_fails_where_its_cause_is_planted() {
    let _alone = one_at_a_time();
    let only = std::env::var("STUDY").ok();
    let (mut all, mut flipped) = (BTreeSet::new(), BTreeSet::new());
    for plant in PLANTS.iter().filter(|plant| only.as_ref().is_none_or(|it| it == plant.study)) {
        for (what, ruling) in planted(plant) {
            if ruling == "failed" {
                flipped.insert((plant.study, what.clone()));
            }
            all.insert((plant.study, what));
        }
    }
    eprintln!(
        "{} of {} expectations failed where their causes were planted",
        flipped.len(),
        all.len()
    );
    let held: Vec<_> = all.difference(&flipped).collect();
    assert!(held.is_empty(), "never failed: {held:#?}");
}
