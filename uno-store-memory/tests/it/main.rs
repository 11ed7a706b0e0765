//! What the store in memory has beyond the ports: its builder, its transaction, and how it shows itself.
//!
//! That it keeps the ports' guarantees is shown by the conformance suite, in the workspace's `tests` package.

mod builder;
mod timers;
mod tx;

use uno_core::{
    BoxError, EventName, ExpectedVersion, NewEvent, Payload, SchemaVersion, StreamAppend,
};

type Outcome = Result<(), BoxError>;

fn append(
    key: &str,
    expected: ExpectedVersion,
    payload: &str,
) -> Result<Vec<StreamAppend>, BoxError> {
    let event = NewEvent::from_payload(
        EventName::new("noted")?,
        SchemaVersion::FIRST,
        Payload::from_json(payload)?,
    );
    Ok(vec![StreamAppend::new(
        format!("note-{key}").parse()?,
        expected,
        vec![event],
    )])
}
