//! The chunked transfer coding (RFC 9112, section 7.1), without sockets: bytes in, data out.

use super::response::Malformed;

/// Longest line of a chunk size with its extensions, in bytes.
const MAX_SIZE_LINE: usize = 4096;
/// Longest trailer section, in bytes.
const MAX_TRAILERS: usize = 16 * 1024;

/// Reads one chunked body, in whatever pieces it arrives.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// Size of the chunk being announced, then what is left of it.
    left: u64,
    /// Bytes of the line or section being read, held against its limit.
    length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    SizeStart,
    Size,
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a trailer line.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Chunked { state: State::SizeStart, left: 0, length: 0 }
    }

    /// Whether the last chunk and its trailers have been read.
    pub(super) fn is_whole(&self) -> bool {
        self.state == State::End
    }

    /// The next run of data in `input`, which moves on behind it. `None` when `input` is used up
    /// or the body is whole.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
        while self.state != State::End {
            if self.state == State::Data {
                if input.is_empty() {
                    return Ok(None);
                }
                let run = input.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                let (data, rest) = input.split_at(run);
                *input = rest;
                self.left -= run as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                return Ok(Some(data));
            }
            let Some((&byte, rest)) = input.split_first() else { return Ok(None) };
            *input = rest;
            self.state = self.step(byte)?;
        }
        Ok(None)
    }

    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        Ok(match (self.state, byte) {
            (State::SizeStart | State::Size, _) if byte.is_ascii_hexdigit() => {
                self.add_digit(byte)?;
                State::Size
            }
            (State::Size, b'\r') | (State::Extension, b'\r') => State::SizeEnd,
            (State::Size, b';' | b' ' | b'\t') => State::Extension,
            (State::Extension, byte) if byte != b'\n' => {
                self.count(MAX_SIZE_LINE, "chunk extensions")?;
                State::Extension
            }
            (State::SizeEnd, b'\n') => {
                self.length = 0;
                if self.left == 0 { State::TrailerStart } else { State::Data }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::SizeStart,
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::EndLf, b'\n') => State::End,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::TrailerStart | State::Trailer, byte) if byte != b'\n' => {
                self.count(MAX_TRAILERS, "trailers")?;
                State::Trailer
            }
            (state, byte) => return Err(unexpected(state, byte)),
        })
    }

    fn add_digit(&mut self, digit: u8) -> Result<(), Malformed> {
        let value = char::from(digit).to_digit(16).unwrap_or_default();
        self.count(MAX_SIZE_LINE, "chunk size")?;
        self.left =
            self.left
                .checked_mul(16)
                .and_then(|size| size.checked_add(u64::from(value)))
                .ok_or_else(|| Malformed::new("a chunk size is larger than 64 bits can hold"))?;
        Ok(())
    }

    fn count(&mut self, limit: usize, what: &str) -> Result<(), Malformed> {
        self.length += 1;
        if self.length > limit {
            return Err(Malformed::new(format!("{what} longer than {limit} bytes")));
        }
        Ok(())
    }
}

fn unexpected(state: State, byte: u8) -> Malformed {
    let place = match state {
        State::SizeStart | State::Size | State::Extension | State::SizeEnd => "a chunk size",
        State::Data | State::DataCr | State::DataLf => "the end of a chunk",
        _ => "the trailers",
    };
    Malformed::new(format!("chunked body: unexpected byte {:?} in {place}", char::from(byte)))
}
