//! The load in words.

use crate::report::format;
use crate::schedule::{ClosedLoad, LoadModel, OpenLoad, Stage};

/// Users or arrivals over time, or iterations, in words.
pub fn in_words(load: &LoadModel) -> String {
    match load {
        LoadModel::Closed(load) => closed(load),
        LoadModel::Open(load) => open(load),
    }
}

/// How many users, or how many iterations in flight at most.
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
    format!("arrivals for {}", format::duration(load.duration))
}
