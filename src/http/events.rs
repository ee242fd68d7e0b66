//! Server-sent events without sockets or clocks: bytes in, events out.
//!
//! The format is that of the HTML standard, section 9.2.6 "Interpreting an event stream"
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), but for one thing: bytes in
//! `data` that are no UTF-8 are an error here and no replacement characters, for they are what a
//! broken service sends. Names (`event`), numbers (`id`) and `retry` of events are read over: what
//! services say in them stands in the data too.

use super::response::Malformed;
use crate::measure::sample::Offset;

/// The events of one response, and when each came: with the read that brought the last byte of its
/// empty line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Events {
    /// Data of all events, one after another.
    data: String,
    /// When each came, and where its data ends.
    marks: Vec<(Offset, usize)>,
}

impl Events {
    /// The events: when each came, and its data.
    pub fn iter(&self) -> impl Iterator<Item = (Offset, &str)> {
        let starts = std::iter::once(0).chain(self.marks.iter().map(|(_, end)| *end));
        starts.zip(&self.marks).map(|(start, (at, end))| (*at, &self.data[start..*end]))
    }
}

/// Reads events from bytes, in whatever pieces they come. It holds about as many bytes as it was
/// given, and a mark for each event: the limit on a body is a limit on it.
#[derive(Debug, Default)]
pub struct EventReader {
    events: Events,
    /// A line whose end has not been seen.
    partial: Vec<u8>,
    /// Whether the line before this one has been seen to end; a byte order mark stands before any.
    has_begun: bool,
    /// The last byte was a carriage return: a line feed now belongs to it.
    after_return: bool,
    /// Whether the event that is being read has data; `events` holds it already.
    has_data: bool,
}

impl EventReader {
    /// Takes the next bytes, which were read at `now`.
    ///
    /// # Errors
    /// Data is no UTF-8. It is known when its line has ended, however the bytes were split.
    pub fn push(&mut self, mut bytes: &[u8], now: Offset) -> Result<(), Malformed> {
        if self.after_return && !bytes.is_empty() {
            self.after_return = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let line = &bytes[..end];
            if self.partial.is_empty() {
                self.line(line, now)?;
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.line(&whole, now)?;
                whole.clear();
                self.partial = whole;
            }
            let is_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if is_return {
                self.after_return = bytes.is_empty();
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// The body has ended. An event without its empty line is none.
    pub fn finish(mut self) -> Events {
        self.events.data.truncate(self.data_before());
        self.events
    }

    /// Where the data of the event that is being read begins.
    fn data_before(&self) -> usize {
        self.events.marks.last().map_or(0, |(_, end)| *end)
    }

    /// Takes a line without its end.
    fn line(&mut self, mut line: &[u8], now: Offset) -> Result<(), Malformed> {
        if !std::mem::replace(&mut self.has_begun, true) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            if std::mem::take(&mut self.has_data) {
                self.events.marks.push((now, self.events.data.len()));
            }
            return Ok(());
        }
        let data = match line.strip_prefix(b"data") {
            Some(b"") => &b""[..],
            Some([b':', b' ', data @ ..] | [b':', data @ ..]) => data,
            // A comment, another field, or one that only begins alike.
            _ => return Ok(()),
        };
        let text = std::str::from_utf8(data).map_err(|error| {
            let place = error.valid_up_to();
            Malformed::new(format!(
                "the data of event {} is no UTF-8: byte {place} of a line of {} is 0x{:02x}",
                self.events.marks.len() + 1,
                data.len(),
                data[place]
            ))
        })?;
        if std::mem::replace(&mut self.has_data, true) {
            self.events.data.push('\n');
        }
        self.events.data.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a service sends: a mark, comments, every kind of line end, two lines of data, fields that
    /// are none, text of several bytes, and an event that does not end.
    const RECORDED: &str = "\u{feff}: ping\n\ndata: {\"a\":\"é\"}\n\nevent: x\r\nid: 1\r\ndata:one\r\ndata: two\r\n\r\n\
        data\r\rretry: 5\ndatum: no\ndata:  kept\n\n\n\ndata: [DONE]\n\ndata: never\n";

    /// The events of `bytes` in pieces that end at `cuts`, each with the number of its piece.
    fn read(bytes: &[u8], cuts: &[usize]) -> Result<Vec<(Offset, String)>, Malformed> {
        let mut reader = EventReader::default();
        let mut ends = cuts.to_vec();
        ends.push(bytes.len());
        ends.sort_unstable();
        let mut at = 0;
        for (piece, end) in ends.into_iter().enumerate() {
            reader.push(&bytes[at..end], Offset(piece as u64))?;
            at = end;
        }
        Ok(reader.finish().iter().map(|(at, data)| (at, data.to_owned())).collect())
    }

    fn data(bytes: &[u8], cuts: &[usize]) -> Result<Vec<String>, String> {
        let events = read(bytes, cuts).map_err(|error| error.to_string())?;
        Ok(events.into_iter().map(|(_, data)| data).collect())
    }

    #[test]
    fn a_recorded_stream_is_the_same_at_every_split() {
        let whole = data(RECORDED.as_bytes(), &[]).expect("UTF-8");
        assert_eq!(whole, ["{\"a\":\"é\"}", "one\ntwo", "", " kept", "[DONE]"]);
        for first in 0..=RECORDED.len() {
            for second in first..=RECORDED.len() {
                let split = data(RECORDED.as_bytes(), &[first, second]);
                assert_eq!(split.as_ref(), Ok(&whole), "split at {first} and {second}");
            }
        }
        let every: Vec<usize> = (0..RECORDED.len()).collect();
        assert_eq!(data(RECORDED.as_bytes(), &every), Ok(whole));
    }

    #[test]
    fn an_event_came_with_the_read_that_completed_it() {
        let bytes = b"data: a\n\ndata: b\n\ndata: c\r\n\r\n";
        let when = |cuts: &[usize]| -> Vec<u64> {
            read(bytes, cuts).expect("UTF-8").into_iter().map(|(at, _)| at.0).collect()
        };
        assert_eq!(when(&[]), [0, 0, 0]);
        assert_eq!(when(&[8]), [1, 1, 1], "its empty line was not there");
        assert_eq!(when(&[9, 18]), [0, 1, 2]);
        assert_eq!(when(&[17]), [0, 1, 1]);
    }

    #[test]
    fn data_that_is_no_utf8_is_malformed_and_other_lines_are_not_looked_at() {
        let error = data(b"data: fine\n\ndata: {\"a\":\xff}\n\n", &[]).expect_err("it is no UTF-8");
        assert!(error.contains("event 2") && error.contains("0xff"), "{error}");
        assert_eq!(data(b": \xff\nx\xff: 1\ndata: a\n\n", &[]), Ok(vec!["a".to_owned()]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_the_same_in_any_pieces(
            pieces in proptest::collection::vec(
                prop::sample::select(vec![
                    &b"data"[..], b":", b" ", b"\n", b"\r", b"\r\n", b"\xef\xbb\xbf",
                    "\u{fc}".as_bytes(), b"\xff", b"event: a",
                ]),
                0..60,
            ),
            cuts in proptest::collection::vec(0usize..200, 0..8),
        ) {
            let bytes = pieces.concat();
            let cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (bytes.len() + 1)).collect();
            prop_assert_eq!(data(&bytes, &cuts), data(&bytes, &[]));
        }
    }
}
