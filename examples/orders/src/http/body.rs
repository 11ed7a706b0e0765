//! [`Body`]: a body of JSON, which says what is wrong with it field by field; and parameters that do so.

use std::{fmt::Display, str::FromStr};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::http::problem::Problem;

/// A body of JSON.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // Asked for also because a page of another site can't send this type without asking the browser first.
        let kind = request.headers().get(header::CONTENT_TYPE);
        let essence = kind
            .and_then(|kind| kind.to_str().ok())
            .and_then(|kind| kind.split(';').next());
        if !essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json")) {
            let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json");
            return Err(problem.at("Content-Type", "must be application/json"));
        }
        read(&Bytes::from_request(request, state).await?).map(Self)
    }
}

/// Text that is no JSON is 400; JSON that is not what is wanted is 422, with the field.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let malformed = |error: &serde_json::Error| {
        Problem::new(StatusCode::BAD_REQUEST, "malformed").detail(error.to_string())
    };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        if !error.inner().is_data() {
            return malformed(error.inner());
        }
        let words = error.inner().to_string();
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid")
            .at(pointer(error.path(), &words), words)
    })?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// The place in the body, as a JSON pointer.
fn pointer(path: &Path, words: &str) -> String {
    let mut pointer = String::new();
    for segment in path {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => pointer.push_str(variant),
            Segment::Unknown => pointer.push('?'),
        }
    }
    // Of a field that is missing serde knows the place of what it is missing in; its name it tells in words alone.
    if let Some(field) = words
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next())
    {
        pointer.push('/');
        pointer.push_str(field);
    }
    pointer
}

/// Reads a parameter, and names it if it can't be read.
pub fn parameter<T: FromStr<Err: Display>>(
    name: &str,
    text: Option<&str>,
) -> Result<Option<T>, Problem> {
    let parsed = text.map(|text| text.parse()).transpose();
    parsed.map_err(|error| Problem::unreadable(name, format!("{error}")))
}
