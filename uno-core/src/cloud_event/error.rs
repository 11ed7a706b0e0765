//! [`CloudEventError`]: what is wrong with an event of CloudEvents.

/// Why something is not an event of CloudEvents, or not a recorded one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloudEventError {
    /// The text is not a JSON object.
    #[error("this is not an event in JSON")]
    Json(#[source] serde_json::Error),
    /// An attribute is missing.
    #[error("the attribute {attribute} is missing")]
    Missing {
        /// Its name; `data` for the data.
        attribute: &'static str,
    },
    /// An attribute is there twice.
    #[error("the attribute {attribute} is given twice")]
    Duplicate {
        /// Its name.
        attribute: String,
    },
    /// An attribute is not what it must be.
    #[error("the attribute {attribute:?} can't be taken: {reason}")]
    Invalid {
        /// Its name, as it was given; `data` for the data.
        attribute: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl CloudEventError {
    pub(super) fn invalid(attribute: &str, reason: impl std::fmt::Display) -> Self {
        Self::Invalid {
            attribute: attribute.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// The attribute at fault, if it is one.
    #[must_use]
    pub fn attribute(&self) -> Option<&str> {
        match self {
            Self::Json(_) => None,
            Self::Missing { attribute } => Some(attribute),
            Self::Duplicate { attribute } | Self::Invalid { attribute, .. } => Some(attribute),
        }
    }
}
