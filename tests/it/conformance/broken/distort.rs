//! What is read is not what is there: one field of an event is changed on its way out.

use std::sync::Arc;

use chrono::{SubsecRound as _, TimeDelta};
use serde_json::Value;
use uno_core::{
    EventId, Metadata, Payload, Position, RecordedEvent, RecordedParts, SchemaVersion, StreamId,
    Version,
};
use uuid::Uuid;

use super::fault::Field;

/// The event with a field that is not as it was stored.
pub(crate) fn distort(event: &Arc<RecordedEvent>, field: Field) -> Arc<RecordedEvent> {
    let mut parts = parts(event);
    let text = parts.payload.as_str();
    match field {
        Field::PayloadText => parts.payload = normalised(&parts.payload),
        Field::PayloadNumbers if exact(text) => parts.payload = normalised(&parts.payload),
        Field::PayloadLength if text.len() > 65_535 => parts.payload = Payload::from_stored("null"),
        Field::PayloadDepth if depth(text) > 32 => parts.payload = Payload::from_stored("null"),
        Field::PayloadLetters => {
            parts.payload = Payload::from_stored(text.replace(|c: char| !c.is_ascii(), "?"));
        }
        Field::Quotes => {
            parts.metadata = texts(&parts.metadata, |text| text.replace('\'', "''"));
            parts.tags = parts
                .tags
                .iter()
                .map(|tag| tag.replace('\'', "''").into())
                .collect();
        }
        Field::Composition => parts.payload = Payload::from_stored(text.replace("e\u{301}", "é")),
        Field::OccurredMillis => parts.occurred_at = parts.occurred_at.trunc_subsecs(3),
        Field::OccurredBefore1970 if parts.occurred_at.timestamp() < 0 => {
            parts.occurred_at -= TimeDelta::seconds(1);
        }
        Field::RecordedFalls if parts.position.get().is_multiple_of(2) => {
            parts.recorded_at -= TimeDelta::seconds(1);
        }
        Field::RecordedNanos => parts.recorded_at += TimeDelta::nanoseconds(1),
        Field::RecordedIsOccurred => parts.recorded_at = parts.occurred_at,
        Field::SchemaVersion => {
            parts.schema_version = SchemaVersion::new(
                parts
                    .schema_version
                    .get()
                    .clamp(1, i32::MAX.cast_unsigned()),
            );
        }
        Field::EmptyTexts => {
            parts.metadata = rebuilt(&parts.metadata, |field, text| {
                !(matches!(field, Field::Actor | Field::Tenant) && text.is_empty())
            });
        }
        Field::LongTexts => {
            parts.metadata = texts(&parts.metadata, |text| text.chars().take(2700).collect());
        }
        Field::LongNames if parts.stream.key().len() > 255 => {
            let short: String = parts.stream.key().chars().take(120).collect();
            if let Ok(stream) = StreamId::in_category(parts.stream.category().clone(), short) {
                parts.stream = stream;
            }
        }
        Field::Correlation
        | Field::Causation
        | Field::CausingEvent
        | Field::Actor
        | Field::Tenant
        | Field::Trace
        | Field::Headers => {
            parts.metadata = rebuilt(&parts.metadata, |part, _| part != field);
        }
        Field::Tags => {
            parts.tags.sort();
            parts.tags.dedup();
        }
        // As a column that only takes UUIDs of version 7 would have it.
        Field::Id => {
            parts.id =
                EventId::from_uuid(Uuid::from_u128(parts.id.as_uuid().as_u128() | 0x7000 << 64));
        }
        Field::VersionGap if parts.version.get() > 2 => parts.version = parts.version.next(),
        Field::Positions => {
            let number = parts.position.get();
            let swapped = if number.is_multiple_of(2) {
                number - 1
            } else {
                number + 1
            };
            parts.position = Position::new(swapped).unwrap_or(Position::MAX);
        }
        Field::InTheLogOnly => parts.payload = Payload::from_stored("\"in the log\""),
        _ => {}
    }
    Arc::new(RecordedEvent::from_parts(parts))
}

/// The event with another payload.
pub(crate) fn with_payload(event: &RecordedEvent, payload: Payload) -> Arc<RecordedEvent> {
    Arc::new(RecordedEvent::from_parts(RecordedParts {
        payload,
        ..parts(event)
    }))
}

/// JSON as a store keeps it that parses and prints it anew.
pub(crate) fn normalised(payload: &Payload) -> Payload {
    let value: Value = serde_json::from_str(payload.as_str()).unwrap_or_default();
    Payload::from_stored(value.to_string())
}

fn parts(event: &RecordedEvent) -> RecordedParts {
    RecordedParts {
        id: event.id(),
        stream: event.stream().clone(),
        version: Version::new(event.version().get()).unwrap_or(Version::MAX),
        position: event.position(),
        name: event.name().clone(),
        schema_version: event.schema_version(),
        payload: event.payload().clone(),
        occurred_at: event.occurred_at(),
        recorded_at: event.recorded_at(),
        metadata: event.metadata().clone(),
        tags: event.tags().to_vec(),
    }
}

/// Whether a number is written with more digits than most programs keep.
fn exact(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit())
        .any(|digits| digits.len() > 17)
}

fn depth(text: &str) -> usize {
    text.chars().filter(|c| matches!(c, '[' | '{')).count()
}

fn texts(metadata: &Metadata, change: impl Fn(&str) -> String) -> Metadata {
    let mut changed = rebuilt(metadata, |field, _| {
        !matches!(field, Field::Actor | Field::Tenant | Field::Headers)
    });
    if let Some(actor) = metadata.actor() {
        changed = changed.with_actor(change(actor));
    }
    if let Some(tenant) = metadata.tenant() {
        changed = changed.with_tenant(change(tenant));
    }
    for (name, value) in metadata.headers() {
        changed = changed.with_header(change(name), change(value));
    }
    changed
}

/// The metadata with those fields only that are kept.
fn rebuilt(metadata: &Metadata, keep: impl Fn(Field, &str) -> bool) -> Metadata {
    let mut kept = Metadata::new();
    if let Some(id) = metadata
        .correlation_id()
        .filter(|_| keep(Field::Correlation, ""))
    {
        kept = kept.with_correlation_id(id);
    }
    if let Some(id) = metadata
        .causation_id()
        .filter(|_| keep(Field::Causation, ""))
    {
        kept = kept.with_causation_id(id);
    }
    if let Some(id) = metadata
        .causing_event()
        .filter(|_| keep(Field::CausingEvent, ""))
    {
        kept = kept.with_causing_event(id);
    }
    if let Some(actor) = metadata.actor().filter(|actor| keep(Field::Actor, actor)) {
        kept = kept.with_actor(actor);
    }
    if let Some(tenant) = metadata
        .tenant()
        .filter(|tenant| keep(Field::Tenant, tenant))
    {
        kept = kept.with_tenant(tenant);
    }
    if let Some(trace) = metadata
        .traceparent()
        .filter(|trace| keep(Field::Trace, trace.as_str()))
    {
        kept = kept.with_traceparent(trace.clone());
    }
    if keep(Field::Headers, "") {
        kept = kept.with_headers(metadata.headers().clone());
    }
    kept
}
