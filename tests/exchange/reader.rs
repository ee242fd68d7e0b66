//! A response is the same in whatever pieces it arrives.

use gander::http::Wanted;
use gander::http::response::ResponseReader;
use gander::measure::sample::Offset;
use http::Method;
use proptest::collection::vec;
use proptest::prelude::*;

const LIMIT: u64 = 1 << 20;

/// Status, headers and body, or what is wrong.
type Read = Result<(Option<u16>, Vec<(String, String)>, Vec<u8>, bool), String>;

/// Pushes `bytes` in pieces that end at `cuts`, then ends the connection if need be.
fn read(bytes: &[u8], cuts: &[usize]) -> Read {
    let mut reader = ResponseReader::new(&Method::GET, LIMIT, Wanted::Whole);
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let (mut at, mut whole) = (0, false);
    for end in ends {
        if whole && end > at {
            return Err("bytes after the end".to_owned());
        }
        if end > at {
            whole = reader.push(&bytes[at..end], Offset(0)).map_err(|error| error.to_string())?;
            at = end;
        }
    }
    if !whole {
        reader.end().map_err(|error| format!("{error:?}"))?;
    }
    let keeps_alive = reader.keeps_alive();
    let (status, headers, body, _) = reader.into_parts();
    let headers =
        headers.iter().map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect();
    Ok((status, headers, body.to_vec(), keeps_alive))
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    Length,
    Chunks,
    Close,
}

/// A valid response with this body.
fn response(body: &[u8], framing: Framing, chunk: usize, interim: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    if interim {
        bytes.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\na: b\r\n\r\n");
    }
    bytes.extend_from_slice(b"HTTP/1.1 207 Multi Status\r\nx-empty:\r\nx-value: \"a, b\"\r\n");
    match framing {
        Framing::Length => {
            bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(body);
        }
        Framing::Chunks => {
            bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
            for piece in body.chunks(chunk) {
                bytes.extend_from_slice(format!("{:X};n=\"v\"\r\n", piece.len()).as_bytes());
                bytes.extend_from_slice(piece);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"000\r\ntrailer: yes\r\n\r\n");
        }
        Framing::Close => {
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(body);
        }
    }
    bytes
}

fn framing() -> impl Strategy<Value = Framing> {
    prop_oneof![Just(Framing::Length), Just(Framing::Chunks), Just(Framing::Close)]
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        body in vec(any::<u8>(), 0..3000),
        framing in framing(),
        chunk in 1usize..500,
        interim: bool,
        cuts in vec(any::<usize>(), 0..40),
    ) {
        let bytes = response(&body, framing, chunk, interim);
        let (status, headers, read_body, keeps_alive) = read(&bytes, &cuts).unwrap();
        prop_assert_eq!(status, Some(207));
        prop_assert_eq!(read_body, body);
        prop_assert_eq!(headers.len(), if let Framing::Close = framing { 2 } else { 3 });
        prop_assert_eq!(&headers[1], &("x-value".to_owned(), "\"\\\"a, b\\\"\"".to_owned()));
        prop_assert_eq!(keeps_alive, !matches!(framing, Framing::Close));
    }

    #[test]
    fn byte_by_byte_is_the_same_too(
        body in vec(any::<u8>(), 0..300), framing in framing(), interim: bool,
    ) {
        let bytes = response(&body, framing, 7, interim);
        let every: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(read(&bytes, &every), read(&bytes, &[]));
    }

    #[test]
    fn a_damaged_response_is_judged_alike_in_any_pieces(
        body in vec(any::<u8>(), 0..100),
        framing in framing(),
        at: usize,
        byte: u8,
        cuts in vec(any::<usize>(), 0..20),
    ) {
        let mut bytes = response(&body, framing, 9, true);
        let at = at % bytes.len();
        bytes[at] = byte;
        let (one, many) = (read(&bytes, &[]), read(&bytes, &cuts));
        prop_assert_eq!(one.is_ok(), many.is_ok(), "{:?} {:?}", one, many);
        if one.is_ok() {
            prop_assert_eq!(one, many);
        }
    }

    #[test]
    fn a_response_cut_short_is_never_whole(
        body in vec(any::<u8>(), 1..500), chunked: bool, cut: usize, cuts in vec(any::<usize>(), 0..9),
    ) {
        let framing = if chunked { Framing::Chunks } else { Framing::Length };
        let bytes = response(&body, framing, 50, false);
        let cut = cut % bytes.len();
        prop_assert!(read(&bytes[..cut], &cuts).is_err());
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in vec(any::<u8>(), 0..300), cuts in vec(any::<usize>(), 0..9)) {
        let _ = read(&bytes, &cuts);
        let mut after_head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        after_head.extend_from_slice(&bytes);
        let _ = read(&after_head, &cuts);
    }
}

#[test]
fn a_body_is_counted_but_kept_only_if_asked() {
    let mut reader = ResponseReader::new(&Method::GET, 5, Wanted::Nothing);
    assert_eq!(
        reader.push(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n12345", Offset(0)),
        Ok(true)
    );
    assert!(reader.into_parts().2.is_empty());
    let mut reader = ResponseReader::new(&Method::GET, 5, Wanted::Nothing);
    assert_eq!(reader.push(b"HTTP/1.1 200 OK\r\n\r\n12345", Offset(0)), Ok(false));
    assert!(reader.push(b"6", Offset(0)).unwrap_err().to_string().contains("limit of 5 bytes"));
}

#[test]
fn a_long_head_is_judged_at_the_end_even_without_a_line_end() {
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n", "y".repeat(2000));
    for (line, message) in [("bad header", "Malformed"), ("good-header", "CutShort")] {
        let bytes = format!("{head}{line}");
        let error = read(bytes.as_bytes(), &[head.len()]).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
}
