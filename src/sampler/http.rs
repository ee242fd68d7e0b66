//! The target's own profile over HTTP, in slices, so that a run of unknown length can end.

use std::time::Duration;

use mock_server::pprof_route::EFFECTIVE;
use reqwest::{Client, Response, StatusCode};
use tokio::runtime::Runtime;
use url::Url;

use crate::measure::resource::Observed;
use crate::profile::pprof::{Meta, decode};
use crate::profile::{Folded, Missing, Profiles, SamplerKind, USUAL_PLACE};

use super::growing::{Growing, Slice, not_begun, too_short};
use super::in_process::other_rate;
use super::span::Span;

/// Lengths of the first slices in seconds; the last is that of all others. Short ones first: a short
/// run is to have something.
const SLICES: [u64; 3] = [1, 2, 5];
/// A path that is not there is refused within this time. One that is there begins to sample.
const REFUSED_WITHIN: Duration = Duration::from_millis(300);
/// How long an answer may take beyond the time that was asked for: names are looked up then.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// How long a profile of somebody else's may be in the way, or the one that the probe began.
const BUSY_FOR: Duration = Duration::from_secs(3);
/// Between two questions whether it still is.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How long a slice may go on once the run is over. The first is no longer, so that it is never lost.
const LONGER: Duration = Duration::from_secs(1);
/// Largest answer that is read, in bytes.
const LARGEST: usize = 64 << 20;

/// A place where a target's profile can be had.
#[derive(Debug)]
pub struct Endpoint {
    url: Url,
    client: Client,
    runtime: Runtime,
}

/// Why a slice did not come.
enum Failed {
    /// Another profile is being taken.
    Busy(String),
    /// The run was over long before its end.
    CutOff,
    Other(String),
}

impl Endpoint {
    /// The profile at `place`, a path of the service at `base` or a whole URL.
    ///
    /// # Errors
    ///
    /// `place` is neither, or the system gives no client.
    pub fn new(base: &Url, place: Option<&str>) -> Result<Endpoint, Missing> {
        let text = place.unwrap_or(USUAL_PLACE);
        let failed = |error: &dyn std::fmt::Display| missing(format!("{text}: {error}"));
        let url = base.join(text).map_err(|e| failed(&e))?;
        let policy = reqwest::redirect::Policy::none();
        let client = Client::builder().no_proxy().redirect(policy).build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Endpoint {
            url,
            client: client.map_err(|e| failed(&e))?,
            runtime: runtime.map_err(|e| failed(&e))?,
        })
    }

    /// Whether a profile can be had there. It is not waited for.
    pub fn answers(&self) -> bool {
        self.runtime.block_on(async {
            let asked = self.client.get(self.at(1, 99)).send();
            match tokio::time::timeout(REFUSED_WITHIN, asked).await {
                Ok(answer) => answer.is_ok_and(|answer| answer.status().is_success()),
                Err(_) => true,
            }
        })
    }

    fn at(&self, seconds: u64, frequency: u32) -> Url {
        let mut url = self.url.clone();
        url.query_pairs_mut()
            .append_pair("seconds", &seconds.to_string())
            .append_pair("frequency", &frequency.to_string());
        url
    }

    /// Samples the target while `span` lasts.
    pub fn sample(&self, span: &Span, frequency: u32) -> Profiles {
        let mut profiles = Profiles::default();
        if !span.begins() {
            profiles.missing.push(not_begun(Observed::Target, SamplerKind::Http));
            return profiles;
        }
        let mut growing: Option<Growing> = None;
        let mut lengths = SLICES.iter().chain(SLICES.last().into_iter().cycle());
        let mut busy_for = Duration::ZERO;
        while let Some(left) = span.left() {
            let longest = lengths.next().copied().unwrap_or(1);
            let seconds = left.as_secs().min(longest);
            if seconds == 0 && growing.is_some() {
                break;
            }
            let seconds = seconds.max(1);
            match self.slice(span, seconds, frequency) {
                Ok((slice, meta, rate)) => {
                    let growing = growing.get_or_insert_with(|| {
                        Growing::new(Observed::Target, meta.counts, SamplerKind::Http, frequency)
                    });
                    match (rate, meta.period) {
                        (Some(rate), _) => {
                            let samples = slice.folded.total() + slice.empty;
                            let note = other_rate(frequency, rate, samples);
                            note.into_iter().for_each(|note| growing.note(note));
                        }
                        (None, Some(period)) if !period.is_zero() => {
                            growing.frequency(1.0 / period.as_secs_f64());
                        }
                        _ => {}
                    }
                    growing.add(slice);
                }
                Err(Failed::Busy(_)) if busy_for < BUSY_FOR => {
                    busy_for += span.wait(ASK_AGAIN, || true);
                }
                Err(Failed::CutOff) => break,
                Err(Failed::Busy(why) | Failed::Other(why)) => {
                    let why = format!("{}: {why}", self.url);
                    match &mut growing {
                        Some(growing) => growing.note(format!("it broke off: {why}")),
                        None => profiles.missing.push(missing(why)),
                    }
                    break;
                }
            }
        }
        profiles.taken.extend(growing.and_then(Growing::finish));
        if profiles.taken.is_empty() && profiles.missing.is_empty() {
            profiles.missing.push(too_short(SamplerKind::Http));
        }
        profiles
    }

    fn slice(
        &self,
        span: &Span,
        seconds: u64,
        frequency: u32,
    ) -> Result<(Slice, Meta, Option<f64>), Failed> {
        let from = span.now();
        let whole = Duration::from_secs(seconds) + ANSWERS_WITHIN;
        let other = |error: &dyn std::fmt::Display| Failed::Other(error.to_string());
        let answer = async {
            let asked = self.client.get(self.at(seconds, frequency)).timeout(whole).send();
            let answer = asked.await.map_err(|e| other(&e.without_url()))?;
            let rate = answer.headers().get(EFFECTIVE).and_then(|rate| rate.to_str().ok());
            let rate = rate.and_then(|rate| rate.parse().ok());
            Ok((body(answer).await?, rate))
        };
        let until = from + Duration::from_secs(seconds);
        let (bytes, rate) = self.runtime.block_on(async {
            tokio::select! {
                answer = answer => answer,
                () = span.is_cut_off(until, LONGER) => Err(Failed::CutOff),
            }
        })?;
        let (folded, meta): (Folded, Meta) = decode(&bytes).map_err(|e| other(&e))?;
        let sampled = meta.duration.unwrap_or(Duration::from_secs(seconds));
        Ok((Slice { from, sampled, folded, empty: meta.empty, lost: None }, meta, rate))
    }
}

/// The body of an answer, or what it says instead of a profile.
async fn body(mut answer: Response) -> Result<Vec<u8>, Failed> {
    let status = answer.status();
    let mut bytes = Vec::new();
    loop {
        let chunk = answer.chunk().await.map_err(|e| Failed::Other(e.without_url().to_string()))?;
        let Some(chunk) = chunk else { break };
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LARGEST {
            return Err(Failed::Other("the answer is larger than a profile can be".to_owned()));
        }
    }
    if status.is_success() {
        return Ok(bytes);
    }
    let text: String = String::from_utf8_lossy(&bytes).chars().take(200).collect();
    let why = format!("answered {status}: {}", text.lines().next().unwrap_or_default());
    // Go says 500 where a profile is being taken already.
    Err(match status {
        StatusCode::CONFLICT | StatusCode::INTERNAL_SERVER_ERROR => Failed::Busy(why),
        _ => Failed::Other(why),
    })
}

fn missing(why: String) -> Missing {
    Missing {
        who: Observed::Target,
        sampler: Some(SamplerKind::Http),
        why,
        mend: Some(format!(
            "have the target answer {USUAL_PLACE}?seconds=N (Go: import net/http/pprof), or name the \
             place with --profile-endpoint"
        )),
    }
}
