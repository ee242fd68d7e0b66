//! The head of a response, parsed, and the headers that decide about its framing.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::response::Malformed;

/// Longest head of a response, in bytes.
pub(super) const MAX_HEAD: usize = 64 * 1024;
/// Most headers of a response.
const MAX_HEADERS: usize = 128;

/// One parsed head.
pub(super) struct Head {
    /// In bytes, with the empty line.
    pub(super) length: usize,
    pub(super) is_http_11: bool,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
}

/// The head that `bytes` begin with, if it is whole.
pub(super) fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let length = match httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, bytes, &mut fields)
        .map_err(|error| no_head(error, bytes))?
    {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(length) if length > MAX_HEAD => return Err(head_too_long()),
        httparse::Status::Complete(length) => length,
    };
    // All values share one copy of the head.
    let copy = Bytes::copy_from_slice(&bytes[..length]);
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let at = field.value.as_ptr().addr() - bytes.as_ptr().addr();
        let value = if field.value.is_empty() {
            Ok(HeaderValue::from_static(""))
        } else {
            HeaderValue::from_maybe_shared(copy.slice(at..at + field.value.len()))
        };
        match (name, value) {
            (Ok(name), Ok(value)) => headers.append(name, value),
            _ => return Err(Malformed::new(format!("bad header {:?}", field.name))),
        };
    }
    Ok(Some(Head {
        length,
        is_http_11: response.version == Some(1),
        status: response.code.unwrap_or_default(),
        headers,
    }))
}

fn no_head(error: httparse::Error, bytes: &[u8]) -> Malformed {
    if let httparse::Error::Version | httparse::Error::Token | httparse::Error::Status = error {
        let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
        let next = match bytes {
            // An alert or handshake record.
            [0x15 | 0x16, 0x03, ..] => "; the service speaks TLS: use https://",
            // A settings frame comes first from a server that speaks nothing but HTTP/2.
            [0, 0, _, 4, ..] => "; the service speaks HTTP/2 only: use --http2",
            _ => "",
        };
        return Malformed::new(format!("not an HTTP/1.1 response: it begins with {begin:?}{next}"));
    }
    Malformed::new(match error {
        httparse::Error::TooManyHeaders => format!("more than {MAX_HEADERS} headers"),
        error => format!("bad response header: {error}"),
    })
}

pub(super) fn head_too_long() -> Malformed {
    Malformed::new(format!("a response head of more than {MAX_HEAD} bytes"))
}

/// All values of `content-length` must be one and the same number.
pub(super) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for item in value.as_bytes().split(|&byte| byte == b',') {
            let number = parse_length(item.trim_ascii()).ok_or_else(|| {
                Malformed::new(format!("content-length {value:?} is not a number of bytes"))
            })?;
            if length.is_some_and(|earlier| earlier != number) {
                return Err(Malformed::new("content-length is given twice, with different values"));
            }
            length = Some(number);
        }
    }
    Ok(length)
}

fn parse_length(digits: &[u8]) -> Option<u64> {
    // `u64::from_str` would take a sign.
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| all_digits)?.parse().ok()
}

/// Whether the list in header `name` holds `token`, in any case.
pub(super) fn names_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    tokens(headers, &name).any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
}

pub(super) fn last_token_is(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    tokens(headers, &name).last().is_some_and(|item| item.eq_ignore_ascii_case(token.as_bytes()))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|item| !item.is_empty())
}
