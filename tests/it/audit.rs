//! Looking for what happened: pages of the log, the log at a time, causes and effects, and a stretch once more into handlers.

#![expect(
    clippy::unwrap_used,
    reason = "cases are functions that tests call: one that panics has failed"
)]

mod application;
mod asked;
mod causes;
mod pages;
mod replay;

use std::sync::Arc;

use uno_core::{
    Backend, EventId, EventName, ExpectedVersion, Metadata, NewEvent, Payload, RecordedEvent,
    SchemaVersion, StreamAppend, StreamId,
};
use uno_testkit::conformance::Harness;

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// The cases on one store.
macro_rules! suite {
    ($name:ident, $harness:expr) => {
        mod $name {
            crate::support::on_store!($harness; super::pages:
                a_stretch_is_read_in_pages_in_both_directions
                an_audit_asks_for_everything_at_once
                pages_are_decoded_and_stay_before_what_can_not_be
                the_log_is_found_at_a_time);
            crate::support::on_store!($harness; super::causes:
                a_tree_goes_up_to_the_beginning_and_down_to_the_last_effect
                commands_and_timers_are_in_between
                there_is_no_tree_of_an_event_that_is_not_there
                limits_cut_the_tree_and_it_tells
                a_circle_of_causes_is_gone_through_once
                a_level_is_one_question_of_each_kind);
            crate::support::on_store!($harness; super::replay:
                a_stretch_goes_to_replay_safe_handlers_alone
                a_stretch_is_given_by_times
                a_failure_ends_it_and_it_goes_on_there);
        }
    };
}

crate::support::on_each_store!(suite);

/// An event without a type.
fn event(name: &str, metadata: Metadata) -> NewEvent {
    let payload = Payload::from_json("{}").unwrap();
    NewEvent::from_payload(
        EventName::new(name.to_owned()).unwrap(),
        SchemaVersion::new(1),
        payload,
    )
    .with_metadata(metadata)
}

/// Appends an event at the end of a stream, as it comes back.
async fn append<B: Backend>(store: &B, stream: &str, event: NewEvent) -> Arc<RecordedEvent> {
    let stream: StreamId = stream.parse().unwrap();
    let id = event.id();
    let append = StreamAppend::new(stream, ExpectedVersion::Any, vec![event]);
    store.append(vec![append]).await.unwrap();
    by_id(store, id).await
}

async fn by_id<B: Backend>(store: &B, id: EventId) -> Arc<RecordedEvent> {
    let filter = uno_core::EventFilter::all().ids([id]);
    let read = uno_core::ReadLog::after(uno_core::Position::START).filter(filter);
    store.read_log(read).await.unwrap().into_events()[0].clone()
}

/// What an event sets off directly.
async fn effect<B: Backend>(store: &B, of: &RecordedEvent, name: &str) -> Arc<RecordedEvent> {
    append(store, "effect-1", event(name, Metadata::caused_by(of))).await
}

fn ids(events: &[Arc<RecordedEvent>]) -> Vec<EventId> {
    events.iter().map(|event| event.id()).collect()
}
