//! From a stored instance to one that this definition can go on with, and back.

use serde_json::Value;
use uno_core::{Payload, ProcessRecord, ProcessStatus};

use crate::{Saga, TransitionError, instance::Instance};

/// The body of a record for an instance that is not there: inputs for it are parked, or were.
pub(crate) const NO_INSTANCE: &str = "null";

/// The instance in a record; `None` when the record is only there for what is parked.
pub(crate) fn decode<S: Saga>(
    record: &ProcessRecord,
) -> Result<Option<Instance<S>>, TransitionError> {
    let body = record.body().as_str();
    if body == NO_INSTANCE {
        return Ok(None);
    }
    let mut instance = match serde_json::from_str::<Instance<S>>(body) {
        Ok(instance) if instance.version == S::VERSION => instance,
        // It may be of another version, whose state may or may not fit this one's type.
        direct => upgraded(record.key(), body, direct.err())?,
    };
    if record.status() != ProcessStatus::Parked {
        instance.status = record.status();
    }
    Ok(Some(instance))
}

fn upgraded<S: Saga>(
    key: &str,
    body: &str,
    error: Option<serde_json::Error>,
) -> Result<Instance<S>, TransitionError> {
    let unreadable = |source: uno_core::BoxError| TransitionError::Unreadable {
        key: key.to_owned(),
        source,
    };
    let raw: Instance<Value> = match serde_json::from_str(body) {
        Ok(raw) => raw,
        Err(other) => return Err(unreadable(error.unwrap_or(other).into())),
    };
    let (key, found) = (key.to_owned(), raw.version);
    if found > S::VERSION {
        let known = S::VERSION;
        return Err(TransitionError::NewerVersion { key, found, known });
    }
    if found < S::OLDEST {
        let oldest = S::OLDEST;
        return Err(TransitionError::OlderVersion { key, found, oldest });
    }
    if let (true, Some(error)) = (found == S::VERSION, error) {
        return Err(unreadable(error.into()));
    }
    let mut state = raw.state.clone();
    for from in found..S::VERSION {
        state = S::upgrade(from, state).map_err(unreadable)?;
    }
    let state: S = serde_json::from_value(state).map_err(|error| unreadable(error.into()))?;
    let mut instance = raw.with_state(state);
    // Whoever saves it saves the new shape: under the old version it would be brought up once more.
    instance.version = S::VERSION;
    Ok(instance)
}

/// The instance as it is stored.
pub(crate) fn encode<S: Saga>(
    key: &str,
    instance: &Instance<S>,
) -> Result<Payload, TransitionError> {
    Payload::encode(instance).map_err(|source| TransitionError::Unstorable {
        key: key.to_owned(),
        source,
    })
}

/// The body that says that there is no instance.
pub(crate) fn no_instance() -> Payload {
    Payload::from_stored(NO_INSTANCE)
}
