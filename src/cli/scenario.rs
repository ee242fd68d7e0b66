//! `gander scenario …`

use std::io::Write;

use clap::{Args, Subcommand};

use crate::commands::scenario;
use crate::error::{Error, Exit};
use crate::scenario::{Overlay, Place};

/// Start, print, validate and describe scenarios.
#[derive(Debug, Args)]
pub struct ScenarioArgs {
    #[command(subcommand)]
    command: ScenarioCommand,
}

#[derive(Debug, Subcommand)]
enum ScenarioCommand {
    /// List the scenarios: your own in ./scenarios/ and the built-in ones
    List,
    /// Print the file of a scenario
    Show {
        /// Name of a scenario, or path of a file
        name: String,
    },
    /// Say what is wrong with scenarios, or how they were understood and what they send
    Check {
        /// Names of scenarios, or paths of files
        #[arg(required = true)]
        names: Vec<String>,
        /// Variant to describe; all of them are checked anyway
        #[arg(long, value_name = "NAME")]
        variant: Option<String>,
        /// Key of the scenario's file and its value, laid over it, as for `gander load`; may be repeated
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
    /// Write a file to start from into ./scenarios/; an existing file is never overwritten
    New {
        /// Name of the new scenario
        name: String,
        /// Scenario to copy, in place of the commented starter
        #[arg(long, value_name = "NAME")]
        from: Option<String>,
    },
    /// Print the JSON Schema of scenario files, for editors
    Schema,
}

/// Carries out `gander scenario …`.
///
/// # Errors
///
/// Those of the command.
pub fn run(args: &ScenarioArgs, out: &mut dyn Write) -> Result<Exit, Error> {
    let place = Place::of_process();
    match &args.command {
        ScenarioCommand::List => scenario::list(&place, out),
        ScenarioCommand::Show { name } => scenario::show(&place, name, out),
        ScenarioCommand::Check { names, variant, set } => {
            let overlay = Overlay::new(variant.clone(), set)?;
            scenario::check(&place, names, &overlay, out)
        }
        ScenarioCommand::New { name, from } => scenario::new(&place, name, from.as_deref(), out),
        ScenarioCommand::Schema => scenario::schema(out),
    }
}
