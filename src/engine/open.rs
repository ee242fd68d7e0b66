//! The open model: iterations start when they are due, whether earlier ones have ended or not.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::error::Error;
use crate::flow::Context;
use crate::plan::Ending;
use crate::schedule::OpenLoad;

/// Runs `load` until its time is over, its iterations are done, or an interrupt.
pub async fn run(
    context: Arc<Context>,
    load: OpenLoad,
    interrupts: &mut mpsc::Receiver<Ending>,
) -> Result<Ending, Error> {
    let _ = (context, load, interrupts);
    Err(Error::CannotRun("open load is being built".to_owned()))
}
