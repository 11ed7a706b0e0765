//! Pages of the log, and where it was at a time.

use std::sync::Arc;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use uno_core::{
    AsOf, Backend, CorrelationId, Decoder, Event, EventFilter, EventName, EventStoreExt as _,
    Metadata, Position, ReadEventsError, ReadLog, RecordedEvent,
};
use uno_testkit::conformance::BackendHarness;

use super::{Guard, Store, append, event, ids};
use crate::support::log;

/// Events one after the other, each recorded later than the one before.
async fn moments<B: Backend>(store: &B, count: usize) -> Vec<Arc<RecordedEvent>> {
    let mut events: Vec<Arc<RecordedEvent>> = Vec::new();
    while events.len() < count {
        let new = append(store, "note-1", event("noted", Metadata::new())).await;
        let is_later = |last: &Arc<RecordedEvent>| new.recorded_at() > last.recorded_at();
        if events.last().is_none_or(is_later) {
            events.push(new);
        }
    }
    events
}

pub(super) async fn a_stretch_is_read_in_pages_in_both_directions<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for _ in 0..7 {
        append(&**store, "note-1", event("noted", Metadata::new())).await;
        append(&**store, "note-2", event("struck", Metadata::new())).await;
    }
    let all = log(&**store).await;
    let noted = EventFilter::all().names([EventName::new("noted").unwrap()]);
    let mut wanted: Vec<_> = all.iter().filter(|event| noted.matches(event)).collect();
    for (read, is_backward) in [
        (ReadLog::after(Position::START), false),
        (ReadLog::before(Position::MAX), true),
    ] {
        if is_backward {
            wanted.reverse();
        }
        let mut pages = store.read_pages(read.filter(noted.clone()).limit(3));
        let mut sizes = Vec::new();
        let mut found = Vec::new();
        while let Some(page) = pages.next_page().await.unwrap() {
            sizes.push(page.len());
            found.extend(page);
        }
        assert_eq!(sizes, [3, 3, 1]);
        assert!(found.iter().eq(wanted.iter().copied()));
    }
    // As of a moment, it ends there.
    let read = ReadLog::after(Position::START).as_of(AsOf::Position(all[4].position()));
    let mut pages = store.read_pages(read.limit(4));
    assert_eq!(pages.next_page().await.unwrap().unwrap().len(), 4);
    assert_eq!(
        ids(&pages.next_page().await.unwrap().unwrap()),
        [all[4].id()]
    );
    assert_eq!(pages.position(), all[4].position());
    assert_eq!(pages.next_page().await.unwrap(), None);
}

pub(super) async fn an_audit_asks_for_everything_at_once<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let correlation = CorrelationId::new();
    let metadata = |actor: &str, correlation| {
        let metadata = Metadata::new().with_actor(actor);
        metadata.with_correlation_id(correlation)
    };
    let ada = metadata("ada", correlation);
    let wanted = append(&**store, "note-1", event("noted", ada.clone())).await;
    for (name, metadata) in [
        ("struck", ada),
        ("noted", metadata("bob", correlation)),
        ("noted", metadata("ada", CorrelationId::new())),
    ] {
        append(&**store, "note-1", event(name, metadata)).await;
    }
    let filter = EventFilter::all()
        .actor("ada")
        .correlation_id(correlation)
        .names([EventName::new("noted").unwrap()])
        .recorded_from(wanted.recorded_at())
        .recorded_before(wanted.recorded_at() + TimeDelta::microseconds(1));
    for read in [
        ReadLog::after(Position::START),
        ReadLog::before(Position::MAX),
    ] {
        let mut pages = store.read_pages(read.filter(filter.clone()));
        assert_eq!(
            ids(&pages.next_page().await.unwrap().unwrap()),
            [wanted.id()]
        );
        assert_eq!(pages.next_page().await.unwrap(), None);
    }
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Counted {
    number: u32,
}

pub(super) async fn pages_are_decoded_and_stay_before_what_can_not_be<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let stream = "count-1".parse().unwrap();
    let counted: Vec<_> = (1..=3).map(|number| Counted { number }).collect();
    let any = uno_core::ExpectedVersion::Any;
    store.append_events(stream, any, &counted).await.unwrap();
    append(&**store, "count-1", event("other", Metadata::new())).await;
    append(&**store, "count-1", event("counted", Metadata::new())).await;
    let decoder = Decoder::new();
    let mut pages = store.read_pages(ReadLog::after(Position::START).limit(4));
    let page = pages.next_events::<Counted>(&decoder).await.unwrap();
    let numbers = page.unwrap().into_iter().map(|event| event.into_event());
    assert!(numbers.eq(counted));
    // The last one has no number.
    let place = pages.position();
    for _ in 0..2 {
        let error = pages.next_events::<Counted>(&decoder).await.unwrap_err();
        assert!(matches!(error, ReadEventsError::Decode(_)), "{error}");
        assert_eq!(pages.position(), place);
    }
}

pub(super) async fn the_log_is_found_at_a_time<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let empty = store.log_at(chrono::DateTime::UNIX_EPOCH).await.unwrap();
    assert_eq!(
        (empty.position(), empty.is_settled()),
        (Position::START, false)
    );
    let events = moments(&**store, 20).await;
    let log = log(&**store).await;
    let tick = TimeDelta::microseconds(1);
    for event in &events {
        for time in [event.recorded_at() - tick, event.recorded_at()] {
            let known = log.iter().rev().find(|event| event.recorded_at() <= time);
            let at = store.log_at(time).await.unwrap();
            let position = known.map_or(Position::START, |event| event.position());
            assert_eq!(at.position(), position);
            assert_eq!(at.last(), known.map(|event| (event.position(), event.id())));
            // Nothing comes in below what was seen: it stays like this if something was recorded later.
            let later = log.last().unwrap().recorded_at() > time;
            assert_eq!(at.is_settled(), later);
        }
    }
    let nanoseconds = events[3].recorded_at() + TimeDelta::nanoseconds(999);
    let same = store.log_at(events[3].recorded_at()).await.unwrap();
    assert_eq!(store.log_at(nanoseconds).await.unwrap(), same);
    for (far, position) in [
        (
            chrono::DateTime::<chrono::Utc>::MAX_UTC,
            log.last().unwrap().position(),
        ),
        (chrono::DateTime::<chrono::Utc>::MIN_UTC, Position::START),
    ] {
        assert_eq!(store.log_at(far).await.unwrap().position(), position);
    }
}
