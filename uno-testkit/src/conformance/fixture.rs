//! Streams and events for cases, and what cases often look at.

use std::sync::Arc;

use uno_core::{
    AppendError, EventId, EventName, ExpectedVersion, NewEvent, Payload, Position, RecordedEvent,
    Refusal, SchemaVersion, StreamId, SubscriptionName, Version,
};
use uuid::Uuid;

/// The stream of `key` among notes.
pub(crate) fn stream(key: &str) -> StreamId {
    stream_in("note", key)
}

/// The stream of `key` in a category.
pub(crate) fn stream_in(category: &'static str, key: &str) -> StreamId {
    StreamId::new(category, key).expect("cases name streams as they can be named")
}

/// An event without content.
pub(crate) fn event() -> NewEvent {
    named("noted", "{}")
}

/// So many events that can be told apart.
pub(crate) fn events(count: usize) -> Vec<NewEvent> {
    (1..=count)
        .map(|number| named("noted", &format!(r#"{{"number":{number}}}"#)))
        .collect()
}

/// An event with this name and payload.
pub(crate) fn named(name: &str, payload: &str) -> NewEvent {
    NewEvent::from_payload(event_name(name), SchemaVersion::FIRST, json(payload))
}

/// The name of an event.
pub(crate) fn event_name(name: &str) -> EventName {
    EventName::new(name.to_owned()).expect("cases name events as they can be named")
}

/// A payload.
pub(crate) fn json(text: &str) -> Payload {
    Payload::from_json(text).expect("cases write payloads that can be stored")
}

/// The name of a subscription.
pub(crate) fn subscription(name: &str) -> SubscriptionName {
    SubscriptionName::new(name).expect("cases name subscriptions as they can be named")
}

/// A UUID that nothing else has.
pub(crate) fn new_uuid() -> Uuid {
    *EventId::new().as_uuid()
}

/// A version.
pub(crate) fn version(number: u64) -> Version {
    Version::new(number).expect("cases count with 63 bits")
}

/// That a stream has exactly this version.
pub(crate) fn exact(number: u64) -> ExpectedVersion {
    ExpectedVersion::Exact(version(number))
}

pub(crate) fn ids(events: &[Arc<RecordedEvent>]) -> Vec<EventId> {
    events.iter().map(|event| event.id()).collect()
}

pub(crate) fn new_ids(events: &[NewEvent]) -> Vec<EventId> {
    events.iter().map(NewEvent::id).collect()
}

pub(crate) fn versions(events: &[Arc<RecordedEvent>]) -> Vec<u64> {
    events.iter().map(|event| event.version().get()).collect()
}

pub(crate) fn positions(events: &[Arc<RecordedEvent>]) -> Vec<Position> {
    events.iter().map(|event| event.position()).collect()
}

/// Looks at a conflict: of which stream, and between what.
#[track_caller]
pub(crate) fn assert_conflict<T: std::fmt::Debug>(
    result: Result<T, AppendError>,
    stream: &StreamId,
    expected: ExpectedVersion,
    actual: u64,
) {
    match result {
        Err(AppendError::Conflict {
            stream: of,
            expected: wanted,
            actual: found,
        }) => {
            assert_eq!(
                (&of, wanted, found.get()),
                (stream, expected, actual),
                "the conflict says what happened"
            );
        }
        other => panic!("expected a conflict of {stream}, and got {other:?}"),
    }
}

/// Looks at a refusal: which field it names.
#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(result: Result<T, AppendError>, field: &str) {
    let refusal: Refusal = match result {
        Err(AppendError::Refused(refusal)) => refusal,
        other => panic!("expected {field} to be refused, and got {other:?}"),
    };
    assert_eq!(
        refusal.field(),
        field,
        "the refusal names the field: {refusal}"
    );
}
/// Looks at the refusal of an event that is stored already.
#[track_caller]
pub(crate) fn assert_duplicate<T: std::fmt::Debug>(
    result: Result<T, AppendError>,
    stream: &StreamId,
    id: EventId,
) {
    match result {
        Err(AppendError::DuplicateEvent {
            stream: of,
            id: found,
        }) => {
            assert_eq!(
                (&of, found),
                (stream, id),
                "the error says which event, and where it was to go"
            );
        }
        other => panic!("expected {id} to be a duplicate, and got {other:?}"),
    }
}

/// Texts that would break a store which glues them into a statement, a pattern, a path or a message.
pub(crate) const HOSTILE: [&str; 16] = [
    "'; DROP TABLE events; --",
    "\"; DELETE FROM streams WHERE \"1\"=\"1",
    "' OR '1'='1",
    "$1",
    "?1 :name @name",
    "%s%n{0}{}",
    "100%_\\",
    "\\' \\x27",
    "/* */ --",
    "a\tb\r\nc",
    "../../etc/passwd",
    "\u{202e}dlrow\u{202c} \u{5e9}\u{5dc}\u{5d5}\u{5dd}",
    "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    "\u{feff}bom",
    "\u{1}\u{7f}\u{85}",
    "\u{10ffff}\u{fffd}\u{2028}",
];
