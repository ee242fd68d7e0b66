//! The profiles of two runs, for their comparison.

use std::path::Path;

use crate::analysis::profile::{ProfileFindings, Profiled};
use crate::error::Error;
use crate::measure::resource::Observed;
use crate::profile::{Folded, Missing, Profiles};
use crate::report::profile::diff::Half;
use crate::store::profiles;
use crate::store::run::Run;

/// The profiles of one of two runs.
pub struct Profile {
    path: String,
    findings: ProfileFindings,
}

impl Profile {
    /// Those in `folder`, of `run`; some functions under other names.
    pub fn read(folder: &Path, run: &Run, renames: &[(String, String)]) -> Result<Profile, Error> {
        let read = profiles::read(folder)?;
        let taken = read.taken.into_iter();
        let taken = taken.map(|(record, folded)| (record, renamed(folded, renames))).collect();
        let findings = ProfileFindings::of(&Profiles { taken, missing: read.missing }, run);
        Ok(Profile { path: folder.display().to_string(), findings })
    }

    /// The profile of the target's processor time.
    ///
    /// # Errors
    ///
    /// Where there is none, or it cannot be told a request.
    pub fn half(&self) -> Result<Half<'_>, Error> {
        let profiled: &Profiled = self.findings.target_cpu().ok_or_else(|| {
            let of_target = |missing: &&Missing| missing.who == Observed::Target;
            let missing = self.findings.missing.iter().find(of_target);
            let why = missing.map_or(String::new(), |missing| format!(" ({})", missing.why));
            Error::BadInput(format!(
                "{} has no profile of the target's CPU time{why}: make the run with --profile",
                self.path
            ))
        })?;
        let ms_per_request = profiled.ms_per_request(profiled.total()).ok_or_else(|| {
            Error::BadInput(format!(
                "the CPU time of the target a request was not measured in {}: name its process with --pid, or let gander start it with --spawn",
                self.path
            ))
        })?;
        Ok(Half { run: &self.path, profiled, ms_per_request })
    }
}

/// The stacks with other names for some functions.
fn renamed(folded: Folded, renames: &[(String, String)]) -> Folded {
    let mut all = Folded::default();
    for (stack, times) in folded.stacks() {
        let stack = stack.iter().map(|frame| {
            let name = crate::profile::frame::name(frame);
            renames.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new.clone())
        });
        all.add(stack.collect(), times);
    }
    all
}
