//! What a target may use where it is deployed: requests and limits as Kubernetes has them, and how
//! full its replicas are to be.

use serde::{Deserialize, Serialize};

/// What was chosen for one replica of the target.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sizing {
    /// What is set aside for it.
    pub request: Amounts,
    /// What it may use at most.
    pub limit: Amounts,
    /// Replicas that share the load, of which one is measured.
    pub replicas: u32,
    /// Most replicas there may be.
    pub max_replicas: Option<u32>,
    /// How much of its request a replica is to use, as a share: 0.7 is 70%.
    pub target: Targets,
}

/// Amounts of what is limited. `None` is not chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Amounts {
    /// Processors.
    pub cpus: Option<f64>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
}

/// Shares of a request. `None` is not chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Targets {
    /// Of processors.
    pub cpu: Option<f64>,
    /// Of memory.
    pub memory: Option<f64>,
}

/// Units of memory, the longer ones first: `Mi` ends in no other.
const UNITS: [(&str, f64); 9] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("", 1.0),
];

/// Processors of `300m` (thousandths), `1.5` or `2`. `None` for anything else, and for nothing.
pub fn cpus(text: &str) -> Option<f64> {
    match text.strip_suffix('m') {
        Some(thousandths) => positive(thousandths).map(|number| number / 1e3),
        None => positive(text),
    }
}

/// Bytes of `384Mi`, `1.5Gi`, `512M` or `1000000`. `None` for anything else, and for nothing.
pub fn memory(text: &str) -> Option<u64> {
    let (number, factor) =
        UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let bytes = positive(number)? * factor;
    (1.0..=9e18).contains(&bytes).then_some(bytes.round() as u64)
}

/// The share that `70%` is. `None` for anything else, and for nothing.
pub fn share(text: &str) -> Option<f64> {
    positive(text.strip_suffix('%')?).map(|percent| percent / 100.0)
}

fn positive(text: &str) -> Option<f64> {
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.parse::<f64>().ok().filter(|number| is_plain && *number > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_those_of_kubernetes() {
        assert_eq!([cpus("300m"), cpus("1.5"), cpus("2")], [Some(0.3), Some(1.5), Some(2.0)]);
        assert_eq!(memory("384Mi"), Some(384 << 20));
        assert_eq!(memory("1.5Gi"), Some(3 << 29));
        assert_eq!([memory("512M"), memory("64")], [Some(512_000_000), Some(64)]);
        assert_eq!([share("70%"), share("120%")], [Some(0.7), Some(1.2)]);
        for wrong in ["", "m", "0", "0m", "-1", "1e3", "300M", "inf", "NaN", "1 m"] {
            assert_eq!(cpus(wrong), None, "{wrong}");
        }
        for wrong in ["", "Mi", "0Mi", "384MB", "384MiB", "1 Gi", "-5M", "0.1", "inf"] {
            assert_eq!(memory(wrong), None, "{wrong}");
        }
        for wrong in ["", "70", "%", "0%", "-1%"] {
            assert_eq!(share(wrong), None, "{wrong}");
        }
    }
}
