//! Work that takes CPU time: real, of a known length, in functions that a profile names.

use std::hint::black_box;
use std::time::Duration;

use cpu_time::ThreadTime;
use serde::{Deserialize, Serialize};

/// Bytes worked on between two looks at the clock while computing: some tens of microseconds, so that
/// the clock costs little and the end is met closely.
const STRIDE: usize = 2_048;

/// CPU time of each request, by the function that spends it: what a profile of the service must find.
/// It comes before the latency, which stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CpuWork {
    /// In `tokenize`.
    #[serde(with = "crate::duration")]
    pub tokenize: Duration,
    /// In `embed`.
    #[serde(with = "crate::duration")]
    pub embed: Duration,
}

impl CpuWork {
    /// Whether there is none.
    pub(crate) fn is_none(&self) -> bool {
        *self == CpuWork::default()
    }

    /// Does it, on the calling thread.
    pub(crate) fn carry_out(&self, texts: &[String]) {
        tokenize(texts, self.tokenize);
        embed(texts, self.embed);
    }
}

/// Splits the texts into words and hashes these, over and over.
#[inline(never)]
fn tokenize(texts: &[String], time: Duration) {
    spend(texts.iter().map(String::as_str), time, |text| {
        let hash = |word: &str| {
            word.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            })
        };
        black_box(text.split_whitespace().map(hash).fold(0, u64::wrapping_add));
    });
}

/// Makes a vector of the texts, over and over.
#[inline(never)]
fn embed(texts: &[String], time: Duration) {
    let mut vector = [0.0_f32; 64];
    spend(texts.iter().map(String::as_str), time, |text| {
        for (place, byte) in text.bytes().enumerate() {
            let cell = &mut vector[place % 64];
            *cell = cell.mul_add(0.97, f32::from(byte));
        }
        black_box(&mut vector);
    });
}

/// Does `work` on one text after the other until the thread has spent `time` of CPU time.
pub(crate) fn spend<'t>(
    texts: impl Iterator<Item = &'t str> + Clone,
    time: Duration,
    mut work: impl FnMut(&'t str),
) {
    if time.is_zero() {
        return;
    }
    let started = ThreadTime::now();
    let mut done = 0;
    for text in texts.cycle() {
        work(text);
        done += text.len().max(1);
        if done >= STRIDE {
            if started.elapsed() >= time {
                return;
            }
            done = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_takes_the_threads_cpu_time_that_was_asked_for() {
        let work = CpuWork { tokenize: Duration::from_millis(14), embed: Duration::from_millis(6) };
        let started = ThreadTime::now();
        work.carry_out(&["a good table".to_owned()]);
        let spent = started.elapsed();
        assert!(spent >= Duration::from_millis(20), "{spent:?}");
        assert!(CpuWork::default().is_none() && !work.is_none());
    }
}
