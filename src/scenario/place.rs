//! Which iteration of a run one is.

/// Bits of an iteration's number in its scope: the scope's stand above them.
const SCOPE_SHIFT: u32 = 48;

/// Which iteration of a run one is: the scope of its scenario, and its number among the iterations of
/// that, from 0. Its rows follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IterationPlace {
    /// Where several scenarios run at once, which of them; else 0.
    pub scope: u16,
    /// Below 2^48.
    pub number: u64,
}

impl IterationPlace {
    /// A number that tells the iteration from all others of the run. Those of one scope follow each
    /// other, so that few ranges hold them; those of the first scope are the numbers themselves.
    pub fn id(self) -> u64 {
        (u64::from(self.scope) << SCOPE_SHIFT) | self.number
    }

    /// The numbers that iterations of `scope` can have: from, and up to (not in it).
    pub(super) fn ids(scope: u16) -> (u64, u64) {
        let first = IterationPlace { scope, number: 0 }.id();
        (first, first | ((1 << SCOPE_SHIFT) - 1))
    }
}
