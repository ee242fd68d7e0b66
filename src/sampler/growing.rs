//! A profile that grows slice by slice.

use std::time::Duration;

use crate::measure::resource::Observed;
use crate::measure::sample::Offset;
use crate::profile::{Counts, Folded, Missing, ProfileRecord, SamplerKind};

/// What a sampler brought in one go.
#[derive(Debug)]
pub struct Slice {
    /// When sampling began.
    pub from: Offset,
    /// How long it took.
    pub sampled: Duration,
    /// The stacks.
    pub folded: Folded,
    /// Samples without a stack.
    pub empty: u64,
    /// Samples that were lost, where the sampler says so.
    pub lost: Option<u64>,
}

/// A profile under way.
#[derive(Debug)]
pub struct Growing {
    record: ProfileRecord,
    folded: Folded,
    slices: u32,
}

impl Growing {
    /// A profile without samples.
    pub fn new(who: Observed, counts: Counts, sampler: SamplerKind, frequency: u32) -> Growing {
        let of = match who {
            Observed::Target => "target",
            Observed::Generator => "generator",
        };
        let kind = match counts {
            Counts::Cpu => "cpu",
            Counts::Wall => "wall",
        };
        let record = ProfileRecord {
            name: format!("{of}-{kind}"),
            who,
            counts,
            sampler,
            from: Offset::NEVER,
            to: Offset::default(),
            sampled: Duration::ZERO,
            frequency: f64::from(frequency),
            samples: 0,
            empty: 0,
            lost: None,
            notes: Vec::new(),
        };
        Growing { record, folded: Folded::default(), slices: 0 }
    }

    /// Adds a slice.
    pub fn add(&mut self, slice: Slice) {
        let record = &mut self.record;
        record.from = record.from.min(slice.from);
        record.to = record.to.max(slice.from + slice.sampled);
        record.sampled += slice.sampled;
        record.samples += slice.folded.total() + slice.empty;
        record.empty += slice.empty;
        // What one slice does not say is not known of the whole.
        record.lost = match self.slices {
            0 => slice.lost,
            _ => record.lost.zip(slice.lost).map(|(before, now)| before + now),
        };
        self.folded.merge(&slice.folded);
        self.slices += 1;
    }

    /// Adds a line that a reader must know; once.
    pub fn note(&mut self, line: String) {
        if !self.record.notes.contains(&line) {
            self.record.notes.push(line);
        }
    }

    /// Says which frequency it really was.
    pub fn frequency(&mut self, frequency: f64) {
        self.record.frequency = frequency;
    }

    /// Share of the samples that have no stack.
    pub fn empty_share(&self) -> f64 {
        self.record.empty as f64 / self.record.samples.max(1) as f64
    }

    /// The profile; `None` where no slice came.
    pub fn finish(self) -> Option<(ProfileRecord, Folded)> {
        (self.slices > 0).then_some((self.record, self.folded))
    }
}

/// What is said of `who` where the run ended before there was anything to sample.
pub fn not_begun(who: Observed, sampler: SamplerKind) -> Missing {
    let why = "not sampled: the run was over before its measured part began".to_owned();
    Missing { who, sampler: Some(sampler), why, mend: None }
}

/// What is said of the target where the run ended before there was a sample.
pub fn too_short(sampler: SamplerKind) -> Missing {
    Missing {
        who: Observed::Target,
        sampler: Some(sampler),
        why: "not sampled: the run was over before there was a sample".to_owned(),
        mend: Some("let the run last for 5 s or more".to_owned()),
    }
}
