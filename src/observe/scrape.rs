//! Asks a target for its own numbers, again and again, on a thread of its own. Its requests are in no
//! ledger of gander's.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use url::Url;

use crate::clock::Clock;
use crate::error::Error;
use crate::measure::scrape::{Scraped, Series, parse};
use crate::measure::selector::ScrapeRules;
use crate::store::entry::{Entry, Event};

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(1);
/// A target that does not answer within this time has no numbers to give; there is a gap then.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Most series that are kept: a run folder stays small.
const MOST_SERIES: usize = 500;
/// What is wrong with an answer without series.
const NOTHING: &str = "the answer holds no series";
/// A longer answer is not read.
const LONGEST: usize = 8 << 20;

/// Asks until it is told that the load is over.
#[derive(Debug)]
pub struct Scraper {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Scraper {
    /// Begins to ask `url` each second, and hands what it says on to `entries`, as far as it is to be
    /// kept. When this returns, it was asked once: what load is applied then is between this look and
    /// the last one.
    pub fn start(url: Url, rules: ScrapeRules, clock: Clock, entries: Sender<Entry>) -> Scraper {
        let (stop, stopped) = channel();
        let (first, is_there) = channel();
        let thread = std::thread::spawn(move || {
            if let Ok(mut asking) = Asking::new(url, rules, clock, entries) {
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
    url: Url,
    rules: ScrapeRules,
    clock: Clock,
    entries: Sender<Entry>,
    known: HashMap<Series, u32>,
    /// Series that were not kept, as far as that was told.
    told_left_out: usize,
    /// Series that the scenario does not keep, as far as that was told.
    told_not_wanted: usize,
    /// Whether the last look failed: a target that is away is told of once.
    is_away: bool,
}

/// Asks `url` once, to see whether it has numbers to show.
///
/// # Errors
/// It does not answer, or not in the text format of Prometheus.
pub fn probe(url: &Url) -> Result<(), Error> {
    let asked = client().and_then(|(runtime, client)| {
        let text = runtime.block_on(answer(&client, url.clone()))?;
        match parse(&text).samples.is_empty() {
            true => Err(NOTHING.to_owned()),
            false => Ok(()),
        }
    });
    asked.map_err(|why| {
        Error::CannotRun(format!(
            "the target's own numbers at {url}: {why}; name the path or URL where it shows them in the \
             text format of Prometheus, as --scrape /metrics"
        ))
    })
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
        url: Url,
        rules: ScrapeRules,
        clock: Clock,
        entries: Sender<Entry>,
    ) -> Result<Asking, String> {
        let (runtime, client) = client()?;
        Ok(Asking {
            runtime,
            client,
            url,
            rules,
            clock,
            entries,
            known: HashMap::new(),
            told_left_out: 0,
            told_not_wanted: 0,
            is_away: false,
        })
    }

    fn keep(&mut self, stopped: &Receiver<()>) {
        let mut next = self.clock.now() + EVERY;
        loop {
            let wait = next.since(self.clock.now());
            let is_over = !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout));
            self.look();
            if is_over {
                return;
            }
            while next <= self.clock.now() {
                next = next + EVERY;
            }
        }
    }

    /// One look. One that fails is a gap, and the first of a row of them is told.
    fn look(&mut self) {
        match self.ask() {
            Ok(()) => self.is_away = false,
            Err(why) if !self.is_away => {
                self.is_away = true;
                self.tell(format!("the server's own numbers have a gap from here on: {why}"));
            }
            Err(_) => {}
        }
    }

    /// Asks, and hands on what was said.
    fn ask(&mut self) -> Result<(), String> {
        let text = self.runtime.block_on(answer(&self.client, self.url.clone()))?;
        let exposition = parse(&text);
        if exposition.samples.is_empty() {
            return Err(NOTHING.to_owned());
        }
        let (at, is_first) = (self.clock.now(), self.known.is_empty());
        let mut scraped = Scraped { at, is_first, new: Vec::new(), values: Vec::new() };
        let (mut left_out, mut not_wanted) = (0, 0);
        for (series, value) in exposition.samples.into_iter().filter(|(_, v)| v.is_finite()) {
            let id = match self.known.get(&series) {
                Some(id) => *id,
                None if !self.rules.keep(&series) => {
                    not_wanted += 1;
                    continue;
                }
                None if self.known.len() >= MOST_SERIES => {
                    left_out += 1;
                    continue;
                }
                None => {
                    let id = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
                    self.known.insert(series.clone(), id);
                    scraped.new.push(series);
                    id
                }
            };
            scraped.values.push((id, value));
        }
        // Nobody listens any more where the run has failed.
        let _ = self.entries.send(Entry::Scraped(scraped));
        if let Some((line, lines)) = exposition.unread.filter(|_| self.told_left_out == 0) {
            self.told_left_out = 1;
            self.tell(format!(
                "{lines} lines of the server's own numbers could not be read, the first is line {line}"
            ));
        }
        if not_wanted > self.told_not_wanted {
            self.told_not_wanted = not_wanted;
            self.tell(format!(
                "{not_wanted} series that the server shows are not kept: `metrics` of the scenario's \
                 [scrape] does not name them"
            ));
        }
        if left_out > 0 && self.told_left_out < left_out + 1 {
            self.told_left_out = left_out + 1;
            self.tell(format!(
                "the server shows {left_out} series more than the {MOST_SERIES} that are kept"
            ));
        }
        Ok(())
    }

    fn tell(&self, text: String) {
        let _ = self.entries.send(Entry::Event(Event { at: self.clock.now(), text }));
    }
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
