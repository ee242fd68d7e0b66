//! Faults and latencies that are known by a name.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Burst, Faults, Kind, Rule};
use crate::latency::{Distribution, Latency};

/// A named set of latency and faults, from harmless to hostile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Quick answers, no faults.
    Silent,
    /// 2% refusals.
    Gentle,
    /// What a hosted model does on an ordinary day: refusals, slow answers, bursts each minute.
    Realistic,
    /// One request in five refused, long bursts: for clients that adapt their rate.
    StressAimd,
    /// A third refused, answers damaged, bursts most of the time.
    StressExtreme,
    /// Nearly everything that can go wrong.
    Chaos,
}

/// What a preset stands for: latency in milliseconds, faults in percent of the requests, and bursts.
struct Terms {
    latency: (u64, u64),
    faults: &'static [(Kind, f64)],
    /// Every so many seconds, for so many seconds, percent of 429, percent of 529.
    burst: Option<(u64, u64, f64, f64)>,
}

/// How long a slow answer of a preset is held back.
const SLOW: Duration = Duration::from_secs(2);

impl Preset {
    /// All presets.
    pub const ALL: [Preset; 6] = [
        Preset::Silent,
        Preset::Gentle,
        Preset::Realistic,
        Preset::StressAimd,
        Preset::StressExtreme,
        Preset::Chaos,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Silent => "silent",
            Preset::Gentle => "gentle",
            Preset::Realistic => "realistic",
            Preset::StressAimd => "stress-aimd",
            Preset::StressExtreme => "stress-extreme",
            Preset::Chaos => "chaos",
        }
    }

    fn terms(self) -> Terms {
        match self {
            Preset::Silent => Terms { latency: (10, 5), faults: &[], burst: None },
            Preset::Gentle => Terms {
                latency: (50, 20),
                faults: &[
                    (Kind::Status(429), 1.0),
                    (Kind::Status(529), 0.5),
                    (Kind::Status(503), 0.5),
                ],
                burst: None,
            },
            Preset::Realistic => Terms {
                latency: (100, 50),
                faults: &[
                    (Kind::Status(429), 5.0),
                    (Kind::Status(529), 2.0),
                    (Kind::Status(503), 0.5),
                    (Kind::Slow, 1.0),
                    (Kind::Hang, 0.2),
                ],
                burst: Some((60, 5, 50.0, 30.0)),
            },
            Preset::StressAimd => Terms {
                latency: (30, 15),
                faults: &[
                    (Kind::Status(429), 15.0),
                    (Kind::Status(529), 5.0),
                    (Kind::Status(503), 2.0),
                    (Kind::Status(500), 0.5),
                    (Kind::Slow, 0.5),
                ],
                burst: Some((30, 5, 80.0, 50.0)),
            },
            Preset::StressExtreme => Terms {
                latency: (10, 5),
                faults: &[
                    (Kind::Status(429), 20.0),
                    (Kind::Status(529), 10.0),
                    (Kind::Status(503), 3.0),
                    (Kind::Status(500), 5.0),
                    (Kind::InvalidJson, 3.0),
                    (Kind::Truncated, 2.0),
                ],
                burst: Some((15, 5, 90.0, 70.0)),
            },
            Preset::Chaos => {
                Terms { latency: (100, 100), faults: CHAOS, burst: Some((20, 8, 90.0, 70.0)) }
            }
        }
    }

    /// Its latency: the base; a service's own terms per item and per token are not touched by it.
    pub fn latency(self) -> Latency {
        let (mean, jitter) = self.terms().latency;
        let ms = Duration::from_millis;
        Latency::of(Distribution::Uniform { low: ms(mean - jitter), high: ms(mean + jitter) })
    }

    /// Its faults.
    pub fn faults(self) -> Faults {
        let Terms { faults, burst, .. } = self.terms();
        let delay = |kind| match kind {
            Kind::Slow | Kind::SlowDrip => Some(SLOW),
            _ => None,
        };
        let mut rules: Vec<Rule> = faults
            .iter()
            .map(|(kind, percent)| Rule {
                delay: delay(*kind),
                ..Rule::at_rate(*kind, percent / 100.0)
            })
            .collect();
        if let Some((every, length, rate_limited, overloaded)) = burst {
            let secs = Duration::from_secs;
            let burst = Some(Burst { every: secs(every), length: secs(length) });
            for (kind, percent) in
                [(Kind::Status(429), rate_limited), (Kind::Status(529), overloaded)]
            {
                rules.push(Rule { burst, ..Rule::at_rate(kind, percent / 100.0) });
            }
        }
        Faults { rules }
    }
}

const CHAOS: &[(Kind, f64)] = &[
    (Kind::Status(429), 6.25),
    (Kind::Status(529), 3.125),
    (Kind::Status(503), 1.875),
    (Kind::Status(500), 1.25),
    (Kind::Status(502), 0.625),
    (Kind::Status(504), 0.625),
    (Kind::Status(403), 0.625),
    (Kind::Status(404), 0.625),
    (Kind::Slow, 1.25),
    (Kind::SlowDrip, 0.625),
    (Kind::Hang, 0.625),
    (Kind::Stall, 0.625),
    (Kind::Reset, 0.625),
    (Kind::HalfHeader, 0.625),
    (Kind::HalfBody, 0.625),
    (Kind::EarlyEof, 0.625),
    (Kind::InvalidJson, 1.25),
    (Kind::Truncated, 0.625),
    (Kind::Empty, 0.625),
    (Kind::MissingFields, 0.625),
    (Kind::WrongContentType, 0.625),
    (Kind::InvalidUtf8, 0.625),
    (Kind::BrokenSse, 0.625),
];

impl std::str::FromStr for Preset {
    type Err = String;

    fn from_str(name: &str) -> Result<Preset, String> {
        Preset::ALL.into_iter().find(|preset| preset.name() == name).ok_or_else(|| {
            let known: Vec<String> =
                Preset::ALL.iter().map(|preset| format!("`{}`", preset.name())).collect();
            format!("unknown variant `{name}`, expected one of {}", known.join(", "))
        })
    }
}
