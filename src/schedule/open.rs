//! Open load: when iterations are due, as a pure function of the load and the seed.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rate::RateStage;

/// When iterations are due in the open model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Rates over time.
    Rates {
        /// At least one stage.
        stages: Vec<RateStage>,
        /// How arrivals are spread at a rate.
        spread: Spread,
    },
    /// At recorded moments.
    Recorded(Recorded),
}

/// How arrivals are spread at a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// Evenly: one after each 1/rate.
    #[default]
    Constant,
    /// Independently of each other: a Poisson process, drawn from the seed.
    Poisson,
}

impl Spread {
    /// The name in options, files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Spread::Constant => "constant",
            Spread::Poisson => "poisson",
        }
    }
}

/// Arrivals that were recorded elsewhere. What is saved of them is how many there are in each
/// second: a run folder does not grow with the number of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Where they were read from, as given.
    pub file: String,
    /// How many times as fast as recorded they are replayed.
    pub speed: f64,
    /// Since the start, in rising order, at least one; empty where read back from a run folder.
    #[serde(skip)]
    pub moments: Arc<[Duration]>,
    /// How many there are in each second from the start on.
    pub per_second: Vec<u32>,
}

impl Recorded {
    /// Arrivals at `moments` (rising), `speed` (more than 0) times as fast.
    pub fn new(file: String, moments: &[Duration], speed: f64) -> Recorded {
        let moments: Arc<[Duration]> = moments.iter().map(|at| at.div_f64(speed)).collect();
        let mut per_second = Vec::new();
        for moment in moments.iter() {
            let second = moment.as_secs() as usize;
            if per_second.len() <= second {
                per_second.resize(second + 1, 0);
            }
            per_second[second] += 1;
        }
        Recorded { file, speed, moments, per_second }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.per_second.iter().map(|count| u64::from(*count)).sum()
    }

    /// How many there are at least, and at most, before `moment`: the same number where moments are
    /// known; else those of the seconds that were over, and of those that had begun.
    fn before(&self, moment: Duration) -> RangeInclusive<u64> {
        if !self.moments.is_empty() {
            let known = self.moments.partition_point(|at| *at < moment) as u64;
            return known..=known;
        }
        let whole = moment.as_secs() as usize;
        let has_begun = usize::from(moment.subsec_nanos() > 0);
        let first = |n: usize| self.per_second.iter().take(n).map(|n| u64::from(*n)).sum::<u64>();
        first(whole)..=first(whole + has_begun)
    }
}

/// Open load: iterations start when they are due, whether earlier ones have ended or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenLoad {
    /// When they are due.
    pub arrivals: Arrivals,
    /// From the start to the end, warm-up and cool-down included: none is due later.
    pub duration: Duration,
    /// At the start, recorded apart.
    pub warm_up: Duration,
    /// At the end, recorded apart.
    pub cool_down: Duration,
    /// The run ends after this many iterations, dropped ones included, if that is before its time is
    /// over.
    pub iterations: Option<u64>,
    /// Most iterations at the same time; what is due beyond them is dropped, and recorded as such.
    pub max_in_flight: u32,
    /// How long requests in flight may take to end once no more are started.
    pub drain: Duration,
}

impl OpenLoad {
    /// When each iteration is due, since the start, in rising order; the same for the same seed.
    ///
    /// With a rate r(t), let L(t) be its integral from 0 to t. Constant: arrival k (from 0) is due
    /// when L(t) = k, each computed from k alone, so that no error adds up. Poisson: when L(t) is the
    /// k-th arrival of a Poisson process of rate 1, whose gaps are independent and exponential with
    /// mean 1; this change of time makes of it the process of rate r(t) (Çinlar, "Introduction to
    /// Stochastic Processes", 1975, section 4.7). As rates are linear between the borders of stages,
    /// L is inverted exactly.
    pub fn arrivals(&self, seed: u64) -> impl Iterator<Item = Duration> + Send + use<> {
        let end = self.duration;
        let most = self.iterations.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let due: Box<dyn Iterator<Item = Duration> + Send> = match &self.arrivals {
            Arrivals::Recorded(Recorded { moments, .. }) => {
                let moments = Arc::clone(moments);
                Box::new((0..moments.len()).map(move |index| moments[index]))
            }
            Arrivals::Rates { stages, spread } => {
                let places: Box<dyn Iterator<Item = f64> + Send> = match spread {
                    Spread::Constant => Box::new((0u64..).map(|k| k as f64)),
                    Spread::Poisson => Box::new(unit_poisson(seed)),
                };
                let mut curve = Curve::of(stages);
                Box::new(places.map_while(move |place| curve.reaches(place)))
            }
        };
        due.take_while(move |due| *due < end).take(most)
    }

    /// Arrivals that are due before `moment`: at least, and at most. The two differ for recorded
    /// arrivals of a run that was read back, of which it is known only how many each second has.
    pub fn due_before(&self, moment: Duration, seed: u64) -> RangeInclusive<u64> {
        match &self.arrivals {
            Arrivals::Recorded(recorded) => {
                let most = self.iterations.unwrap_or(u64::MAX);
                let (from, to) = recorded.before(moment.min(self.duration)).into_inner();
                from.min(most)..=to.min(most)
            }
            Arrivals::Rates { .. } => {
                let due = self.arrivals(seed).take_while(|due| *due < moment).count() as u64;
                due..=due
            }
        }
    }

    /// Arrivals per second that are planned on average between two moments, as far as the load's time
    /// goes: the integral of the rate, whatever a Poisson process makes of it; recorded arrivals are
    /// taken to be spread evenly over each second. `None` where there is no time between them.
    pub fn planned_rate(&self, from: Duration, to: Duration) -> Option<f64> {
        let length = to.checked_sub(from).filter(|length| !length.is_zero())?;
        let up_to = |moment: Duration| {
            let moment = moment.min(self.duration).as_secs_f64();
            match &self.arrivals {
                Arrivals::Rates { stages, .. } => {
                    Curve::of(stages).pieces.map(|piece| piece.within(moment)).sum::<f64>()
                }
                Arrivals::Recorded(Recorded { per_second, .. }) => {
                    let seconds = (0..).zip(per_second);
                    seconds
                        .map(|(at, n)| f64::from(*n) * (moment - f64::from(at)).clamp(0.0, 1.0))
                        .sum()
                }
            }
        };
        Some((up_to(to) - up_to(from)) / length.as_secs_f64())
    }
}

/// Arrivals of a Poisson process of rate 1.
fn unit_poisson(seed: u64) -> impl Iterator<Item = f64> + Send {
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut at = 0.0;
    std::iter::repeat_with(move || {
        // From (0, 1]: the logarithm of 0 is no number.
        let uniform = 1.0 - generator.random::<f64>();
        at -= uniform.ln();
        at
    })
}

/// The integral of a rate over time, to be inverted at rising values.
struct Curve {
    pieces: std::vec::IntoIter<Piece>,
    now: Option<Piece>,
}

/// A time in which the rate is linear.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// In seconds since the start.
    begin: f64,
    /// In seconds, more than 0.
    length: f64,
    /// At the beginning and at the end.
    rate: f64,
    end_rate: f64,
    /// The integral from the start to the beginning of this piece.
    before: f64,
}

impl Curve {
    fn of(stages: &[RateStage]) -> Curve {
        let (mut pieces, mut rate) = (Vec::new(), 0.0);
        let (mut begin, mut before) = (Duration::ZERO, 0.0);
        for stage in stages {
            let to = stage.rate.per_second;
            for (length, rate, end_rate) in [(stage.ramp, rate, to), (stage.hold, to, to)] {
                if !length.is_zero() {
                    let piece = Piece {
                        begin: begin.as_secs_f64(),
                        length: length.as_secs_f64(),
                        rate,
                        end_rate,
                        before,
                    };
                    begin += length;
                    before = piece.after();
                    pieces.push(piece);
                }
            }
            rate = to;
        }
        Curve { pieces: pieces.into_iter(), now: None }
    }

    /// The last moment at which the integral is `value`; `None` where it never gets beyond it.
    fn reaches(&mut self, value: f64) -> Option<Duration> {
        while self.now.is_none_or(|piece| piece.after() <= value) {
            self.now = Some(self.pieces.next()?);
        }
        let piece = self.now?;
        let nanoseconds = (piece.begin + piece.until(value - piece.before)) * 1e9;
        Some(Duration::from_nanos(nanoseconds.round() as u64))
    }
}

impl Piece {
    /// The integral over what of this piece is before `moment`, in seconds since the start.
    fn within(&self, moment: f64) -> f64 {
        let passed = (moment - self.begin).clamp(0.0, self.length);
        let slope = (self.end_rate - self.rate) / self.length;
        passed * (self.rate + slope * passed / 2.0)
    }

    /// The integral from the start to the end of this piece.
    fn after(&self) -> f64 {
        self.before + (self.rate + self.end_rate) / 2.0 * self.length
    }

    /// Seconds from the beginning of this piece until its integral is `value`: the root of
    /// r t + a/2 t² = value, written so that nothing cancels out, whichever sign a has.
    fn until(&self, value: f64) -> f64 {
        let slope = (self.end_rate - self.rate) / self.length;
        let root = (self.rate * self.rate + 2.0 * slope * value).max(0.0).sqrt();
        let sum = self.rate + root;
        if sum > 0.0 { (2.0 * value / sum).min(self.length) } else { 0.0 }
    }
}
