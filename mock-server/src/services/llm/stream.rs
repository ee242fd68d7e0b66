//! The body of a streamed completion: server-sent events, each at its time.
//!
//! The first frame has the chunks with the role (before them, on Azure, the verdict on the prompt)
//! and the first content; each choice has one token in it. Every later frame has
//! `tokens_per_chunk` tokens of each choice that is not at its end, when the last of them is due. The
//! chunk with the finish reason comes with the last content of all choices, and after it the usage
//! and the end marker. What is due already goes out together.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::Frame;
use tokio::time::{Instant, Sleep};

use super::answer::{Events, News, Usage};
use super::errors::Dialect;
use super::probe::Presence;
use super::reply::Choice;
use super::tokens;
use crate::ledger::StreamTimes;

/// A stream on its way.
pub(super) struct Stream {
    events: Events,
    choices: Vec<Rest>,
    usage: Usage,
    tokens_per_chunk: u32,
    /// Tokens of each choice that have been sent, as far as it has them.
    sent: u32,
    /// Tokens of the longest choice.
    longest: u32,
    has_begun: bool,
    is_over: bool,
    /// An error is to come in place of the rest.
    fails: bool,
    /// None where everything is due at once.
    clock: Option<Clock>,
    times: StreamTimes,
    /// The request is in the service until its stream ends.
    _presence: Presence,
}

/// A choice, and how much of it has been sent.
struct Rest {
    choice: Choice,
    bytes_sent: usize,
}

impl Stream {
    pub(super) fn new(
        events: Events,
        choices: Vec<Choice>,
        usage: Usage,
        tokens_per_chunk: u32,
        clock: Option<Clock>,
        times: StreamTimes,
        presence: Presence,
    ) -> Stream {
        let longest = choices.iter().map(|choice| choice.tokens).max().unwrap_or(0);
        let choices = choices.into_iter().map(|choice| Rest { choice, bytes_sent: 0 }).collect();
        Stream {
            events,
            choices,
            usage,
            tokens_per_chunk,
            sent: 0,
            longest,
            has_begun: false,
            is_over: false,
            fails: false,
            clock,
            times,
            _presence: presence,
        }
    }

    /// The same stream; where it `fails`, an error comes after its second chunk, or its last.
    pub(super) fn failing(self, fails: bool) -> Stream {
        Stream { fails, ..self }
    }

    /// Tokens of the next chunk of each choice.
    fn step(&self) -> u32 {
        match self.has_begun {
            true => self.tokens_per_chunk.min(self.longest - self.sent),
            false => self.longest.min(1),
        }
    }

    /// Writes what is due next.
    fn advance(&mut self, out: &mut Vec<u8>) {
        let step = self.step();
        if !self.has_begun {
            self.has_begun = true;
            if self.events.heading.dialect == Dialect::Azure {
                self.events.prompt_filter(out);
            }
            for index in 0..self.choices.len() {
                self.events.chunk(out, index, News::Role);
            }
        }
        for (index, rest) in self.choices.iter_mut().enumerate() {
            let text = &rest.choice.text[rest.bytes_sent..];
            if text.is_empty() {
                continue;
            }
            let (text, _) = tokens::split(text, step);
            self.events.chunk(out, index, News::Content(text));
            rest.bytes_sent += text.len();
            self.times.chunk();
        }
        self.sent += step;
        if self.fails && (self.sent > 1 || self.sent == self.longest) {
            self.events.error(out);
            self.is_over = true;
            return;
        }
        if self.sent == self.longest {
            for (index, rest) in self.choices.iter().enumerate() {
                self.events.chunk(out, index, News::Finish(rest.choice.finish));
            }
            self.events.end(out, self.usage);
            self.times.end();
            self.is_over = true;
        }
    }
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        let step = this.step();
        if let Some(clock) = &mut this.clock {
            ready!(clock.poll(step, cx));
        }
        let mut out = Vec::with_capacity(512);
        loop {
            this.advance(&mut out);
            let step = this.step();
            let is_due = this.clock.as_mut().is_none_or(|clock| clock.is_due(step));
            if this.is_over || !is_due {
                return Poll::Ready(Some(Ok(Frame::data(out.into()))));
            }
        }
    }
}

/// The times of the tokens, and a timer for the next of them.
pub(super) struct Clock {
    begun: Instant,
    times: Box<dyn Iterator<Item = Duration> + Send>,
    /// When the next chunk is due, once that is known.
    due: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    /// Counts from `begun`.
    pub(super) fn new(
        begun: Instant,
        times: impl Iterator<Item = Duration> + Send + 'static,
    ) -> Clock {
        Clock { begun, times: Box::new(times), due: None, sleep: None }
    }

    /// When the last of the next `step` tokens is due; asked again, it gives the same answer until
    /// the tokens are sent.
    fn due(&mut self, step: u32) -> Instant {
        let Clock { begun, times, due, .. } = self;
        *due.get_or_insert_with(|| {
            let last = step.saturating_sub(1) as usize;
            *begun + times.nth(last).unwrap_or_default()
        })
    }

    fn is_due(&mut self, step: u32) -> bool {
        let is_due = self.due(step) <= Instant::now();
        if is_due {
            self.due = None;
        }
        is_due
    }

    fn poll(&mut self, step: u32, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_due(step) {
            return Poll::Ready(());
        }
        let due = self.due(step);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if sleep.deadline() != due {
            sleep.as_mut().reset(due);
        }
        ready!(sleep.as_mut().poll(cx));
        self.due = None;
        Poll::Ready(())
    }
}
