//! In what two groups of runs differ besides their figures.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::{PlanRecord, UserRecord};
use crate::schedule::{Arrivals, ClosedLoad, LoadModel, OpenLoad, show_duration};
use crate::store::entry::Environment;
use crate::store::run::Run;

/// How much a difference matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// The runs did different work, or had different load: figures differ for that reason alone.
    Workload,
    /// They were made on different machines: so do these.
    Machine,
    /// What may be the change that is to be seen, or explains one.
    Noted,
}

/// Something in which runs differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What.
    pub what: String,
    /// Before, in words.
    pub before: String,
    /// After.
    pub after: String,
    /// How much it matters.
    pub weight: Weight,
}

/// In what the runs `before` and `after` differ: the first of each side, and then each further run from
/// the first of its side.
pub fn differences(before: &[Run], after: &[Run]) -> Vec<Difference> {
    let (Some(was), Some(is)) = (before.first(), after.first()) else { return Vec::new() };
    let mut all = between(was, is);
    for (side, runs, first) in [("before", before, was), ("after", after, is)] {
        for (run, number) in runs[1..].iter().zip(2..) {
            let inside = between(first, run).into_iter();
            // What was noted of one run is that of its group.
            all.extend(
                inside.filter(|it| it.weight != Weight::Noted).map(|it| Difference {
                    what: format!("{side}, run {number}: {}", it.what),
                    ..it
                }),
            );
        }
    }
    all
}

fn between(before: &Run, after: &Run) -> Vec<Difference> {
    let mut found = Found::default();
    let (was, is) = (&before.start.plan, &after.start.plan);
    found.work(was, is);
    found.load(&was.load, &is.load);
    let connections = |plan: &PlanRecord| {
        let shared =
            plan.http.shared.map_or("each user's own".to_owned(), |n| format!("{n} shared"));
        format!("{}, {shared}", plan.http.version.name())
    };
    found.note(Weight::Workload, "connections", connections(was), connections(is));
    found.machine(&before.start.environment, &after.start.environment);
    let laid_over = |plan: &PlanRecord| match plan.settings.is_empty() {
        true => "none".to_owned(),
        false => plan.settings.join(", "),
    };
    let variant = |plan: &PlanRecord| plan.variant.clone().unwrap_or_else(|| "none".to_owned());
    found.note(Weight::Noted, "variant", variant(was), variant(is));
    found.note(Weight::Noted, "settings", laid_over(was), laid_over(is));
    found.note(Weight::Noted, "target", was.target.origin.clone(), is.target.origin.clone());
    // A reference service gets a new port each time.
    let is_ours = [was, is].iter().all(|plan| plan.target.pid.is_some());
    if !is_ours {
        found.note(Weight::Noted, "URL", was.target.url.clone(), is.target.url.clone());
    }
    found.note(Weight::Noted, "seed", was.seed.to_string(), is.seed.to_string());
    found.0
}

#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn note(&mut self, weight: Weight, what: &str, before: String, after: String) {
        if before != after {
            self.0.push(Difference { what: what.to_owned(), before, after, weight });
        }
    }

    /// The digest says whether work differs; what is saved of the plan says in what, as far as it can.
    fn work(&mut self, was: &PlanRecord, is: &PlanRecord) {
        if was.digest == is.digest {
            return;
        }
        let known = self.0.len();
        self.note(Weight::Workload, "scenario", was.scenario.clone(), is.scenario.clone());
        let steps = |plan: &PlanRecord| {
            let steps = plan.steps.iter();
            let steps = steps.map(|step| format!("{} {} {}", step.name, step.method, step.path));
            steps.collect::<Vec<_>>().join(", ")
        };
        self.note(Weight::Workload, "steps", steps(was), steps(is));
        let users =
            |plan: &PlanRecord| plan.users.iter().map(kind_of_user).collect::<Vec<_>>().join("; ");
        self.note(Weight::Workload, "kinds of users", users(was), users(is));
        let rows = |plan: &PlanRecord| plan.rows.clone().unwrap_or_else(|| "none".to_owned());
        self.note(Weight::Workload, "rows", rows(was), rows(is));
        let what = match self.0.len() == known {
            true => "bodies, headers, data, limits or expectations (digest)",
            false => "workload digest",
        };
        let short = |digest: &str| digest.chars().take(12).collect::<String>();
        self.note(Weight::Workload, what, short(&was.digest), short(&is.digest));
    }

    fn load(&mut self, was: &LoadModel, is: &LoadModel) {
        self.note(Weight::Workload, "load model", was.name().to_owned(), is.name().to_owned());
        match (was, is) {
            (LoadModel::Closed(was), LoadModel::Closed(is)) => {
                self.note(Weight::Workload, "users", users(was), users(is));
            }
            (LoadModel::Open(was), LoadModel::Open(is)) => {
                self.note(Weight::Workload, "arrivals", arrivals(was), arrivals(is));
                let cap = |load: &OpenLoad| format!("at most {}", load.max_in_flight);
                self.note(Weight::Workload, "in flight", cap(was), cap(is));
            }
            _ => {}
        }
        let iterations = |load: &LoadModel| {
            load.iterations().map_or("no limit".to_owned(), |iterations| iterations.to_string())
        };
        self.note(Weight::Noted, "iterations", iterations(was), iterations(is));
        let mut length = |what: &str, of: fn(&LoadModel) -> Duration| {
            self.note(Weight::Noted, what, show_duration(of(was)), show_duration(of(is)));
        };
        length("duration", LoadModel::duration);
        length("warm-up", LoadModel::warm_up);
        length("cool-down", LoadModel::cool_down);
    }

    fn machine(&mut self, was: &Environment, is: &Environment) {
        let machine = |it: &Environment| format!("{}, {}", it.cpu, it.cores_in_words());
        self.note(Weight::Machine, "machine", machine(was), machine(is));
        let gib =
            |it: &Environment| format!("{:.1} GiB", it.memory_bytes as f64 / f64::from(1 << 30));
        self.note(Weight::Machine, "memory of the machine", gib(was), gib(is));
        self.note(Weight::Noted, "system", was.system.clone(), is.system.clone());
        let gander = |it: &Environment| {
            let build = if it.optimised_build { "" } else { ", not optimised" };
            let commit = it.gander_commit.as_deref().unwrap_or("commit not known");
            format!("{} ({commit}{build})", it.gander_version)
        };
        self.note(Weight::Noted, "gander", gander(was), gander(is));
    }
}

fn kind_of_user(user: &UserRecord) -> String {
    let transactions = user.transactions.iter();
    let mix: Vec<_> = transactions.map(|it| format!("{} x{}", it.name, it.weight)).collect();
    let think = match user.think_max.is_zero() {
        true => "no think time".to_owned(),
        false => format!(
            "think time {} to {}",
            show_duration(user.think_min),
            show_duration(user.think_max)
        ),
    };
    format!("{} x{}: {}, {think}", user.name, user.weight, mix.join(", "))
}

/// Users over time. Of one stage, how long it lasts does not belong to it: a longer run of the same load
/// is the same load.
fn users(load: &ClosedLoad) -> String {
    match load.stages.as_slice() {
        [only] => only.users.to_string(),
        several => {
            let stage = |it: &crate::schedule::Stage| {
                format!(
                    "{} for {} after {}",
                    it.users,
                    show_duration(it.hold),
                    show_duration(it.ramp)
                )
            };
            several.iter().map(stage).collect::<Vec<_>>().join(", then ")
        }
    }
}

fn arrivals(load: &OpenLoad) -> String {
    match &load.arrivals {
        Arrivals::Recorded(recorded) => {
            format!("{} at {} times its speed", recorded.file, recorded.speed)
        }
        Arrivals::Rates { stages, spread } => {
            let stages: Vec<String> = match stages.as_slice() {
                [only] => vec![only.rate.to_string()],
                several => several
                    .iter()
                    .map(|it| {
                        let (hold, ramp) = (show_duration(it.hold), show_duration(it.ramp));
                        format!("{} for {hold} after {ramp}", it.rate)
                    })
                    .collect(),
            };
            format!("{}, {}", stages.join(", then "), spread.name())
        }
    }
}
