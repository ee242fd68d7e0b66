//! The scenario language: what a file says, what it means, and every way in which it can be wrong.
//!
//! `file` is what is written, `model` what is meant, `check` the way from one to the other. `template`
//! and `feeder` make requests from it during a run, `expect` judges the responses.

pub mod answer;
mod check;
pub mod data;
mod digest;
pub mod embedded;
pub mod errors;
pub mod expect;
mod feeder;
pub mod file;
mod functions;
mod json;
pub mod json_path;
pub mod model;
mod overlay;
mod paths;
mod place;
mod position;
pub mod price;
pub mod random;
pub mod render_error;
mod rows;
pub mod secret;
pub mod sizing;
pub mod slo;
mod spelling;
pub mod stream;
pub mod template;
mod together;
mod usage;
pub mod written;

pub use embedded::Place;
pub use errors::ScenarioError;
pub use feeder::{Feeder, Inputs};
pub use model::Scenario;
pub use overlay::Overlay;
pub use place::IterationPlace;
pub use rows::from_json_value;

/// JSON Schema of the scenario language, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(file::ScenarioFile).to_value()
}
