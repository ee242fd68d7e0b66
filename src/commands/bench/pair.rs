//! Two targets that are loaded side by side, each started anew for every run.

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::plan::{Ending, Plan, Target};
use crate::store::folder::RunFolder;
use crate::target::Launched;

use super::super::output::Output;
use super::super::signals;
use super::drive::{Record, Side, drive, drive_pair};
use super::ready::Ready;
use super::{allow_many_files, open_folder};

/// Starts targets and loads them, for as long as no signal comes.
pub struct PairBench {
    ends: mpsc::Sender<Ending>,
    interrupts: mpsc::Receiver<Ending>,
}

/// Two runs that were made side by side.
pub struct Pair {
    /// Their folders.
    pub folders: [RunFolder; 2],
    /// Which of the targets were gone at the end.
    pub gone: [bool; 2],
}

impl PairBench {
    /// Takes the signals over. To be called once in a process.
    pub fn set_up() -> Result<PairBench, Error> {
        let (ends, interrupts) = signals::install()?;
        allow_many_files();
        Ok(PairBench { ends, interrupts })
    }

    /// One run at one target, which is started for it and stopped after it.
    pub fn measure(&mut self, name: &str, plan: Plan) -> Result<RunFolder, Error> {
        let launched = self.launch(&plan.target)?;
        let ready = Ready::of(&plan, &launched)?;
        let (folder, journal) = open_folder(name, &plan, &launched)?;
        let record = Record { journal, earlier: None };
        let ends = (self.ends.clone(), &mut self.interrupts);
        let quiet = Output { quiet: true, ..Output::default() };
        drive(plan, &launched, ready, record, ends, &quiet)?;
        launched.stop();
        self.forget_ends()?;
        Ok(folder)
    }

    /// One run at each target, base and head, at the same moments. Both are started for it, the base
    /// before the head where `base_first`, and stopped after it.
    pub fn measure_both(
        &mut self,
        names: [&str; 2],
        [base, head]: [Plan; 2],
        base_first: bool,
    ) -> Result<Pair, Error> {
        let (at_base, at_head);
        if base_first {
            at_base = self.launch(&base.target)?;
            at_head = self.launch(&head.target)?;
        } else {
            at_head = self.launch(&head.target)?;
            at_base = self.launch(&base.target)?;
        }
        let (of_base, runtime, base_folder) = side(base, &at_base, names[0])?;
        let (of_head, spare, head_folder) = side(head, &at_head, names[1])?;
        // One generator serves both.
        spare.shutdown_background();
        drive_pair([of_base, of_head], runtime, (&self.ends, &mut self.interrupts))?;
        let gone = [at_base.has_ended(), at_head.has_ended()];
        at_base.stop();
        at_head.stop();
        self.forget_ends()?;
        Ok(Pair { folders: [base_folder, head_folder], gone })
    }

    fn launch(&self, target: &Target) -> Result<Launched, Error> {
        let launched = Launched::start(target, &signals::is_interrupted);
        signals::check()?;
        launched
    }

    /// That a target is gone by now must not end the next run; a signal does.
    fn forget_ends(&mut self) -> Result<(), Error> {
        while self.interrupts.try_recv().is_ok() {}
        signals::check()
    }
}

/// What a run at a target that was launched begins with.
fn side<'a>(
    plan: Plan,
    launched: &'a Launched,
    name: &str,
) -> Result<(Side<'a>, Runtime, RunFolder), Error> {
    let Ready { target, own, runtime } = Ready::of(&plan, launched)?;
    let (folder, journal) = open_folder(name, &plan, launched)?;
    let record = Record { journal, earlier: None };
    Ok((Side { plan, launched, target, own, record }, runtime, folder))
}
