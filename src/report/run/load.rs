//! The load in words.

use crate::report::format;
use crate::schedule::{Arrivals, ClosedLoad, LoadModel, OpenLoad, RateStage, Recorded, Stage};

/// Users or arrivals over time, or iterations, in words.
pub fn in_words(load: &LoadModel) -> String {
    match load {
        LoadModel::Closed(load) => closed(load),
        LoadModel::Open(load) => open(load),
    }
}

/// How many users, or how many arrivals and how many of them in flight at most.
pub fn size(load: &LoadModel) -> String {
    match load {
        LoadModel::Closed(load) => format::counted(u64::from(load.peak_users()), "user", "users"),
        LoadModel::Open(load) => open(load),
    }
}

fn closed(load: &ClosedLoad) -> String {
    if let (Some(iterations), [only]) = (load.iterations, load.stages.as_slice()) {
        let users = format::counted(u64::from(only.users), "user", "users");
        return format!("{} by {users}", format::counted(iterations, "iteration", "iterations"));
    }
    let stages: Vec<_> = load.stages.iter().map(stage).collect();
    stages.join(", then ")
}

fn stage(stage: &Stage) -> String {
    let users = format::counted(u64::from(stage.users), "user", "users");
    match (stage.ramp.is_zero(), stage.hold.is_zero()) {
        (true, _) => format!("{users} for {}", format::duration(stage.hold)),
        (false, true) => format!("{users} reached within {}", format::duration(stage.ramp)),
        (false, false) => format!(
            "{users} reached within {}, kept for {}",
            format::duration(stage.ramp),
            format::duration(stage.hold)
        ),
    }
}

fn open(load: &OpenLoad) -> String {
    let cap = format!("at most {} in flight", format::count(u64::from(load.max_in_flight)));
    match &load.arrivals {
        Arrivals::Recorded(Recorded { file, speed, .. }) => {
            let count = load.iterations.map(|n| format::counted(n, "arrival", "arrivals"));
            let times =
                if *speed == 1.0 { String::new() } else { format!(", {speed} times as fast") };
            format!(
                "{} as recorded in {file}{times}, {cap}",
                count.unwrap_or_else(|| "arrivals".to_owned())
            )
        }
        Arrivals::Rates { stages, spread } => {
            let words = match (load.iterations, stages.as_slice()) {
                (Some(iterations), [only]) => format!(
                    "{} at {}",
                    format::counted(iterations, "iteration", "iterations"),
                    rate(only)
                ),
                _ => rates(stages).join(", then "),
            };
            format!("{words}, {}, {cap}", spread.name())
        }
    }
}

fn rate(stage: &RateStage) -> String {
    let per_second = stage.rate.per_second;
    let number = match per_second.fract() == 0.0 {
        true => format::count(per_second as u64),
        false => format::amount(per_second),
    };
    match per_second == 1.0 {
        true => "1 iteration a second".to_owned(),
        false => format!("{number} iterations a second"),
    }
}

fn rates(stages: &[RateStage]) -> Vec<String> {
    let words = stages.iter().map(|stage| {
        let rate = rate(stage);
        let (ramp, hold) = (format::duration(stage.ramp), format::duration(stage.hold));
        match (stage.ramp.is_zero(), stage.hold.is_zero()) {
            (true, true) => format!("from {rate}"),
            (true, false) => format!("{rate} for {hold}"),
            (false, true) => format!("{rate} reached within {ramp}"),
            (false, false) => format!("{rate} reached within {ramp}, kept for {hold}"),
        }
    });
    words.collect()
}
