//! `gander scenario list|show|check|new|schema`.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

use comfy_table::{Table, presets};

use crate::error::{Error, Exit};
use crate::measure::selector::{EVERY, ScrapeRules};
use crate::scenario::errors::Style;
use crate::scenario::model::{Budget, Step, User};
use crate::scenario::sizing::{Amounts, Sizing};
use crate::scenario::template::Rendered;
use crate::scenario::{self, Overlay, Place, Scenario, ScenarioError};
use crate::schedule::show_duration;

/// The file that `new` writes where no scenario is named to copy.
const STARTER: &str = include_str!("starter.toml");

/// Seed of the requests that `check` shows.
const SEED: u64 = 42;

/// Characters of a body that `check` shows.
const BODY_SHOWN: usize = 200;

/// Prints all scenarios with what they do; one that is wrong is listed as such.
///
/// # Errors
///
/// Where `out` cannot be written.
pub fn list(place: &Place, out: &mut dyn Write) -> Result<Exit, Error> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "USERS", "STEPS", "SUMMARY"]);
    for name in place.names() {
        match Scenario::load_from(&name, place) {
            Ok(scenario) => {
                let users: Vec<&str> =
                    scenario.users.iter().map(|user| user.name.as_str()).collect();
                let steps = scenario.steps.len().to_string();
                table.add_row([name, users.join(", "), steps, scenario.summary]);
            }
            Err(error) => {
                let count = error.diagnostics.len();
                let summary = format!("wrong ({count}): gander scenario check {name}");
                table.add_row([name, "-".to_owned(), "-".to_owned(), summary]);
            }
        }
    }
    writeln!(out, "{}", table.trim_fmt()).map_err(written())?;
    Ok(Exit::Passed)
}

/// Prints the file of a scenario, right or wrong.
///
/// # Errors
///
/// Where there is no such scenario.
pub fn show(place: &Place, name: &str, out: &mut dyn Write) -> Result<Exit, Error> {
    let found = place.find(name).map_err(|problem| bad_input(&problem.into()))?;
    out.write_all(found.source.text.as_bytes()).map_err(written())?;
    Ok(Exit::Passed)
}

/// Checks scenarios with `overlay` laid over each: prints how each was understood, and the first request
/// of each step.
///
/// # Errors
///
/// After all were checked: everything that is wrong with any of them.
pub fn check(
    place: &Place,
    names: &[String],
    overlay: &Overlay,
    out: &mut dyn Write,
) -> Result<Exit, Error> {
    let mut wrong = Vec::new();
    for name in names {
        let checked = Scenario::load_with(name, place, overlay).and_then(|scenario| {
            let requests = scenario.preview(SEED)?;
            check_variants(&scenario, name, place, overlay)?;
            Ok((scenario, requests))
        });
        match checked {
            Ok((scenario, requests)) => {
                describe(&scenario, &requests, out).map_err(written())?;
            }
            Err(error) => wrong.extend(error.diagnostics),
        }
    }
    if wrong.is_empty() {
        Ok(Exit::Passed)
    } else {
        Err(bad_input(&ScenarioError { diagnostics: wrong }))
    }
}

/// Checks what a scenario is with each of its variants.
fn check_variants(
    scenario: &Scenario,
    name: &str,
    place: &Place,
    overlay: &Overlay,
) -> Result<(), ScenarioError> {
    let mut diagnostics = Vec::new();
    for variant in &scenario.variants {
        let overlay = Overlay { variant: Some(variant.clone()), ..overlay.clone() };
        let checked = Scenario::load_with(name, place, &overlay)
            .and_then(|laid_over| laid_over.preview(SEED).map(|_| ()));
        if let Err(error) = checked {
            diagnostics.extend(error.diagnostics.into_iter().map(|mut diagnostic| {
                let with = format!("this is with variant `{variant}`");
                diagnostic.help.get_or_insert(with);
                diagnostic
            }));
        }
    }
    if diagnostics.is_empty() { Ok(()) } else { Err(ScenarioError { diagnostics }) }
}

/// Writes a new scenario file, `place.scenarios/NAME.toml`: the commented starter, or a copy of the
/// scenario `from`.
///
/// # Errors
///
/// Where the name cannot be a file's, the file exists, `from` does not exist, or writing fails.
pub fn new(
    place: &Place,
    name: &str,
    from: Option<&str>,
    out: &mut dyn Write,
) -> Result<Exit, Error> {
    let is_name = |c: char| c.is_alphanumeric() || "-_".contains(c);
    if name.is_empty() || !name.chars().all(is_name) {
        let message =
            format!("`{name}` cannot be the name of a scenario: letters, digits, `-` and `_`");
        return Err(Error::BadInput(message));
    }
    let text = match from {
        None => STARTER.to_owned(),
        Some(from) => {
            place.find(from).map_err(|problem| bad_input(&problem.into()))?.source.text.clone()
        }
    };
    let path = place.scenarios.join(format!("{name}.toml"));
    let storage = |what: &str| Error::storage(format!("{what} {}", path.display()));
    std::fs::create_dir_all(&place.scenarios).map_err(storage("cannot make the folder of"))?;
    match std::fs::File::create_new(&path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(storage("cannot write"))?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let message =
                format!("{} exists and is left as it is; choose another name", path.display());
            return Err(Error::BadInput(message));
        }
        Err(error) => return Err(storage("cannot write")(error)),
    }
    writeln!(out, "{} written; next: gander scenario check {name}", path.display())
        .map_err(written())?;
    Ok(Exit::Passed)
}

/// Prints the JSON Schema of scenario files.
///
/// # Errors
///
/// Where `out` cannot be written.
pub fn schema(out: &mut dyn Write) -> Result<Exit, Error> {
    writeln!(out, "{:#}", scenario::schema()).map_err(written())?;
    Ok(Exit::Passed)
}

fn describe(
    scenario: &Scenario,
    requests: &[Option<Rendered>],
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let summary = if scenario.summary.is_empty() { "" } else { ": " };
    writeln!(out, "{}: ok{summary}{}", scenario.name, scenario.summary)?;
    if let Some(service) = &scenario.service {
        writeln!(out, "  service  {service}")?;
    }
    for source in scenario.data.sources() {
        let columns: Vec<&str> = source.columns().collect();
        let from = source.file.as_deref().unwrap_or("in the scenario");
        let (rows, order) = (source.len(), source.order.name());
        let fields =
            if columns.is_empty() { String::new() } else { format!(": {}", columns.join(", ")) };
        writeln!(out, "  data     {} ({from}), {rows} rows, {order}{fields}", source.name)?;
    }
    let total: f64 = scenario.users.iter().map(|user| f64::from(user.weight)).sum();
    for user in &scenario.users {
        describe_user(scenario, user, total, out)?;
    }
    if !scenario.variants.is_empty() {
        writeln!(out, "  variants {}", scenario.variants.join(", "))?;
    }
    describe_limits(scenario, out)?;
    if let Some(rules) = &scenario.scrape {
        writeln!(out, "  scrape   {}", described(rules))?;
    }
    if let Some(sizing) = &scenario.sizing {
        writeln!(out, "  sizing   {}", sized(sizing))?;
    }
    if !scenario.slos.is_empty() {
        let rules: Vec<String> = scenario.slos.iter().map(ToString::to_string).collect();
        writeln!(out, "  rules    {}", rules.join("; "))?;
    }
    for alert in &scenario.alerts {
        let rules: Vec<String> =
            alert.rules().map(|(severity, rule)| format!("{} {rule}", severity.name())).collect();
        writeln!(out, "  alert    {}: {}", alert.name, rules.join("; "))?;
    }
    let redactions = scenario.redactions();
    for (step, request) in scenario.steps.iter().zip(requests) {
        let Some(request) = request else {
            let why = "what it sends depends on earlier responses";
            writeln!(out, "  {}: {} {}; {why}", step.name, step.method, step.path)?;
            continue;
        };
        let path = redactions.redact(request.path.as_str());
        writeln!(out, "  {}: {} {path}", step.name, step.method)?;
        for (name, value) in &request.headers {
            let text = String::from_utf8_lossy(value.as_bytes());
            let shown = match redactions.redact(&text) {
                // Too short to be recognised, or changed by a template.
                Cow::Borrowed(_) if value.is_sensitive() => {
                    Cow::Borrowed("(from the environment, not shown)")
                }
                shown => shown,
            };
            writeln!(out, "    {name}: {shown}")?;
        }
        if !request.body.is_empty() {
            writeln!(out, "    {}", redactions.excerpt(&request.body, BODY_SHOWN))?;
        }
    }
    Ok(())
}

/// What a run may use up, what tokens cost, and what an iteration is.
fn describe_limits(scenario: &Scenario, out: &mut dyn Write) -> std::io::Result<()> {
    if let Some((rows, count)) = scenario.rows.as_ref().zip(scenario.row_count()) {
        let is = match scenario.rows_at_once() {
            None | Some(1) => "is one".to_owned(),
            Some(batch) => format!("has {batch}"),
        };
        writeln!(out, "  rows     an iteration {is} of {count} rows of {rows}")?;
    }
    let Budget { requests, tokens, cost } = scenario.budget;
    let currency = &scenario.prices.currency;
    let limits = [
        requests.map(|count| format!("{count} requests")),
        tokens.map(|count| format!("{count} tokens")),
        cost.map(|cost| format!("{cost} {currency}")),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    if !limits.is_empty() {
        writeln!(out, "  budget   {}", limits.join(", "))?;
    }
    Ok(())
}

/// What is asked of the target's own numbers, and what is compared.
fn described(rules: &ScrapeRules) -> String {
    let ScrapeRules { at, json, every, metrics, compare } = rules;
    let text = at.iter().map(|at| match metrics.is_empty() {
        true => format!("{at}, all series"),
        false => format!("{at}, {}", metrics.join(", ")),
    });
    let pages = json.iter().map(|page| {
        let names: Vec<&str> = page.values.iter().map(|value| value.name.as_str()).collect();
        format!("{}, {}", page.at, names.join(", "))
    });
    let compared =
        compare.iter().map(|(same, selector)| format!("{} beside {selector}", same.words()));
    let often = (*every != EVERY).then(|| format!("every {}", show_duration(*every)));
    text.chain(pages).chain(compared).chain(often).collect::<Vec<_>>().join("; ")
}

/// What the target may use where it is deployed.
fn sized(sizing: &Sizing) -> String {
    let amounts = |what: &str, amounts: &Amounts| {
        let cpus = amounts.cpus.map(|cpus| format!("{cpus} processors"));
        let memory = amounts.memory_bytes.map(|bytes| format!("{bytes} bytes"));
        let both: Vec<String> = cpus.into_iter().chain(memory).collect();
        (!both.is_empty()).then(|| format!("{what} {}", both.join(", ")))
    };
    let target = |what: &str, share: Option<f64>| {
        share.map(|share| format!("{what} at {:.0}% of its request", share * 100.0))
    };
    let Sizing { replicas, max_replicas, .. } = sizing;
    let count = max_replicas.map(|most| format!("{replicas} of at most {most} replicas"));
    let parts = [
        amounts("request", &sizing.request),
        amounts("limit", &sizing.limit),
        target("CPU", sizing.target.cpu),
        target("memory", sizing.target.memory),
        count,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// How many requests of a step an iteration makes, where that is not one.
fn expansion(scenario: &Scenario, step: &Step) -> Option<String> {
    let fan_out = step.fan_out.as_ref()?;
    let rows = |name: &String| {
        let mut sources = scenario.data.sources().iter();
        Some(sources.find(|source| source.name == *name)?.len())
    };
    let sizes: Vec<String> = fan_out
        .lists
        .iter()
        .map(|name| rows(name).map_or(format!("each {name}"), |rows| format!("{rows} {name}")))
        .collect();
    let total: Option<usize> = fan_out.lists.iter().map(rows).product();
    let total = total.map_or_else(String::new, |total| format!(" = {total} requests"));
    let at_once = fan_out.concurrency;
    Some(format!("{}{total}, {at_once} at a time", sizes.join(" x ")))
}

fn describe_user(
    scenario: &Scenario,
    user: &User,
    total: f64,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let share = 100.0 * f64::from(user.weight) / total;
    writeln!(out, "  user     {} ({share:.1} %), think {}", user.name, user.think)?;
    for transaction in &user.transactions {
        let steps: Vec<String> = transaction
            .steps
            .iter()
            .map(|id| {
                let step = scenario.step(*id);
                let timeout = show_duration(step.timeout);
                match expansion(scenario, step) {
                    Some(requests) => format!("{} ({requests}, timeout {timeout})", step.name),
                    None => format!("{} (timeout {timeout})", step.name),
                }
            })
            .collect();
        let share = 100.0 * user.share(transaction);
        writeln!(out, "    {share:5.1} %  {}: {}", transaction.name, steps.join(", "))?;
    }
    Ok(())
}

/// The error with its lines, coloured where standard error is a terminal.
fn bad_input(error: &ScenarioError) -> Error {
    let style = if std::io::stderr().is_terminal() { Style::Coloured } else { Style::Plain };
    Error::Diagnosed(error.render(style))
}

fn written() -> impl FnOnce(std::io::Error) -> Error {
    Error::storage("cannot write the output")
}
