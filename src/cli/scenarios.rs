//! Which scenarios a run carries out, and what is laid over them.

use std::str::FromStr;

use clap::Args;

use crate::error::Error;
use crate::scenario::{Overlay, Place, Scenario};

use super::budget::BudgetOptions;

/// Scenarios, and what is laid over them.
#[derive(Debug, Args)]
pub struct ScenarioOptions {
    /// Scenario: a name (see `gander scenario list`) or a file. Several run at once, and share the
    /// users by their weights: `chat@3 chat-stream@1`
    #[arg(value_name = "SCENARIO[@WEIGHT]", default_value = "inference-mix")]
    scenario: Vec<Chosen>,
    /// Variant of the scenario, laid over it; where there are several, of all of them, or of one, as
    /// `chat/before`
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// Key of the scenario's file and its value, laid over it, as `step.predict.timeout=5s` or
    /// `user.mixed.weight=2`; where there are several scenarios, over all of them, or over one, as
    /// `chat/step.chat.timeout=5s`; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// A scenario and its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chosen {
    name_or_path: String,
    weight: u32,
}

impl FromStr for Chosen {
    type Err = String;

    /// What stands after the last `@` is a weight where it is a number: names may hold an `@` too.
    fn from_str(text: &str) -> Result<Chosen, String> {
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let (name, weight) = match text.rsplit_once('@') {
            Some((_, "")) => return Err("expected a weight after @, as chat@3".to_owned()),
            Some((name, weight)) if is_number(weight) => (name, weight),
            _ => (text, "1"),
        };
        match weight.parse() {
            Ok(0) => Err("a weight of 0 means never: expected 1 or more".to_owned()),
            Ok(weight) => Ok(Chosen { name_or_path: name.to_owned(), weight }),
            Err(_) => Err(format!("{weight} is no weight: expected a number such as 3")),
        }
    }
}

impl ScenarioOptions {
    /// The scenario that they amount to. What `budget` says takes the place of what the scenarios
    /// say of it; where the command line `has_target`, the services that they name do not matter.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with one of them, or with having them together.
    pub fn load(&self, budget: &BudgetOptions, has_target: bool) -> Result<Scenario, Error> {
        if let [Chosen { name_or_path, weight: 2.. }] = self.scenario.as_slice() {
            let message = format!(
                "{name_or_path} is alone, and a weight says how several scenarios share the users: \
                 leave the weight out, or name another scenario besides"
            );
            return Err(Error::BadInput(message));
        }
        let place = Place::of_process();
        let mut parts = Vec::new();
        for chosen in &self.scenario {
            let overlay = self.overlay(&place, chosen)?;
            let mut part = Scenario::load_with(&chosen.name_or_path, &place, &overlay)?;
            budget.replace(&mut part.budget);
            if has_target {
                part.service = None;
            }
            parts.push((part, chosen.weight));
        }
        Ok(Scenario::together(parts)?)
    }

    /// Whether there is more than one.
    pub fn are_several(&self) -> bool {
        self.scenario.len() > 1
    }

    /// What is laid over one of them: all but what begins with the name of another.
    fn overlay(&self, place: &Place, chosen: &Chosen) -> Result<Overlay, Error> {
        let name = |chosen: &Chosen| place.find(&chosen.name_or_path).map(|found| found.name);
        let own = name(chosen).map_err(crate::scenario::ScenarioError::from)?;
        let others: Vec<String> = self.scenario.iter().filter_map(|c| name(c).ok()).collect();
        let part = |text: &String| match text.split_once('/') {
            Some((scenario, rest)) if scenario == own => Some(rest.to_owned()),
            Some((scenario, _)) if others.iter().any(|other| other == scenario) => None,
            _ => Some(text.clone()),
        };
        let settings: Vec<String> = self.set.iter().filter_map(part).collect();
        Ok(Overlay::new(self.variant.as_ref().and_then(part), &settings)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_after_an_at_sign_is_the_weight() {
        let of = |text: &str| text.parse::<Chosen>().map(|c| (c.name_or_path, c.weight));
        let is = |name: &str, weight: u32| Ok((name.to_owned(), weight));
        assert_eq!(of("chat"), is("chat", 1));
        assert_eq!(of("chat@3"), is("chat", 3));
        assert_eq!(of("a@b.toml"), is("a@b.toml", 1));
        assert_eq!(of("./a@2.toml@12"), is("./a@2.toml", 12));
        for wrong in ["chat@", "chat@0", "chat@99999999999"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
