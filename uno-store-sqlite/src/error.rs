//! What the driver's errors mean to a caller. The driver's own types go no further than this crate.

use std::{io, sync::Arc};

use uno_core::StoreError;

/// Where the store is, as errors and spans name it.
pub(crate) type Location = Arc<str>;

/// SQLite's primary result codes, as far as they are told apart. Source: <https://www.sqlite.org/rescode.html>.
mod code {
    pub(super) const ERROR: i32 = 1;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const NOTADB: i32 = 26;
}

pub(crate) fn store_error(location: &Location, error: sqlx::Error) -> StoreError {
    let location = || location.to_string();
    match primary_code(&error) {
        Some(code::READONLY) => StoreError::ReadOnly {
            location: location(),
        },
        Some(code::CORRUPT) => StoreError::Corrupt {
            what: format!("the file {} is damaged: {error}", location()),
        },
        Some(code::NOTADB) => StoreError::Corrupt {
            what: format!("the file {} is not an SQLite database", location()),
        },
        Some(code::BUSY | code::LOCKED | code::IOERR | code::FULL | code::CANTOPEN) => {
            StoreError::Unavailable {
                location: location(),
                source: error.into(),
            }
        }
        Some(_) => StoreError::Backend(error.into()),
        None => match error {
            sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => StoreError::Unavailable {
                location: location(),
                source: error.into(),
            },
            other => StoreError::Backend(other.into()),
        },
    }
}

/// The store, or the runtime that it ran on, is closed.
pub(crate) fn closed(location: &Location) -> StoreError {
    StoreError::Unavailable {
        location: location.to_string(),
        source: io::Error::new(io::ErrorKind::BrokenPipe, "the store is closed").into(),
    }
}

/// Whether a unique key or another constraint refused what was written.
pub(crate) fn is_constraint(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(code::CONSTRAINT)
}

/// Whether somebody else holds a lock.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(code::BUSY | code::LOCKED))
}

/// Whether a commit that failed like this is certain not to come back.
///
/// A full disk fails the write of a frame, and without its last frame a transaction is none. An I/O error may be that of the
/// sync after all frames were written, and then a restart may find them.
pub(crate) fn undoes_commit(error: &sqlx::Error) -> bool {
    matches!(
        primary_code(error),
        Some(code::BUSY | code::LOCKED | code::READONLY | code::FULL | code::CONSTRAINT)
    )
}

/// Whether a statement made no sense where it was.
pub(crate) fn is_misuse(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(code::ERROR)
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// A record that is not what it must be.
pub(crate) fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: what.into() }
}

/// What an error said, for the second and further callers that it concerns: errors can't be cloned.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

/// The same error for one more caller.
pub(crate) fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::NotMigrated { location } => StoreError::NotMigrated {
            location: location.clone(),
        },
        StoreError::NewerSchema {
            location,
            found,
            known,
        } => StoreError::NewerSchema {
            location: location.clone(),
            found: *found,
            known: *known,
        },
        StoreError::ReadOnly { location } => StoreError::ReadOnly {
            location: location.clone(),
        },
        StoreError::Unavailable { location, source } => StoreError::Unavailable {
            location: location.clone(),
            source: Told(source.to_string()).into(),
        },
        StoreError::NotDurable { location, reason } => StoreError::NotDurable {
            location: location.clone(),
            reason: reason.clone(),
        },
        StoreError::Corrupt { what } => StoreError::Corrupt { what: what.clone() },
        StoreError::Unsupported { what } => StoreError::Unsupported { what },
        other => {
            let source = std::error::Error::source(other);
            let said = source.map_or_else(|| other.to_string(), ToString::to_string);
            StoreError::Backend(Told(said).into())
        }
    }
}
