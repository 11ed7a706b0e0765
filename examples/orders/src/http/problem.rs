//! [`Problem`]: why a request had no effect or no answer, as RFC 9457 has it.

use axum::{
    Json,
    extract::rejection::{BytesRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use uno::{
    AwaitError,
    core::{BoxError, StoreError},
    cqrs::{ExecuteError, ReadDocumentError, ServingError},
    events::{WaitError, WatchError},
    prelude::*,
    uow::{LoadError, RunError},
};
use utoipa::ToSchema;

/// Why a request had no effect or no answer.
#[derive(Serialize, ToSchema, Debug)]
pub struct Problem {
    /// Names the kind of problem; programs go by it.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What it is this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The fields at fault, as far as it is about fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<Fault>,
}

/// A field that is not what it must be.
#[derive(Serialize, ToSchema, Debug)]
pub struct Fault {
    /// Which: a JSON pointer into the body, or the name of a parameter or header.
    #[schema(example = "/items/0/quantity")]
    field: String,
    /// What is wrong with it.
    #[schema(example = "must be 1 to 1000000")]
    detail: String,
}

impl Problem {
    /// A problem of a kind, with the title that its status has.
    pub fn new(status: StatusCode, kind: &str) -> Self {
        Self {
            kind: format!("/problems/{kind}"),
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: None,
            errors: Vec::new(),
        }
    }

    /// Says what it is this time.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Names a field at fault.
    pub fn at(mut self, field: impl Into<String>, detail: impl Into<String>) -> Self {
        let (field, detail) = (field.into(), detail.into());
        self.errors.push(Fault { field, detail });
        self
    }

    /// What was asked for is not there.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found").detail(detail)
    }

    /// A parameter or header can't be read.
    pub fn unreadable(field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed").at(field, detail)
    }

    /// The place is in another log than this one: begin anew.
    pub fn gone(field: &str) -> Self {
        Self::new(StatusCode::GONE, "other-log")
            .detail("the store was restored or replaced since this was given out: begin anew")
            .at(field, "is a place in another log")
    }

    /// The store is away, or behind.
    fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable").detail(detail)
    }

    /// What callers can do nothing about. They are not told what it is; the operator is.
    fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        let problem = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, problem);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// What the application says to a command.
impl From<ExecuteError> for Problem {
    fn from(error: ExecuteError) -> Self {
        match &error {
            ExecuteError::Invalid { source, .. } => {
                let invalid = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
                let faults = source.problems();
                faults.fold(invalid, |problem, (field, reason)| {
                    problem.at(format!("/{field}"), reason)
                })
            }
            ExecuteError::KeyReused(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "key-reused")
                .at("Idempotency-Key", "was sent with another request before"),
            ExecuteError::Run(RunError::Command(CommandError::Rejected(reason)))
                if matches!(reason.downcast_ref(), Some(LoadError::NotFound(_))) =>
            {
                Self::not_found("there is no such order")
            }
            _ if error.is_rejection() => {
                Self::new(StatusCode::CONFLICT, "refused").detail(error.to_string())
            }
            _ if error.is_conflict() => Self::new(StatusCode::CONFLICT, "conflict")
                .detail("others were faster: look at what is there now, and try again"),
            _ if error.is_transient() => Self::unavailable("nothing was done: try again"),
            ExecuteError::TimedOut { .. } | ExecuteError::Run(RunError::Unknown(_)) => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "unknown",
            )
            .detail(
                "it may have been done: send it again with the same Idempotency-Key to find out",
            ),
            _ => Self::internal(&error),
        }
    }
}

impl From<ReadDocumentError> for Problem {
    fn from(error: ReadDocumentError) -> Self {
        match error {
            ReadDocumentError::Store(error) => error.into(),
            ReadDocumentError::Serving(ServingError::Store(error)) => error.into(),
            ReadDocumentError::Serving(ServingError::OtherVersion { .. }) => {
                Self::unavailable("the read model is being rebuilt")
            }
            other => Self::internal(&other),
        }
    }
}

impl From<AwaitError> for Problem {
    fn from(error: AwaitError) -> Self {
        match error {
            AwaitError::Wait(WaitError::TimedOut { .. }) => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "behind")
                    .detail("the read model has not come there yet: try again")
            }
            AwaitError::Wait(WaitError::OtherLog(_)) => Self::gone("after"),
            AwaitError::Wait(WaitError::Store(error)) => error.into(),
            AwaitError::Wait(WaitError::Stopped { .. } | WaitError::Parked { .. }) => {
                Self::unavailable("the read model can't go on by itself")
            }
            other => Self::internal(&other),
        }
    }
}

impl From<WatchError> for Problem {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Store(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_transient() {
            Self::unavailable("the store can't be reached: try again")
        } else {
            Self::internal(&error)
        }
    }
}

impl From<BoxError> for Problem {
    fn from(error: BoxError) -> Self {
        Self::internal(&*error)
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        let kind = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "too-large",
            _ => "malformed",
        };
        Self::new(rejection.status(), kind).detail(rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), "malformed").detail(rejection.body_text())
    }
}
