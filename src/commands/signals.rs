//! SIGINT, SIGTERM and SIGHUP: the first ends the run with a report, the second ends it at once.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use signal_hook::consts::{SIGHUP, SIGTERM};
use tokio::sync::mpsc;

use crate::error::{Error, Exit};
use crate::plan::{Ending, Stop};

/// The first signal that has arrived.
static FIRST: Mutex<Option<Stop>> = Mutex::new(None);

/// Whether a signal has arrived.
pub fn is_interrupted() -> bool {
    FIRST.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// The exit code of a command that a signal ended, where one has arrived.
pub fn exit() -> Option<Exit> {
    FIRST.lock().unwrap_or_else(PoisonError::into_inner).map(exit_of)
}

/// An error where a signal has arrived before there is anything to report on.
pub fn check() -> Result<(), Error> {
    let first = *FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    first.map_or(Ok(()), |stop| Err(Error::Interrupted(exit_of(stop))))
}

/// Takes the signals over. To be called once, before Goose is: its own handler for SIGINT is then
/// not installed. The sender takes other reasons for which a run is to end early.
pub fn install() -> Result<(mpsc::Sender<Ending>, mpsc::Receiver<Ending>), Error> {
    let (sender, receiver) = mpsc::channel(8);
    let others_sender = sender.clone();
    let cannot = |e: &dyn std::fmt::Display| Error::CannotRun(format!("cannot take signals: {e}"));
    let of_ctrl_c = sender.clone();
    ctrlc::set_handler(move || received(&of_ctrl_c, Stop::Interrupted)).map_err(|e| cannot(&e))?;
    let mut others =
        signal_hook::iterator::Signals::new([SIGTERM, SIGHUP]).map_err(|e| cannot(&e))?;
    std::thread::spawn(move || {
        others.forever().for_each(|_| received(&others_sender, Stop::Terminated))
    });
    Ok((sender, receiver))
}

/// The journal holds everything up to the last second, so that even the second signal loses no more.
fn received(sender: &mpsc::Sender<Ending>, stop: Stop) {
    if FIRST.lock().unwrap_or_else(PoisonError::into_inner).replace(stop).is_some() {
        // What was started for the run ends by itself: its standard input ends here.
        std::process::exit(exit_of(stop) as i32);
    }
    // Standard error that is closed must not keep the run from ending.
    let _ = writeln!(
        std::io::stderr(),
        "\nstopping: requests in flight may end, then comes the report; once more to stop at once"
    );
    // Full only where the run is ending already.
    let _ = sender.try_send(stop.into());
}

/// The exit code of a run that a signal ended.
pub fn exit_of(stop: Stop) -> Exit {
    if stop == Stop::Terminated { Exit::Terminated } else { Exit::Interrupted }
}
