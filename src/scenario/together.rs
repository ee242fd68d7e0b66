//! Several scenarios as one: each keeps its own data, and its share of the users.

use crate::measure::sample::StepId;

use super::digest;
use super::errors::{Diagnostic, ScenarioError};
use super::model::{Budget, Scenario, User};
use super::price::Prices;
use super::secret::Redactions;

/// The largest sum of weights: the driver makes a list as long as that.
const MOST_WEIGHT: u128 = 100_000;

impl Scenario {
    /// Scenarios that run at once, with the weights by which they share the users: `chat` with 3 and
    /// `chat-stream` with 1 give three users of `chat` for each one of `chat-stream`, however many
    /// kinds of users each of them has. One alone is returned as it is.
    ///
    /// Names of kinds of users and of steps get their scenario's in front: `chat/user`. Templates see
    /// the data of their own scenario only. Rules without a step hold for all requests of the run,
    /// and so do prices and a budget. The load is the first one's. Where an iteration of a scenario is
    /// one row of its data, it stays so; but the iterations of the run are of several kinds, and they
    /// are not called rows.
    ///
    /// # Errors
    ///
    /// No scenario, or two of one name; services that are not the same; two budgets of one kind; two
    /// prices of one model, or two currencies; two ways to ask for the target's own numbers; more than 65,535 steps; a weight of 0, or weights
    /// without a small common measure.
    pub fn together(mut parts: Vec<(Scenario, u32)>) -> Result<Scenario, ScenarioError> {
        if let Some((part, _)) = parts.iter().find(|(_, weight)| *weight == 0) {
            let message = format!("scenario {} has a weight of 0, which means never", part.name);
            return Err(Diagnostic::general(message).help("leave it out").into());
        }
        if parts.len() > 1 {
            tell_apart(&parts)?;
            check_services(&parts)?;
            share(&mut parts)?;
        }
        let digest = digest::of_all(parts.iter().map(|(part, weight)| (&*part.digest, *weight)));
        let name = parts.iter().map(|(part, _)| &*part.name).collect::<Vec<_>>().join("+");
        let mut rest = parts.into_iter().map(|(part, _)| part).peekable();
        let Some(first) = rest.next() else {
            return Err(Diagnostic::general("no scenario is given").into());
        };
        if rest.peek().is_none() {
            return Ok(first);
        }
        let mut all = Scenario { name, digest, rows: None, ..prefixed(first) };
        for (scope, part) in (1..).zip(rest) {
            all.add(prefixed(part), scope)?;
        }
        all.redact_alike();
        Ok(all)
    }

    /// Takes up what another scenario does; its data are those of `scope`.
    fn add(&mut self, part: Scenario, scope: u16) -> Result<(), ScenarioError> {
        let steps = self.steps.len() + part.steps.len();
        let (Ok(_), Ok(shift)) = (u16::try_from(steps), u16::try_from(self.steps.len())) else {
            let message = "together the scenarios have more steps than 65,535";
            return Err(Diagnostic::general(message).into());
        };
        let moved = |id: &mut StepId| id.0 += shift;
        self.users.extend(part.users.into_iter().map(|mut user| {
            let transactions = user.transactions.iter_mut();
            transactions.flat_map(|transaction| &mut transaction.steps).for_each(moved);
            User { scope, ..user }
        }));
        self.steps.extend(part.steps.into_iter().map(|mut step| {
            step.after.iter_mut().for_each(moved);
            step
        }));
        for mut slo in part.slos {
            slo.step.iter_mut().for_each(moved);
            if !self.slos.contains(&slo) {
                self.slos.push(slo);
            }
        }
        for mut alert in part.alerts {
            let rules = alert.warn.iter_mut().chain(&mut alert.critical);
            rules.for_each(|rule| rule.step.iter_mut().for_each(moved));
            self.alerts.push(alert);
        }
        self.data.others.push(part.data);
        self.budget = one_budget(self.budget, part.budget)?;
        self.prices.add(part.prices)?;
        self.scrape = one_of("scrape", self.scrape.take(), part.scrape)?;
        self.sizing = one_of("sizing", self.sizing.take(), part.sizing)?;
        let variants = [self.variant.take(), part.variant].into_iter().flatten();
        self.variant = variants.reduce(|all, one| format!("{all}, {one}"));
        self.settings.extend(part.settings);
        self.summary = format!("{}; {}", self.summary, part.summary);
        self.variants.extend(part.variants);
        Ok(())
    }

    /// What a target says may hold what any of the scenarios sent.
    fn redact_alike(&mut self) {
        let data = std::iter::once(&self.data).chain(&self.data.others);
        let redactions = Redactions::all(data.map(|data| &data.redactions));
        for step in &mut self.steps {
            step.expect.redactions = redactions.clone();
        }
        for data in &mut self.data.others {
            data.redactions = redactions.clone();
        }
        self.data.redactions = redactions;
    }
}

/// A scenario whose names have its own in front.
fn prefixed(mut part: Scenario) -> Scenario {
    let scenario = &part.name;
    let prefix = |name: &mut String| *name = format!("{scenario}/{name}");
    part.users.iter_mut().for_each(|user| prefix(&mut user.name));
    part.steps.iter_mut().for_each(|step| prefix(&mut step.name));
    part.slos.iter_mut().filter(|slo| slo.step.is_some()).for_each(|slo| prefix(&mut slo.text));
    for alert in &mut part.alerts {
        prefix(&mut alert.name);
        let rules = alert.warn.iter_mut().chain(&mut alert.critical);
        rules.filter(|rule| rule.step.is_some()).for_each(|rule| prefix(&mut rule.text));
    }
    part.variant.iter_mut().for_each(prefix);
    part.settings.iter_mut().for_each(prefix);
    part.variants.iter_mut().for_each(prefix);
    part
}

fn tell_apart(parts: &[(Scenario, u32)]) -> Result<(), Diagnostic> {
    for (place, (part, _)) in parts.iter().enumerate() {
        if parts[..place].iter().any(|(other, _)| other.name == part.name) {
            let message = format!("two scenarios are named {}", part.name);
            let help = "reports could not tell them apart: name it once, with the sum of its weights, \
                        or give one of the files another name";
            return Err(Diagnostic::general(message).help(help));
        }
    }
    Ok(())
}

/// One target is loaded: the scenarios must mean the same one.
fn check_services(parts: &[(Scenario, u32)]) -> Result<(), Diagnostic> {
    let Some(((first, _), rest)) = parts.split_first() else { return Ok(()) };
    let Some((other, _)) = rest.iter().find(|(other, _)| other.service != first.service) else {
        return Ok(());
    };
    let of = |part: &Scenario| match &part.service {
        Some(service) => format!("{} loads {service}", part.name),
        None => format!("{} names no service", part.name),
    };
    let message = format!("the scenarios load different services: {}, {}", of(first), of(other));
    Err(Diagnostic::general(message)
        .help("say what all of them are to load: `--target URL` or `--spawn COMMAND`"))
}

/// Gives each scenario its share of the users: makes the sums of their users' weights be to each
/// other as the weights of the scenarios.
fn share(parts: &mut [(Scenario, u32)]) -> Result<(), Diagnostic> {
    let sum = |part: &Scenario| part.users.iter().map(|user| u128::from(user.weight)).sum::<u128>();
    let too_fine = || {
        let message =
            "the weights of the scenarios and of their users have no small common measure";
        Diagnostic::general(message).help("give the scenarios, or their users, rounder weights")
    };
    let mut common: u128 = 1;
    for (part, _) in &*parts {
        let sum = sum(part);
        common = common.checked_mul(sum / divisor(common, sum)).ok_or_else(too_fine)?;
    }
    let mut scaled = Vec::new();
    for (part, weight) in &*parts {
        let times = u128::from(*weight).checked_mul(common / sum(part)).ok_or_else(too_fine)?;
        for user in &part.users {
            scaled.push(u128::from(user.weight).checked_mul(times).ok_or_else(too_fine)?);
        }
    }
    let measure = scaled.iter().copied().reduce(divisor).unwrap_or(1);
    if scaled.iter().map(|weight| weight / measure).fold(0, u128::saturating_add) > MOST_WEIGHT {
        return Err(too_fine());
    }
    let users = parts.iter_mut().flat_map(|(part, _)| &mut part.users);
    for (user, weight) in users.zip(scaled) {
        user.weight = u32::try_from(weight / measure).map_err(|_| too_fine())?;
    }
    Ok(())
}

/// The greatest common divisor (Euclid); neither is 0.
fn divisor(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// What may be used up is the whole run's: of each kind there can be one.
fn one_budget(a: Budget, b: Budget) -> Result<Budget, Diagnostic> {
    let twice = |option: &str, kind: &str| {
        let message = format!("two of the scenarios have a budget of {kind}");
        Diagnostic::general(message)
            .help(format!("say what all of them together may use up, with `{option}`"))
    };
    if a.requests.and(b.requests).is_some() {
        return Err(twice("--max-requests", "requests"));
    }
    if a.tokens.and(b.tokens).is_some() {
        return Err(twice("--max-tokens", "tokens"));
    }
    if a.cost.and(b.cost).is_some() {
        return Err(twice("--max-cost", "cost"));
    }
    Ok(Budget {
        requests: a.requests.or(b.requests),
        tokens: a.tokens.or(b.tokens),
        cost: a.cost.or(b.cost),
    })
}

/// What is of the one target that is loaded: of one scenario, or the same in all of them.
fn one_of<T: PartialEq>(table: &str, a: Option<T>, b: Option<T>) -> Result<Option<T>, Diagnostic> {
    match (a, b) {
        (Some(a), Some(b)) if a != b => {
            let message =
                format!("two of the scenarios have a `[{table}]`, and they are not the same");
            Err(Diagnostic::general(message).help("give them the same one, or only one of them"))
        }
        (a, b) => Ok(a.or(b)),
    }
}

impl Prices {
    /// Takes up further prices.
    fn add(&mut self, more: Prices) -> Result<(), Diagnostic> {
        if self.models.is_empty() {
            *self = more;
            return Ok(());
        }
        if !more.models.is_empty() && more.currency != self.currency {
            let (a, b) = (&self.currency, &more.currency);
            let message = format!("the scenarios have prices in {a} and in {b}");
            return Err(Diagnostic::general(message).help("give them in one currency"));
        }
        for (model, price) in more.models {
            match self.models.iter().find(|(known, _)| *known == model) {
                None => self.models.push((model, price)),
                Some((_, known)) if *known == price => {}
                Some(_) => {
                    let model = if model.is_empty() { "every other model" } else { &model };
                    let message = format!("the scenarios have two prices of {model}");
                    return Err(Diagnostic::general(message).help("give them the same one"));
                }
            }
        }
        Ok(())
    }
}
