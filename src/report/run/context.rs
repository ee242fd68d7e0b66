//! Where the figures come from, and what was done.

use crate::plan::{PlanRecord, TransactionRecord, UserRecord};
use crate::report::format;
use crate::report::model::{Block, Cell, Column, Section, Table, Text, Tone};
use crate::report::provenance;
use crate::schedule::LoadModel;

use super::{Source, load};

/// Who measured, when, where, and how to do it again.
pub fn provenance(source: &Source<'_>) -> Section {
    let start = &source.run.start;
    let environment = &start.environment;
    let plan = &start.plan;
    let commit = match &environment.gander_commit {
        Some(commit) => format!("commit {commit}"),
        None => "commit not known".to_owned(),
    };
    let version = Text::from(format!("{} ({commit}), ", environment.gander_version));
    let version = match environment.optimised_build {
        true => version.plain("optimised build"),
        false => version.strong(Tone::Warning, "build without optimisations").plain(
            ": the generator uses more CPU than it needs to; build with `--release` for figures that count",
        ),
    };
    let facts = [
        ("Date", Text::literal(&start.started_at)),
        ("gander", version),
        ("Machine", provenance::machine(environment)),
        ("System", environment.system.as_str().into()),
        ("Command", provenance::command(&plan.command_line)),
        ("Seed", Text::literal(plan.seed.to_string())),
        ("Workload digest", Text::literal(&plan.digest)),
        ("Run folder", Text::from(format!("schema version {}", start.schema_version))),
    ];
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    Section::new("Provenance").with(Block::Facts(facts.into()))
}

/// What was done, to whom.
pub fn configuration(source: &Source<'_>) -> Section {
    let plan = source.plan();
    let load = source.load();
    let target = &plan.target;
    let mut origin = Text::literal(&target.url).plain(format!(", {}", target.origin));
    if let Some(pid) = target.pid {
        origin = origin.plain(format!(", process {pid}"));
    }
    let mut apart = format!(
        "warm-up ({}) and cool-down ({}) are recorded apart",
        format::duration(load.warm_up()),
        format::duration(load.cool_down())
    );
    if load.warm_up().is_zero() && load.cool_down().is_zero() {
        apart = "no warm-up, no cool-down".to_owned();
    }
    let window = source.window();
    let mut facts: Vec<(&str, Text)> = vec![
        ("Scenario", plan.scenario.as_str().into()),
        ("Target", origin),
        ("Load", Text::from(format!("{}: {}", load.name(), load::in_words(load)))),
        (
            "Measured part",
            Text::from(format!(
                "{}, from {} to {} after the start; {apart}",
                format::duration(window.length()),
                format::duration(window.start.since(Default::default())),
                format::duration(window.end.since(Default::default())),
            )),
        ),
        ("Connections", connections(plan)),
        ("Timeouts", Text::from(timeouts(plan, load))),
        (
            "Generator",
            Text::from(format::counted(plan.threads as u64, "worker thread", "worker threads")),
        ),
    ];
    facts.splice(1..1, provenance::laid_over(plan.variant.as_deref(), &plan.settings));
    if let Some(iterations) = load.iterations() {
        let limit = format::counted(iterations, "iteration", "iterations");
        facts.push(("Limit", Text::from(format!("{limit} over all users"))));
    }
    if plan.http.insecure && target.url.starts_with("https:") {
        let not = Text::emphasis(Tone::Warning, "certificates were NOT verified");
        facts.push(("TLS", not.plain(": whoever answered was taken for the target (--insecure)")));
    }
    let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value));
    Section::new("Configuration").with(Block::Facts(facts.collect())).with(users(&plan.users))
}

/// Which HTTP was spoken, and over whose connections.
fn connections(plan: &PlanRecord) -> Text {
    let version = plan.http.version;
    let many = match version.carries_many() {
        false => "one request at a time on each",
        true => "many requests at a time on each",
    };
    let whose = match plan.http.shared {
        None => "one for each user, kept open between requests".to_owned(),
        Some(count) => {
            let count = format::counted(u64::from(count), "connection", "connections");
            format!("{count} shared by all users, {many}")
        }
    };
    let bytes = match version.carries_many() {
        false => "",
        true => "; bytes are those of bodies, for heads are compressed",
    };
    Text::from(format!("{}, {whose}{bytes}", version.name()))
}

/// How long a request may take, and what is still under way at the end.
fn timeouts(plan: &PlanRecord, load: &LoadModel) -> String {
    let mut all: Vec<_> = plan.steps.iter().map(|step| step.timeout).collect();
    all.sort_unstable();
    all.dedup();
    let of_requests = match all.as_slice() {
        [] => String::new(),
        [only] => format!("{} for each request; ", format::duration(*only)),
        [first, .., last] => format!(
            "{} to {} for a request, by its step; ",
            format::duration(*first),
            format::duration(*last)
        ),
    };
    let drain = format::duration(load.drain());
    format!("{of_requests}{drain} after the end for requests in flight")
}

fn users(users: &[UserRecord]) -> Table {
    let mut table = Table::new([
        Column::words("Kind of user"),
        Column::figures("Share of users"),
        Column::words("Think time"),
        Column::words("Transaction"),
        Column::figures("Share of its transactions"),
    ]);
    let weights: u32 = users.iter().map(|user| user.weight).sum();
    for user in users {
        let all: u32 = user.transactions.iter().map(|transaction| transaction.weight).sum();
        for (index, TransactionRecord { name, weight }) in user.transactions.iter().enumerate() {
            let of_user: [Cell; 3] = match index {
                0 => [
                    user.name.as_str().into(),
                    Cell::Figure(weight_share(user.weight, weights), None),
                    Cell::Text(think(user)),
                ],
                _ => ["".into(), "".into(), "".into()],
            };
            table.rows.push(of_user.into_iter().collect());
            if let Some(row) = table.rows.last_mut() {
                row.push(name.as_str().into());
                row.push(Cell::Figure(weight_share(*weight, all), None));
            }
        }
    }
    table
}

fn weight_share(weight: u32, all: u32) -> String {
    format::share(f64::from(weight) / f64::from(all.max(1)))
}

fn think(user: &UserRecord) -> Text {
    let (min, max) = (format::duration(user.think_min), format::duration(user.think_max));
    match (user.think_max.is_zero(), min == max) {
        (true, _) => "none".into(),
        (false, true) => Text::from(min),
        (false, false) => Text::from(format!("{min} to {max}, evenly drawn")),
    }
}
