//! What the target used beside what it may use where it is deployed, and how many replicas that
//! makes.

use serde::Serialize;

use crate::measure::resource::Limits;
use crate::scenario::sizing::Sizing;

/// From this share of a limit on, little is left of it.
const NEAR: f64 = 0.8;
/// Less than this is no replica more: a whole number that arithmetic has made a little larger.
const ROUNDING: f64 = 1e-9;

/// What one replica used in the measured part. `None` was not measured.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Used {
    /// Processors, mean and peak.
    pub cpus: (Option<f64>, Option<f64>),
    /// Memory.
    pub memory: Memory,
    /// What the system lets it use.
    pub limits: Option<Limits>,
}

/// Memory that a process tree used, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Memory {
    /// Mean of all looks.
    pub mean_bytes: Option<f64>,
    /// The most at any look.
    pub peak_bytes: Option<f64>,
    /// Whether it may be less: pages that processes share count for each.
    pub is_at_most: bool,
}

/// What is sized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// In processors.
    Cpu,
    /// In bytes.
    Memory,
}

/// One resource: what was chosen, and what was used. `None` was not chosen, or not measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sized {
    /// Which.
    pub resource: Resource,
    /// What is set aside.
    pub request: Option<f64>,
    /// What may be used at most: the scenario's choice, or else that of its control group.
    pub limit: Option<f64>,
    /// Whether the limit is that of the control group.
    pub is_of_group: bool,
    /// Mean of the measured part.
    pub mean: Option<f64>,
    /// Peak of the measured part.
    pub peak: Option<f64>,
    /// Whether both may be less: memory of several processes, of which shared pages count for each.
    pub is_at_most: bool,
    /// Limit less peak; below 0 beyond the limit.
    pub headroom: Option<f64>,
    /// What that means.
    pub word: Word,
    /// Mean over request.
    pub utilization: Option<f64>,
    /// The share of the request that is to be used.
    pub target: Option<f64>,
    /// Replicas at which that share would be used: [`replicas`].
    pub replicas: Option<u32>,
}

/// How what was used stands to what was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// The peak is above the limit.
    BeyondLimit,
    /// The most that the peak can be is above the limit.
    MayBeBeyond,
    /// The peak is at 80% of the limit or more.
    NearLimit,
    /// The mean is above the request: it lives off what others leave.
    AboveRequest,
    /// Neither.
    Within,
    /// There is nothing to compare.
    Unknown,
}

/// Replicas at which each would use the share `target` of its request, where `replicas` use the share
/// `utilization`: `ceil(replicas * utilization / target)`, at least 1. Source: the algorithm of
/// Kubernetes' Horizontal Pod Autoscaler, without its tolerance and its windows.
pub fn replicas(replicas: u32, utilization: f64, target: f64) -> u32 {
    let wanted = f64::from(replicas) * utilization / target;
    // Saturates where it is no sensible number.
    ((wanted - ROUNDING).ceil() as u32).max(1)
}

/// CPU and memory of one replica that used `used`.
pub fn size(sizing: &Sizing, used: &Used) -> [Sized; 2] {
    let group = used.limits.unwrap_or_default();
    let sized = |resource,
                 request: Option<f64>,
                 limit: Option<f64>,
                 group: Option<f64>,
                 (mean, peak, is_at_most),
                 target| {
        let (is_of_group, limit) = (limit.is_none() && group.is_some(), limit.or(group));
        let utilization = of(mean, request);
        Sized {
            resource,
            request,
            limit,
            is_of_group,
            mean,
            peak,
            is_at_most,
            headroom: Option::zip(limit, peak).map(|(limit, peak): (f64, f64)| limit - peak),
            word: word(of(peak, limit), utilization, is_at_most),
            utilization,
            target,
            replicas: Option::zip(utilization, target)
                .map(|(share, target)| replicas(sizing.replicas, share, target)),
        }
    };
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    let (request, limit, target) = (sizing.request, sizing.limit, sizing.target);
    let (mean, peak) = used.cpus;
    let cpus = (mean, peak, false);
    let memory = (used.memory.mean_bytes, used.memory.peak_bytes, used.memory.is_at_most);
    [
        sized(Resource::Cpu, request.cpus, limit.cpus, group.cpus, cpus, target.cpu),
        sized(
            Resource::Memory,
            bytes(request.memory_bytes),
            bytes(limit.memory_bytes),
            bytes(group.memory_bytes),
            memory,
            target.memory,
        ),
    ]
}

fn of(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    Some(part? / whole?)
}

fn word(of_limit: Option<f64>, of_request: Option<f64>, is_at_most: bool) -> Word {
    match (of_limit, of_request) {
        (Some(share), _) if share > 1.0 && is_at_most => Word::MayBeBeyond,
        (Some(share), _) if share > 1.0 => Word::BeyondLimit,
        (Some(share), _) if share >= NEAR => Word::NearLimit,
        (_, Some(share)) if share > 1.0 => Word::AboveRequest,
        (None, None) => Word::Unknown,
        _ => Word::Within,
    }
}

/// The most replicas that a resource asks for, as far as there may be so many; and how many it asks
/// for.
pub fn desired(sizing: &Sizing, sized: &[Sized]) -> Option<(u32, u32)> {
    let wanted = sized.iter().filter_map(|one| one.replicas).max()?;
    Some((wanted.min(sizing.max_replicas.unwrap_or(wanted)), wanted))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scenario::sizing::{Amounts, Targets};

    const MI: f64 = 1_048_576.0;

    /// S1-11.
    #[test]
    fn twice_the_replicas_where_one_is_full_and_70_percent_are_wanted() {
        assert_eq!(replicas(1, 1.0, 0.7), 2);
        assert_eq!(replicas(2, 0.7, 0.7), 2, "as it is wanted");
        assert_eq!(replicas(3, 0.1 + 0.2, 0.3), 3, "rounding is no replica");
        assert_eq!([replicas(3, 0.35, 0.7), replicas(5, 0.0, 0.7)], [2, 1]);
        assert_eq!(replicas(1, 0.81, 0.8), 2);
    }

    fn sizing() -> Sizing {
        Sizing {
            request: Amounts { cpus: Some(0.3), memory_bytes: Some(384 << 20) },
            limit: Amounts { cpus: Some(0.75), memory_bytes: Some(768 << 20) },
            replicas: 1,
            max_replicas: Some(5),
            target: Targets { cpu: Some(0.7), memory: Some(0.8) },
        }
    }

    fn just(bytes: f64) -> Memory {
        Memory { mean_bytes: Some(bytes), peak_bytes: Some(bytes), is_at_most: false }
    }

    #[test]
    fn memory_that_may_be_less_is_not_said_to_be_beyond() {
        let used = |memory| Used { memory, ..Used::default() };
        let word = |memory| size(&sizing(), &used(memory))[1].word;
        let at_most = Memory { is_at_most: true, ..just(1157.0 * MI) };
        assert_eq!(word(just(1157.0 * MI)), Word::BeyondLimit);
        assert_eq!(word(at_most), Word::MayBeBeyond);
        assert_eq!(word(Memory { peak_bytes: Some(300.0 * MI), ..at_most }), Word::AboveRequest);
    }

    /// S1-10.
    #[test]
    fn use_beyond_near_and_within_what_was_chosen() {
        let word = |cpu: f64, memory: f64| {
            let used =
                Used { cpus: (Some(cpu), Some(cpu)), memory: just(memory * MI), limits: None };
            size(&sizing(), &used).map(|sized| sized.word)
        };
        assert_eq!(word(0.2, 300.0), [Word::Within, Word::Within]);
        assert_eq!(word(0.4, 400.0), [Word::AboveRequest, Word::AboveRequest]);
        assert_eq!(word(0.61, 768.0), [Word::NearLimit, Word::NearLimit]);
        assert_eq!(word(0.76, 769.0), [Word::BeyondLimit, Word::BeyondLimit]);
    }

    #[test]
    fn the_resource_that_wants_most_decides_up_to_the_most_there_may_be() {
        let used = |cpu: f64| Used {
            cpus: (Some(cpu), Some(cpu)),
            memory: just(384.0 * MI),
            limits: None,
        };
        let of = |cpu| desired(&sizing(), &size(&sizing(), &used(cpu)));
        assert_eq!(of(0.1), Some((2, 2)), "memory");
        assert_eq!(of(0.6), Some((3, 3)), "processors");
        assert_eq!(of(3.0), Some((5, 15)), "more than there may be");
    }

    #[test]
    fn what_was_not_measured_or_chosen_has_no_word_and_the_group_limits_where_nobody_chose() {
        let nothing = size(&Sizing { replicas: 1, ..Sizing::default() }, &Used::default());
        assert_eq!(nothing.map(|one| one.word), [Word::Unknown; 2]);
        assert_eq!(desired(&sizing(), &size(&sizing(), &Used::default())), None);
        let limits = Limits { cpus: Some(2.0), ..Limits::default() };
        let used = Used { cpus: (Some(0.5), Some(1.0)), limits: Some(limits), ..Used::default() };
        let [cpu, memory] = size(&Sizing { replicas: 1, ..Sizing::default() }, &used);
        assert_eq!((cpu.limit, cpu.is_of_group, cpu.headroom), (Some(2.0), true, Some(1.0)));
        assert_eq!((memory.limit, memory.is_of_group), (None, false));
    }

    proptest! {
        #[test]
        fn at_the_desired_count_the_target_is_kept_and_one_less_would_break_it(
            n in 1u32..50,
            share in 0.01f64..3.0,
            target in 0.1f64..1.0,
        ) {
            let wanted = replicas(n, share, target);
            let used = f64::from(n) * share;
            prop_assert!(used / f64::from(wanted) <= target * (1.0 + 1e-6));
            prop_assert!(wanted == 1 || used / f64::from(wanted - 1) > target * (1.0 - 1e-6));
        }
    }
}
