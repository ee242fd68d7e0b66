//! gander's own profile, sampled from inside.

use mock_server::profiler::{Profiler, prime};

use crate::measure::resource::Observed;
use crate::profile::{Counts, Folded, Missing, Profiles, SamplerKind};

use super::growing::{Growing, Slice, not_begun};
use super::span::Span;

/// Times that the rate which came may differ from the one that was asked for without a word.
const SAME_RATE: f64 = 1.15;

/// Samples from which a rate can be told to such a degree.
const ENOUGH: u64 = 200;

/// Makes this process ready to be sampled. To be called before load begins.
pub fn make_ready() {
    prime();
}

/// Samples this process while `span` lasts.
pub fn sample(span: &Span, frequency: u32) -> Profiles {
    let mut profiles = Profiles::default();
    if !span.begins() {
        profiles.missing.push(not_begun(Observed::Generator, SamplerKind::InProcess));
        return profiles;
    }
    let from = span.now();
    let sampled = Profiler::start(frequency).and_then(|profiler| {
        while let Some(left) = span.left() {
            span.wait(left, || true);
        }
        let sampled = span.now().since(from);
        Ok((sampled, profiler.finish()?))
    });
    let (sampled, profile) = match sampled {
        Ok(sampled) => sampled,
        Err(refused) => {
            profiles.missing.push(Missing {
                who: Observed::Generator,
                sampler: Some(SamplerKind::InProcess),
                why: refused.to_string(),
                mend: None,
            });
            return profiles;
        }
    };
    let mut growing =
        Growing::new(Observed::Generator, Counts::Cpu, SamplerKind::InProcess, frequency);
    let mut folded = Folded::default();
    profile.stacks().into_iter().for_each(|(stack, times)| folded.add(stack, times));
    let rate = profile.effective().and_then(|rate| other_rate(frequency, rate, profile.samples()));
    rate.into_iter().for_each(|note| growing.note(note));
    growing.add(Slice { from, sampled, folded, empty: profile.empty(), lost: None });
    profiles.taken.extend(growing.finish());
    profiles
}

/// A line where another rate came than was asked for, as far as `samples` can tell.
pub fn other_rate(asked: u32, came: f64, samples: u64) -> Option<String> {
    let ratio = f64::from(asked) / came;
    (samples >= ENOUGH && !(1.0 / SAME_RATE..SAME_RATE).contains(&ratio)).then(|| {
        format!("{asked} samples a second of CPU time were asked for; the system gave {came:.0}")
    })
}
