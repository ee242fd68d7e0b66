//! What a request is answered with.

use serde::{Deserialize, Serialize};

use super::classification::Sensitivity;

/// The answer to one question. Times are as the service states them: measured, divided by the time
/// scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub question: String,
    pub temporal_sensitivity: Sensitivity,
    pub is_eligible: bool,
    /// Why there are no snapshots, where there are none.
    pub skip_reason: Option<String>,
    pub snapshots: Vec<Snapshot>,
    pub evolution_narrative: Option<String>,
    pub insights: Vec<String>,
    pub change_velocity: Option<String>,
    pub future_outlook: Option<String>,
    /// US dollars spent on this answer: 0 where it came from the cache.
    pub total_cost: f64,
    pub total_time_seconds: f64,
    /// When it was given.
    pub timestamp: String,
    pub performance_breakdown: Breakdown,
    /// What failed on the way to it; such an answer is not kept in the cache.
    pub errors: Vec<Failed>,
    /// Whether it came from the cache.
    pub cached: bool,
    pub time_scale: f64,
}

/// The answer as of one point in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    pub date: String,
    pub date_label: String,
    pub answer: String,
    /// What changed since the snapshot before; none of the first.
    pub key_changes: Vec<String>,
    /// The words of the answer that hold a figure.
    pub data_points: Vec<String>,
    pub model_used: String,
    pub tokens_used: u64,
    /// US dollars.
    pub cost_estimate: f64,
    /// Of its call, without the wait for a place among the calls in flight.
    pub response_time_seconds: f64,
}

/// Where the time went, milliseconds: `total = classification + cache_lookup +
/// snapshot_generation + key_changes + narrative + overhead`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Breakdown {
    pub classification_ms: f64,
    pub cache_lookup_ms: f64,
    /// Each snapshot's call, in the order of the dates.
    pub snapshots: Vec<SnapshotTime>,
    /// All snapshots, from the first call to the last answer, waits between them included.
    pub snapshot_generation_ms: f64,
    pub key_changes_ms: f64,
    pub narrative_ms: f64,
    /// The service's own latency, and keeping the answer in the cache.
    pub overhead_ms: f64,
    pub total_ms: f64,
}

/// How long one snapshot took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SnapshotTime {
    pub date_label: String,
    pub ms: f64,
    /// Whether there is a snapshot.
    pub ok: bool,
}

/// A part of an answer that is missing, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failed {
    /// `snapshot`, `key_changes` or `narrative`.
    pub component: String,
    /// The snapshot's date label, or that of the later snapshot of a transition.
    pub date_label: Option<String>,
    pub error: String,
}

/// At most this many figures of an answer are named.
const DATA_POINTS: usize = 5;

/// The words of a text that hold a figure, the first few.
pub(super) fn data_points(text: &str) -> Vec<String> {
    let words = text.split_whitespace().filter(|word| word.contains(|c: char| c.is_ascii_digit()));
    let is_edge = |c: char| !c.is_alphanumeric() && !matches!(c, '%' | '$' | '€');
    words.map(|word| word.trim_matches(is_edge).to_owned()).take(DATA_POINTS).collect()
}
