//! May the figures of a run be trusted? An invalid run is reported in full and says why it is not.

use serde::{Deserialize, Serialize};

/// Whether a run's figures may be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Validity {
    /// Why not; a run without reasons is valid.
    pub reasons: Vec<String>,
}

impl Validity {
    /// Whether nothing speaks against the figures.
    pub fn is_valid(&self) -> bool {
        self.reasons.is_empty()
    }
}
