//! Decides when iterations start, and when the run ends.

pub mod alarm;
mod closed;
mod end;
mod open;
mod quiet;

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::error::Error;
use crate::flow::Context;
use crate::plan::Ending;
use crate::schedule::LoadModel;

/// Carries out the load of the context's plan. A message on `interrupts` ends it early.
pub async fn run(
    context: Arc<Context>,
    interrupts: &mut mpsc::Receiver<Ending>,
) -> Result<Ending, Error> {
    match context.plan.load.clone() {
        LoadModel::Closed(load) => closed::run(context, load, interrupts).await,
        LoadModel::Open(load) => open::run(&[context], load, interrupts).await,
    }
}

/// Carries out the open load of two plans that differ in their targets alone: each arrival comes to
/// both at the same moment, with the same inputs, in an order that is drawn.
pub async fn run_pair(
    contexts: [Arc<Context>; 2],
    interrupts: &mut mpsc::Receiver<Ending>,
) -> Result<Ending, Error> {
    match contexts[0].plan.load.clone() {
        LoadModel::Open(load) => open::run(&contexts, load, interrupts).await,
        LoadModel::Closed(_) => Err(Error::BadInput(
            "two targets are loaded at the same moments with open load alone: give a --rate"
                .to_owned(),
        )),
    }
}
