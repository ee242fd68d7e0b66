//! Asks a target for its own numbers, again and again, on a thread of its own. Its requests are in no
//! ledger of gander's.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use url::Url;

use crate::clock::Clock;
use crate::error::Error;
use crate::measure::scrape::{Kind, Scraped, Series, parse};
use crate::measure::selector::{JsonPage, ScrapeRules};
use crate::store::entry::{Entry, Event};

use super::page;

/// A target that does not answer within this time has no numbers to give; there is a gap then.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Most series that are kept: a run folder stays small.
const MOST_SERIES: usize = 500;
/// Most states that one value may be in: a text that is another one each time is no state.
const MOST_STATES: usize = 20;
/// What is wrong with an answer without series.
const NOTHING: &str = "the answer holds no series";
/// A longer answer is not read.
const LONGEST: usize = 8 << 20;

/// Where a target shows its own numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What is asked for.
    pub url: Url,
    /// What is kept of a page in JSON; `None` of the text format of Prometheus.
    pub page: Option<JsonPage>,
}

/// Asks until it is told that the load is over.
#[derive(Debug)]
pub struct Scraper {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Scraper {
    /// Begins to ask at `places` as often as `rules` say, and hands what is said on to `entries`, as
    /// far as it is to be kept. When this returns, each was asked once: what load is applied then is
    /// between this look and the last one.
    pub fn start(
        places: Vec<Place>,
        rules: ScrapeRules,
        clock: Clock,
        entries: Sender<Entry>,
    ) -> Scraper {
        let (stop, stopped) = channel();
        let (first, is_there) = channel();
        let thread = std::thread::spawn(move || {
            if let Ok(mut asking) = Asking::new(places, rules, clock, entries) {
                asking.look();
                let _ = first.send(());
                asking.keep(&stopped);
            }
        });
        // Where the thread has ended, there is nothing to wait for, and no look.
        let _ = is_there.recv();
        Scraper { stop, thread }
    }

    /// Asks a last time, now that the load is over, and ends.
    pub fn finish(self) {
        let _ = self.stop.send(());
        // A panic there is a gap in the server's numbers, and in nothing else.
        let _ = self.thread.join();
    }
}

struct Asking {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    places: Vec<Asked>,
    rules: ScrapeRules,
    clock: Clock,
    entries: Sender<Entry>,
    known: HashMap<Series, u32>,
    /// What was told once, and is not told again.
    told: HashSet<String>,
    /// Series that were not kept for want of room, as far as that was told.
    told_left_out: usize,
    /// Series that the scenario does not keep, as far as that was told.
    told_not_wanted: usize,
}

/// A place, and what became of asking there.
struct Asked {
    place: Place,
    /// Whether the last look failed: a target that is away is told of once.
    is_away: bool,
    /// Whether it ever answered.
    has_answered: bool,
}

/// What one answer says.
struct Answer {
    samples: Vec<(Series, f64)>,
    /// What is to be told of it, once.
    remarks: Vec<String>,
}

impl Place {
    fn read(&self, text: &str) -> Result<Answer, String> {
        if let Some(page) = &self.page {
            let read = page::read(page, text)?;
            let remark = |missing| format!("not measured: {missing}");
            let remarks = read.missing.into_iter().map(remark).collect();
            return Ok(Answer { samples: read.samples, remarks });
        }
        let exposition = parse(text);
        if exposition.samples.is_empty() {
            return Err(NOTHING.to_owned());
        }
        let unread = exposition.unread.map(|(line, lines)| {
            format!(
                "{lines} lines of the server's own numbers could not be read, the first is line {line}"
            )
        });
        Ok(Answer { samples: exposition.samples, remarks: unread.into_iter().collect() })
    }
}

/// Asks at `place` once, to see whether there are numbers to show.
///
/// # Errors
/// It does not answer, or not in the form that is expected there.
pub fn probe(place: &Place) -> Result<(), Error> {
    let asked = client().and_then(|(runtime, client)| {
        let text = runtime.block_on(answer(&client, place.url.clone()))?;
        place.read(&text)
    });
    let Err(why) = asked else { return Ok(()) };
    let url = &place.url;
    Err(Error::CannotRun(match place.page {
        None => format!(
            "the target's own numbers at {url}: {why}; name the path or URL where it shows them in the \
             text format of Prometheus, as --scrape /metrics"
        ),
        Some(_) => format!(
            "the target's own numbers at {url}: {why}; name the path or URL of a page in JSON in the \
             scenario's [[scrape.json]]"
        ),
    }))
}

fn client() -> Result<(tokio::runtime::Runtime, reqwest::Client), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    // Where a redirect leads may not be loaded.
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWERS_WITHIN)
        .build();
    Ok((runtime.map_err(|e| e.to_string())?, client.map_err(|e| e.to_string())?))
}

impl Asking {
    fn new(
        places: Vec<Place>,
        rules: ScrapeRules,
        clock: Clock,
        entries: Sender<Entry>,
    ) -> Result<Asking, String> {
        let (runtime, client) = client()?;
        let asked = |place| Asked { place, is_away: false, has_answered: false };
        Ok(Asking {
            runtime,
            client,
            places: places.into_iter().map(asked).collect(),
            rules,
            clock,
            entries,
            known: HashMap::new(),
            told: HashSet::new(),
            told_left_out: 0,
            told_not_wanted: 0,
        })
    }

    fn keep(&mut self, stopped: &Receiver<()>) {
        let mut next = self.clock.now() + self.rules.every;
        loop {
            let wait = next.since(self.clock.now());
            let is_over = !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout));
            self.look();
            if is_over {
                return;
            }
            while next <= self.clock.now() {
                next = next + self.rules.every;
            }
        }
    }

    /// One look at all places. What does not answer is a gap, and the first of a row of them is told.
    fn look(&mut self) {
        let is_first = self.known.is_empty();
        let mut scraped = Scraped {
            at: self.clock.now(),
            is_first,
            new: Vec::new(),
            old: Vec::new(),
            values: Vec::new(),
        };
        let (mut left_out, mut not_wanted) = (0, 0);
        let mut places = std::mem::take(&mut self.places);
        for asked in &mut places {
            let Asked { place, is_away, has_answered } = asked;
            let text = self.runtime.block_on(answer(&self.client, place.url.clone()));
            match text.and_then(|text| place.read(&text)) {
                Ok(Answer { samples, remarks }) => {
                    let number = scraped.new.len();
                    self.take(place, samples, &mut scraped, (&mut left_out, &mut not_wanted));
                    if !std::mem::replace(has_answered, true) && !is_first {
                        // What it counted before is not of the time since the look before.
                        let new = self.known.len() - (scraped.new.len() - number)..self.known.len();
                        scraped.old.extend(new.map(id));
                    }
                    *is_away = false;
                    remarks.into_iter().for_each(|remark| self.tell_once(remark));
                }
                Err(why) if !std::mem::replace(is_away, true) => {
                    let path = place.url.path();
                    self.tell(format!(
                        "the server's own numbers at {path} have a gap from here on: {why}"
                    ));
                }
                Err(_) => {}
            }
        }
        self.places = places;
        if !scraped.values.is_empty() {
            scraped.at = self.clock.now();
            // Nobody listens any more where the run has failed.
            let _ = self.entries.send(Entry::Scraped(scraped));
        }
        self.tell_of_rest(left_out, not_wanted);
    }

    /// Takes up what one place says, and counts what is not kept: for want of room, and because
    /// nobody wants it. A state that is so no longer is 0.
    fn take(
        &mut self,
        place: &Place,
        samples: Vec<(Series, f64)>,
        scraped: &mut Scraped,
        (left_out, not_wanted): (&mut usize, &mut usize),
    ) {
        let mut seen = HashSet::new();
        for (series, value) in samples.into_iter().filter(|(_, value)| value.is_finite()) {
            let number = match self.known.get(&series) {
                Some(number) => *number,
                None if place.page.is_none() && !self.rules.keep(&series) => {
                    *not_wanted += 1;
                    continue;
                }
                None if self.known.len() >= MOST_SERIES || self.is_no_state(&series) => {
                    *left_out += 1;
                    continue;
                }
                None => {
                    let number = id(self.known.len());
                    self.known.insert(series.clone(), number);
                    scraped.new.push(series);
                    number
                }
            };
            if seen.insert(number) {
                scraped.values.push((number, value));
            }
        }
        let names: HashSet<&str> =
            place.page.iter().flat_map(|page| &page.values).map(|value| &*value.name).collect();
        let over = self.known.iter().filter(|(series, number)| {
            series.kind == Kind::State && names.contains(&*series.name) && !seen.contains(number)
        });
        scraped.values.extend(over.map(|(_, number)| (*number, 0.0)));
    }

    /// Whether it is one of so many states that they are none.
    fn is_no_state(&self, series: &Series) -> bool {
        let known = self.known.keys();
        series.kind == Kind::State
            && known.filter(|one| one.kind == Kind::State && one.name == series.name).count()
                >= MOST_STATES
    }

    /// Tells of series that are not kept, where there are more of them than was told.
    fn tell_of_rest(&mut self, left_out: usize, not_wanted: usize) {
        if not_wanted > self.told_not_wanted {
            self.told_not_wanted = not_wanted;
            self.tell(format!(
                "{not_wanted} series that the server shows are not kept: `metrics` of the scenario's \
                 [scrape] does not name them"
            ));
        }
        if left_out > self.told_left_out {
            self.told_left_out = left_out;
            self.tell(format!(
                "the server shows {left_out} series more than the {MOST_SERIES}, of a state \
                 {MOST_STATES}, that are kept"
            ));
        }
    }

    fn tell_once(&mut self, text: String) {
        if self.told.insert(text.clone()) {
            self.tell(text);
        }
    }

    fn tell(&self, text: String) {
        let _ = self.entries.send(Entry::Event(Event { at: self.clock.now(), text }));
    }
}

/// Numbers of series, of which there are few.
fn id(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

async fn answer(client: &reqwest::Client, url: Url) -> Result<String, String> {
    let said = |error: reqwest::Error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{}{}", error.without_url(), cause.unwrap_or_default())
    };
    let mut response = client.get(url).send().await.map_err(said)?;
    if !response.status().is_success() {
        return Err(format!("it answered {}", response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(said)? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST {
            return Err(format!("the answer is longer than {} MiB", LONGEST >> 20));
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}
