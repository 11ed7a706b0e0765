//! What went wrong with the database, without what must not be seen: no values, no statements, no addresses.

use std::fmt;

use uno_core::{BoxError, StoreError};

/// What went wrong.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The server refused, and rolled back what was asked.
    Server(ServerError),
    /// The link failed, or an answer did not come in time: what was asked may have been done.
    Link(LinkError),
    /// Something that is typed already.
    Store(StoreError),
}

impl Fault {
    /// The server's SQLSTATE, if it answered.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Server(error) => Some(&error.code),
            Self::Link(_) | Self::Store(_) => None,
        }
    }

    /// Whether the connection is still good.
    pub(crate) fn keeps_connection(&self) -> bool {
        !matches!(self, Self::Link(_))
    }

    /// Whether a fresh start of the same transaction may succeed.
    pub(crate) fn is_retryable(&self) -> bool {
        // Somebody else was faster (ours), serialization failure, deadlock.
        matches!(self.code(), Some("UN001" | "40001" | "40P01"))
    }

    /// Whether this says that an event's id, or its place in the stream, is taken.
    pub(crate) fn is_duplicate(&self) -> bool {
        self.code() == Some("23505")
    }

    /// As the error that callers of a store see.
    pub(crate) fn into_store_error(self, location: &str) -> StoreError {
        let location = location.to_owned();
        match self {
            Self::Store(error) => error,
            Self::Link(error) => StoreError::Unavailable {
                location,
                source: error.into(),
            },
            Self::Server(error) => match error.code.as_str() {
                // No such table, schema or function.
                "42P01" | "3F000" | "42883" => StoreError::NotMigrated { location },
                // A read-only transaction; no right to write.
                "25006" | "42501" => StoreError::ReadOnly { location },
                "UN003" => StoreError::Unsupported {
                    what: "a standby as the store: only the primary knows who is appending",
                },
                "40001" | "40P01" | "55P03" | "57014" | "53300" | "53400" | "55000" | "25P03" => {
                    StoreError::Unavailable {
                        location,
                        source: error.into(),
                    }
                }
                code if code.starts_with("08") || code.starts_with("57P") => {
                    StoreError::Unavailable {
                        location,
                        source: error.into(),
                    }
                }
                _ => StoreError::Backend(error.into()),
            },
        }
    }

    /// As the cause of a doubt.
    pub(crate) fn into_source(self) -> BoxError {
        match self {
            Self::Server(error) => error.into(),
            Self::Link(error) => error.into(),
            Self::Store(error) => error.into(),
        }
    }

    /// The same once more, for another caller.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Server(error) => Self::Server(error.clone()),
            Self::Link(error) => Self::Link(error.clone()),
            Self::Store(error) => Self::Store(again(error)),
        }
    }

    /// The link did not answer in time.
    pub(crate) fn late() -> Self {
        Self::Link(LinkError("the server did not answer in time".into()))
    }

    /// A task of ours ended before its work did.
    pub(crate) fn ended() -> Self {
        Self::Link(LinkError("the runtime was shut down".into()))
    }

    /// A record that is not what it must be.
    pub(crate) fn corrupt(what: impl fmt::Display) -> Self {
        Self::Store(StoreError::Corrupt {
            what: what.to_string(),
        })
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default().into_owned();
                // The server says goodbye: it was about to end this session, before or after it did what was asked.
                if code.starts_with("57P") || code.starts_with("08") {
                    return Self::Link(LinkError(format!("{} ({code})", error.message())));
                }
                // Detail, hint and context can have the user's data in them; message and code are the server's words.
                Self::Server(ServerError {
                    code,
                    message: error.message().to_owned(),
                })
            }
            sqlx::Error::ColumnDecode { index, .. } => {
                Self::corrupt(format_args!("column {index} can't be decoded"))
            }
            sqlx::Error::Decode(_) => Self::corrupt("a column can't be decoded"),
            sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => {
                Self::Store(StoreError::Backend("a value can't be encoded".into()))
            }
            sqlx::Error::Io(error) => Self::Link(LinkError(error.to_string())),
            other => Self::Link(LinkError(other.to_string())),
        }
    }
}

/// The same error once more. A source becomes its text.
fn again(error: &StoreError) -> StoreError {
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
            source: source.to_string().into(),
        },
        StoreError::NotDurable { location, reason } => StoreError::NotDurable {
            location: location.clone(),
            reason: reason.clone(),
        },
        StoreError::Corrupt { what } => StoreError::Corrupt { what: what.clone() },
        StoreError::Unsupported { what } => StoreError::Unsupported { what },
        other => StoreError::Backend(other.to_string().into()),
    }
}

/// What the server said, without the parts that can repeat values.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message} ({code})")]
pub(crate) struct ServerError {
    code: String,
    message: String,
}

/// What became of the link.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct LinkError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_sqlstate_has_its_error() {
        let check = |code: &str, expected: fn(&StoreError) -> bool| {
            let fault = Fault::Server(ServerError {
                code: code.to_owned(),
                message: "m".to_owned(),
            });
            let error = fault.into_store_error("here");
            assert!(expected(&error), "{code}: {error:?}");
        };
        for code in ["42P01", "3F000", "42883"] {
            check(code, |e| matches!(e, StoreError::NotMigrated { .. }));
        }
        for code in ["25006", "42501"] {
            check(code, |e| matches!(e, StoreError::ReadOnly { .. }));
        }
        for code in ["40001", "40P01", "55P03", "57014", "53300"] {
            check(code, |e| matches!(e, StoreError::Unavailable { .. }));
        }
        for code in ["28P01", "3D000", "22P02", "23505", "54000"] {
            check(code, |e| matches!(e, StoreError::Backend(_)));
        }
        check("UN003", |e| matches!(e, StoreError::Unsupported { .. }));
    }
}
