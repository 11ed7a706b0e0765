//! From rows to recorded events.

use std::{collections::BTreeMap, sync::Arc};

use sqlx::{Decode, Postgres, Row as _, postgres::PgRow};
use uno_core::{
    Category, CorrelationId, EventId, EventName, Metadata, Payload, Position, RecordedEvent,
    RecordedParts, SchemaVersion, StreamId, Version,
};

use crate::{
    fault::Fault,
    value::{PgJson, PgTime, PgUuid},
};

/// The columns of an event `e`, in the order that [`Events`] reads them.
pub(crate) const COLUMNS: &str = "e.position, e.id, e.version, e.name, e.schema_version, e.payload, e.occurred_at, e.recorded_at, \
     e.correlation_id, e.causation_id, e.actor, e.tenant, e.traceparent, e.headers, e.tags, e.causing_event";

/// How many columns there are before those of the stream.
const STREAM: usize = 16;

/// Reads the events of one page. Names and categories, which are few, are shared between its events, and so is the id of a stream
/// between those of its events that follow one another.
#[derive(Debug, Default)]
pub(crate) struct Events {
    names: Vec<EventName>,
    categories: Vec<Category>,
    last: Option<StreamId>,
}

impl Events {
    /// An event of a known stream.
    pub(crate) fn of_stream(
        &mut self,
        row: &PgRow,
        stream: &StreamId,
    ) -> Result<Arc<RecordedEvent>, Fault> {
        self.event(row, stream.clone())
    }

    /// An event whose stream is in the columns that follow.
    pub(crate) fn of_log(&mut self, row: &PgRow) -> Result<Arc<RecordedEvent>, Fault> {
        let category: &str = value(row, STREAM)?;
        let key: &str = value(row, STREAM + 1)?;
        let same = |last: &&StreamId| last.key() == key && last.category().as_str() == category;
        if let Some(stream) = self.last.as_ref().filter(same) {
            let stream = stream.clone();
            return self.event(row, stream);
        }
        let category = match self
            .categories
            .iter()
            .find(|known| known.as_str() == category)
        {
            Some(known) => known.clone(),
            None => {
                let new = Category::new(category.to_owned()).map_err(Fault::corrupt)?;
                self.categories.push(new.clone());
                new
            }
        };
        let stream = StreamId::in_category(category, key).map_err(Fault::corrupt)?;
        self.last = Some(stream.clone());
        self.event(row, stream)
    }

    fn event(&mut self, row: &PgRow, stream: StreamId) -> Result<Arc<RecordedEvent>, Fault> {
        let name: &str = value(row, 3)?;
        let name = match self.names.iter().find(|known| known.as_str() == name) {
            Some(known) => known.clone(),
            None => {
                let new = EventName::new(name.to_owned()).map_err(Fault::corrupt)?;
                self.names.push(new.clone());
                new
            }
        };
        let schema_version = u32::try_from(value::<i64>(row, 4)?).map_err(Fault::corrupt)?;
        let tags: Option<Vec<String>> = value(row, 14)?;
        Ok(Arc::new(RecordedEvent::from_parts(RecordedParts {
            id: EventId::from_uuid(value::<PgUuid>(row, 1)?.0),
            stream,
            version: version(value(row, 2)?)?,
            position: position(value(row, 0)?)?,
            name,
            schema_version: SchemaVersion::new(schema_version),
            payload: Payload::from_stored(value::<PgJson<'_>>(row, 5)?.0),
            occurred_at: value::<PgTime>(row, 6)?.0,
            recorded_at: value::<PgTime>(row, 7)?.0,
            metadata: metadata(row)?,
            tags: tags
                .unwrap_or_default()
                .into_iter()
                .map(Arc::from)
                .collect(),
        })))
    }
}

fn metadata(row: &PgRow) -> Result<Metadata, Fault> {
    let mut metadata = Metadata::new();
    if let Some(PgUuid(id)) = value(row, 8)? {
        metadata = metadata.with_correlation_id(CorrelationId::from_uuid(id));
    }
    if let Some(PgUuid(id)) = value(row, 9)? {
        metadata = metadata.with_causation_id(id);
    }
    if let Some(actor) = value::<Option<String>>(row, 10)? {
        metadata = metadata.with_actor(actor);
    }
    if let Some(tenant) = value::<Option<String>>(row, 11)? {
        metadata = metadata.with_tenant(tenant);
    }
    if let Some(traceparent) = value::<Option<&str>>(row, 12)? {
        metadata = metadata.with_traceparent(traceparent.parse().map_err(Fault::corrupt)?);
    }
    if let Some(PgJson(headers)) = value::<Option<PgJson<'_>>>(row, 13)? {
        let headers: BTreeMap<String, String> = serde_json::from_str(headers)
            .map_err(|_| Fault::corrupt("the headers of an event are not an object of texts"))?;
        metadata = metadata.with_headers(headers);
    }
    if let Some(PgUuid(id)) = value(row, 15)? {
        metadata = metadata.with_causing_event(EventId::from_uuid(id));
    }
    Ok(metadata)
}

/// A column of ours as what the migrations say that it is. The driver would compare the types for each value anew, which costs as
/// much as all that is read here.
fn value<'r, T: Decode<'r, Postgres>>(row: &'r PgRow, column: usize) -> Result<T, Fault> {
    Ok(row.try_get_unchecked(column)?)
}

pub(crate) fn position(number: i64) -> Result<Position, Fault> {
    Position::try_from(number).map_err(Fault::corrupt)
}

pub(crate) fn version(number: i64) -> Result<Version, Fault> {
    Version::try_from(number).map_err(Fault::corrupt)
}
