//! Rows of tables as what they stand for.

use std::num::NonZeroU16;

use chrono::{DateTime, Utc};
use sqlx::{Decode, Row, Sqlite, Type, sqlite::SqliteRow};
use uno_core::{
    Checkpoint, CorrelationId, Document, EventId, EventName, Fence, Lane, LeaseOwner, Metadata,
    Payload, Position, ProcessRecord, ProcessStatus, RecordedEvent, RecordedParts, SchemaVersion,
    StoreEpoch, StoreError, StreamId, Version,
};
use uuid::Uuid;

use crate::error::corrupt;

/// What is selected of an event whose stream is known. sqlx copies every column of every row, also those that are null,
/// so those that mostly are come as one.
pub(crate) const EVENT: &str = "e.position, e.version, e.id, e.name, e.schema_version, e.payload, e.occurred_at, \
     e.recorded_at, e.correlation_id, e.causation_id, e.causing_event, e.actor, \
     CASE WHEN e.tenant IS NULL AND e.traceparent IS NULL AND e.headers IS NULL AND e.tags IS NULL THEN NULL \
     ELSE json_array(e.tenant, e.traceparent, e.headers, e.tags) END";

/// How many columns [`EVENT`] is.
pub(crate) const EVENT_COLUMNS: usize = 13;

/// The event in a row that has the columns of [`EVENT`] from `first` on.
pub(crate) fn event(
    row: &SqliteRow,
    first: usize,
    stream: StreamId,
) -> Result<RecordedEvent, StoreError> {
    let position: i64 = column(row, first)?;
    let fault = |what: &str| corrupt(format!("the event at position {position} has {what}"));
    let name: String = column(row, first + 3)?;
    let schema_version: i64 = column(row, first + 4)?;
    let payload: &str = column(row, first + 5)?;
    Ok(RecordedEvent::from_parts(RecordedParts {
        id: EventId::from_uuid(
            uuid(column(row, first + 2)?).ok_or_else(|| fault("an id that is none"))?,
        ),
        stream,
        version: Version::try_from(column::<i64>(row, first + 1)?)
            .map_err(|_| fault("a negative version"))?,
        position: Position::try_from(position).map_err(|_| fault("a negative position"))?,
        name: EventName::new(name).map_err(|_| fault("a name that is none"))?,
        schema_version: SchemaVersion::new(
            u32::try_from(schema_version).map_err(|_| fault("a schema version that is none"))?,
        ),
        payload: Payload::from_stored(payload),
        occurred_at: time(column(row, first + 6)?)
            .ok_or_else(|| fault("a time out of all bounds"))?,
        recorded_at: time(column(row, first + 7)?)
            .ok_or_else(|| fault("a time out of all bounds"))?,
        metadata: metadata(row, first + 8).ok_or_else(|| fault("metadata that can't be read"))?,
        tags: tags(row, first + 12).ok_or_else(|| fault("tags that can't be read"))?,
    }))
}

/// What seldom is there: tenant, traceparent, headers and tags, the last two as JSON.
type Rare = (
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

fn rare(row: &SqliteRow, at: usize) -> Option<Option<Rare>> {
    match row.try_get::<Option<&str>, _>(at).ok()? {
        Some(text) => serde_json::from_str(text).ok().map(Some),
        None => Some(None),
    }
}

/// `None` when it can't be read.
fn metadata(row: &SqliteRow, first: usize) -> Option<Metadata> {
    let mut metadata = Metadata::new();
    if let Some(id) = row.try_get::<Option<&[u8]>, _>(first).ok()? {
        metadata = metadata.with_correlation_id(CorrelationId::from_uuid(uuid(id)?));
    }
    if let Some(id) = row.try_get::<Option<&[u8]>, _>(first + 1).ok()? {
        metadata = metadata.with_causation_id(uuid(id)?);
    }
    if let Some(id) = row.try_get::<Option<&[u8]>, _>(first + 2).ok()? {
        metadata = metadata.with_causing_event(EventId::from_uuid(uuid(id)?));
    }
    if let Some(actor) = row.try_get::<Option<String>, _>(first + 3).ok()? {
        metadata = metadata.with_actor(actor);
    }
    if let Some((tenant, traceparent, headers, _)) = rare(row, first + 4)? {
        if let Some(tenant) = tenant {
            metadata = metadata.with_tenant(tenant);
        }
        if let Some(traceparent) = traceparent {
            metadata = metadata.with_traceparent(traceparent.parse().ok()?);
        }
        if let Some(headers) = headers {
            metadata = metadata.with_headers(serde_json::from_str(&headers).ok()?);
        }
    }
    Some(metadata)
}

/// `None` when they can't be read.
fn tags(row: &SqliteRow, at: usize) -> Option<Vec<std::sync::Arc<str>>> {
    match rare(row, at)? {
        Some((_, _, _, Some(tags))) => {
            let tags: Vec<String> = serde_json::from_str(&tags).ok()?;
            Some(tags.into_iter().map(Into::into).collect())
        }
        _ => Some(Vec::new()),
    }
}

/// A document whose key, revision and body are the columns from `first` on.
pub(crate) fn document(row: &SqliteRow, first: usize) -> Result<Document, StoreError> {
    let key: String = column(row, first)?;
    let revision = u64::try_from(column::<i64>(row, first + 1)?)
        .map_err(|_| corrupt(format!("the revision of document {key}")))?;
    let body: &str = column(row, first + 2)?;
    Ok(Document::new(key, revision, Payload::from_stored(body)))
}

/// The process instance in a row that has its key, revision, status and body from `first` on.
pub(crate) fn process(
    process: &str,
    row: &SqliteRow,
    first: usize,
) -> Result<ProcessRecord, StoreError> {
    let key: String = column(row, first)?;
    let status: &str = column(row, first + 2)?;
    let revision = u64::try_from(column::<i64>(row, first + 1)?);
    let (Ok(revision), Some(status)) = (revision, ProcessStatus::from_stored(status)) else {
        return Err(corrupt(format!("instance {key} of process {process}")));
    };
    let body: &str = column(row, first + 3)?;
    Ok(ProcessRecord::new(
        key,
        revision,
        status,
        Payload::from_stored(body),
    ))
}

/// The checkpoint whose epoch, position and event are the columns from `first` on; `None` when it was never saved.
pub(crate) fn checkpoint(row: &SqliteRow, first: usize) -> Result<Option<Checkpoint>, StoreError> {
    let fault = || corrupt("the checkpoint of a subscription");
    let Some(epoch) = column::<Option<&[u8]>>(row, first)? else {
        return Ok(None);
    };
    let epoch = uuid(epoch).map(StoreEpoch::from_uuid).ok_or_else(fault)?;
    let position = Position::try_from(column::<i64>(row, first + 1)?).map_err(|_| fault())?;
    Ok(Some(match column::<Option<&[u8]>>(row, first + 2)? {
        None => Checkpoint::start(epoch),
        Some(id) => {
            let id = uuid(id).map(EventId::from_uuid).ok_or_else(fault)?;
            Checkpoint::after(epoch, position, id)
        }
    }))
}

/// The lane whose number is in a column.
pub(crate) fn lane(row: &SqliteRow, index: usize) -> Result<Lane, StoreError> {
    let number = u16::try_from(column::<i64>(row, index)?);
    number
        .map(Lane::new)
        .map_err(|_| corrupt("the number of a lane"))
}

/// How many lanes there are.
pub(crate) fn lane_count(count: i64) -> Result<NonZeroU16, StoreError> {
    let count = u16::try_from(count).ok().and_then(NonZeroU16::new);
    count.ok_or_else(|| corrupt("the number of lanes of a subscription"))
}

/// The fence in a column.
pub(crate) fn fence(row: &SqliteRow, index: usize) -> Result<Fence, StoreError> {
    let number = u64::try_from(column::<i64>(row, index)?);
    number
        .map(Fence::new)
        .map_err(|_| corrupt("the fence of a lane"))
}

/// The owner whose id and name are the columns from `first` on.
pub(crate) fn holder(row: &SqliteRow, first: usize) -> Result<Option<LeaseOwner>, StoreError> {
    let Some(id) = column::<Option<&[u8]>>(row, first)? else {
        return Ok(None);
    };
    let id = uuid(id).ok_or_else(|| corrupt("the holder of a lane"))?;
    let name: String = column(row, first + 1)?;
    Ok(Some(LeaseOwner::from_parts(id, name)))
}

/// The attempt whose position and number are the columns from `first` on.
pub(crate) fn attempt(
    row: &SqliteRow,
    first: usize,
) -> Result<Option<(Position, u32)>, StoreError> {
    let Some(position) = column::<Option<i64>>(row, first)? else {
        return Ok(None);
    };
    let number = u32::try_from(column::<i64>(row, first + 1)?);
    match (Position::try_from(position), number) {
        (Ok(position), Ok(number)) => Ok(Some((position, number))),
        _ => Err(corrupt("an attempt in a lane")),
    }
}

/// The value of a column.
pub(crate) fn column<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(
    row: &'r SqliteRow,
    index: usize,
) -> Result<T, StoreError> {
    row.try_get(index)
        .map_err(|error| corrupt(error.to_string()))
}

/// The number in a column, which is an index into what was asked for.
pub(crate) fn index(row: &SqliteRow, column_index: usize) -> Result<usize, StoreError> {
    usize::try_from(column::<i64>(row, column_index)?)
        .map_err(|_| corrupt("an answer without a question"))
}

pub(crate) fn uuid(bytes: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(bytes).ok()
}

/// Whole microseconds since 1970, as they are stored.
pub(crate) fn time(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
}
