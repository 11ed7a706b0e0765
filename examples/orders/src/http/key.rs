//! [`Key`]: the header `Idempotency-Key`.

use axum::{extract::FromRequestParts, http::request::Parts};
use uno::prelude::*;

use crate::http::problem::Problem;

/// The name of the header.
const NAME: &str = "Idempotency-Key";

/// The key that a request came with, if it came with one.
pub struct Key(pub Option<IdempotencyKey>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut sent = parts.headers.get_all(NAME).iter();
        let Some(key) = sent.next() else {
            return Ok(Self(None));
        };
        if sent.next().is_some() {
            return Err(Problem::unreadable(NAME, "must be sent once"));
        }
        let key = key
            .to_str()
            .map_err(|_| Problem::unreadable(NAME, "must be printable ASCII"))?;
        let key = key
            .parse()
            .map_err(|error: uno::cqrs::IdempotencyKeyError| {
                Problem::unreadable(NAME, error.to_string())
            })?;
        Ok(Self(Some(key)))
    }
}
