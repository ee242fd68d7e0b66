//! The report of one run.

mod alerts;
mod charts;
mod context;
mod latency;
mod leak;
mod ledger;
mod load;
mod notes;
mod outcomes;
mod overview;
mod rows;
mod server;
mod sizing;
mod spending;
mod streams;
mod usage;

use std::time::Duration;

use crate::analysis::Assessment;
use crate::measure::distribution::Damaged;
use crate::measure::resource::Observed;
use crate::measure::summary::{MeasuredWindow, Summary};
use crate::plan::PlanRecord;
use crate::plan::Stop;
use crate::schedule::LoadModel;
use crate::store::run::Run;

use super::format;
use super::model::{Block, Report, Section, Text, Tone};
use super::soak;
use super::timeline::Timeline;
use crate::analysis::resources::Resources;
use notes::Notes;

pub use notes::few_samples;
pub use rows::{json as rows_json, told_as as row_name};

/// What all sections are made from.
struct Source<'a> {
    run: &'a Run,
    assessment: &'a Assessment,
    timeline: Result<Timeline, Damaged>,
}

/// The report of `run`, as judged by `assessment`.
pub fn build(run: &Run, assessment: &Assessment) -> Report {
    let source = Source { run, assessment, timeline: Timeline::of(run) };
    let mut notes = Notes::default();
    let sections = vec![
        overview::key_figures(&source),
        context::provenance(&source),
        context::configuration(&source),
        overview::verdicts(&source),
        alerts::alerts(&source),
        leak::of_soak(&source, &mut notes),
        rows::rows(&source, &mut notes),
        latency::endpoints(&source, &mut notes),
        latency::adjusted(&source, &mut notes),
        streams::streams(&source, &mut notes),
        latency::phases(&source, &mut notes),
        outcomes::outcomes(&source, &mut notes),
        outcomes::errors(&source, &mut notes),
        charts::charts(&source),
        usage::resources(&source, &mut notes),
        sizing::sizing(&source, &mut notes),
        leak::leaks(&source, &mut notes),
        server::numbers(&source, &mut notes),
        spending::budget(&source, &mut notes),
        ledger::ledger(&source, &mut notes),
        ledger::validity(&source),
    ];
    let mut sections = sections;
    if let Some(found) = &assessment.soak {
        // After the verdicts and the leaks: what else a soak was made for.
        let after = sections.iter().position(|section| section.title == alerts::TITLE);
        let at = after.map_or(0, |at| at + 2);
        sections.splice(at..at, soak::sections(run, found));
    }
    let mut report = Report {
        title: overview::title(&source),
        subtitle: overview::subtitle(&source),
        sections: sections.into_iter().filter(|section| !section.blocks.is_empty()).collect(),
        footnotes: notes.into_texts(),
        location: None,
    };
    mark(run, assessment, &mut report.sections);
    report
}

/// Says at each table of `sections` that its figures are not those of a whole, valid run, where `run`
/// is not one.
pub(super) fn mark(run: &Run, assessment: &Assessment, sections: &mut [Section]) {
    let Some(flag) = flag(run, assessment) else { return };
    let tone = if flag == INVALID { Tone::Bad } else { Tone::Warning };
    for block in sections.iter_mut().flat_map(|section| &mut section.blocks) {
        if let Block::Table(table) = block {
            let rest = table.caption.take().map(|caption| caption.0).unwrap_or_default();
            let mut marked = Text::emphasis(tone, flag);
            if !rest.is_empty() {
                marked = marked.plain(" · ");
            }
            marked.0.extend(rest);
            table.caption = Some(marked);
        }
    }
}

const INVALID: &str = "INVALID RUN";
const PARTIAL: &str = "partial run";

impl Source<'_> {
    fn plan(&self) -> &PlanRecord {
        &self.run.start.plan
    }

    fn load(&self) -> &LoadModel {
        &self.plan().load
    }

    fn summary(&self) -> &Summary {
        &self.assessment.summary
    }

    fn window(&self) -> MeasuredWindow {
        self.assessment.summary.window
    }

    fn is_valid(&self) -> bool {
        self.assessment.validity.is_valid()
    }

    fn flag(&self) -> Option<&'static str> {
        flag(self.run, self.assessment)
    }

    fn resources(&self, who: Observed) -> Resources {
        Resources::of(self.run, who, self.window(), self.summary().total.rps)
    }

    fn partial(&self) -> Option<String> {
        partial(self.run)
    }
}

/// What every table and chart is marked with, where the run is not valid or not whole.
fn flag(run: &Run, assessment: &Assessment) -> Option<&'static str> {
    if !assessment.validity.is_valid() { Some(INVALID) } else { partial(run).map(|_| PARTIAL) }
}

/// Why the run is not whole, where it is not.
fn partial(run: &Run) -> Option<String> {
    let lasted = |at: Duration| {
        format!(
            "after {} of the {} that were planned",
            format::duration(at),
            format::duration(run.start.plan.load.duration())
        )
    };
    let Some(end) = &run.end else {
        let last =
            run.intervals.last().map_or(Duration::ZERO, |last| last.end.since(Default::default()));
        return Some(format!("the run was killed; its records end {}", lasted(last)));
    };
    let lasted = lasted(end.at.since(Default::default()));
    match end.stop {
        Stop::Duration | Stop::Iterations | Stop::Budget => None,
        Stop::Interrupted => Some(format!("interrupted {lasted}")),
        Stop::Terminated => Some(format!("terminated {lasted}")),
        Stop::TargetEnded => Some(format!("ended {lasted}, when the target did")),
        Stop::Failed => Some(format!("ended by a failure inside gander {lasted}")),
    }
}
