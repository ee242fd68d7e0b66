//! Who may ask.

use axum::http::{HeaderMap, header};

use super::errors::{Dialect, Failure};

/// Whether a request carries one of `keys`; any key, or none, where there are no `keys`.
///
/// OpenAI's key is a bearer token. Azure's is in `api-key`; a bearer token is taken there as well, as
/// that of an identity.
///
/// # Errors
/// The error that the client gets.
pub(super) fn check(keys: &[String], headers: &HeaderMap, dialect: Dialect) -> Result<(), Failure> {
    if keys.is_empty() {
        return Ok(());
    }
    let key = match dialect {
        Dialect::OpenAi => bearer(headers),
        Dialect::Azure => headers.get("api-key").map(|key| key.as_bytes()).or(bearer(headers)),
    };
    match key {
        Some(key) if keys.iter().any(|known| known.as_bytes() == key) => Ok(()),
        Some(_) => Err(Failure::wrong_key(dialect)),
        None => Err(Failure::no_key(dialect)),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(key.trim_ascii())
}
