//! Answers that arrive whole and are wrong: pure functions from bytes to bytes.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::Kind;

/// A body as this kind of fault leaves it. `essential` are the fields that go missing.
///
/// Kinds that are no damage to a body leave it as it is. A stream is not damaged here but event by
/// event, by [`damaged_events`].
pub(crate) fn damaged(kind: Kind, body: &Bytes, essential: &[&str]) -> Bytes {
    let half = body.len() / 2;
    match kind {
        // No JSON text ends in a comma.
        Kind::InvalidJson => joined(&[&body[..body.len().saturating_sub(1)], b",,"]),
        // Without events to break, a broken stream is a body that breaks off.
        Kind::Truncated | Kind::BrokenSse => body.slice(..half),
        Kind::Empty => Bytes::new(),
        Kind::MissingFields => without(body, essential),
        Kind::InvalidUtf8 => joined(&[&body[..half], b"\xff\xfe", &body[half..]]),
        _ => body.clone(),
    }
}

/// Events of a stream as this kind of fault leaves them: the bytes to send instead, and whether the
/// stream ends with them.
pub(crate) fn damaged_events(kind: Kind, events: &Bytes, essential: &[&str]) -> (Bytes, bool) {
    match kind {
        Kind::Empty => (Bytes::new(), true),
        Kind::InvalidJson => (replaced(events, b"}\n", b",\n"), false),
        Kind::Truncated => (events.slice(..events.len() / 2), true),
        Kind::InvalidUtf8 => (replaced(events, b"}\n", b"\xff}\n"), false),
        // A field name that means nothing, and no empty line between the events.
        Kind::BrokenSse => (replaced(&replaced(events, b"data:", b"daat:"), b"\n\n", b"\n"), false),
        Kind::MissingFields => {
            let renamed = essential.iter().fold(events.clone(), |events, field| {
                let (from, to) = (format!("\"{field}\""), format!("\"_{field}\""));
                replaced(&events, from.as_bytes(), to.as_bytes())
            });
            (renamed, false)
        }
        _ => (events.clone(), false),
    }
}

/// A JSON object without these fields; another body is left without everything.
fn without(body: &Bytes, fields: &[&str]) -> Bytes {
    let mut value: Value = serde_json::from_slice(body).unwrap_or_default();
    match value.as_object_mut() {
        Some(object) => object.retain(|name, _| !fields.contains(&name.as_str())),
        None => value = Value::Object(serde_json::Map::new()),
    }
    value.to_string().into()
}

fn joined(parts: &[&[u8]]) -> Bytes {
    parts.concat().into()
}

fn replaced(bytes: &Bytes, from: &[u8], to: &[u8]) -> Bytes {
    let mut done = BytesMut::with_capacity(bytes.len() + to.len());
    let mut rest = &bytes[..];
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        done.extend_from_slice(&rest[..at]);
        done.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    done.extend_from_slice(rest);
    done.freeze()
}
