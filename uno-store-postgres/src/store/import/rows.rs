//! Events as rows of a binary `COPY`: see the PostgreSQL manual, "COPY", "Binary Format".

use chrono::{DateTime, Utc};
use uno_core::NewEvent;

use crate::{batch, value::PgTime};

/// What comes before the rows: signature, no flags, no extension.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What comes after them.
pub(super) const END: &[u8] = &(-1_i16).to_be_bytes();

/// The table that the rows go to. It is emptied by the end of the transaction, and gone with the session.
pub(super) const TABLE: &str = "CREATE TEMPORARY TABLE IF NOT EXISTS uno_import (\
     ord integer NOT NULL, item integer NOT NULL, place bigint NOT NULL, id uuid NOT NULL, name text NOT NULL, \
     schema_version bigint NOT NULL, payload json NOT NULL, occurred_at timestamptz NOT NULL, correlation_id uuid, \
     causation_id uuid, causing_event uuid, actor text, tenant text, traceparent text, headers json, tags text[]) ON COMMIT DELETE ROWS";

pub(super) const COPY: &str = "COPY pg_temp.uno_import FROM STDIN (FORMAT binary)";

/// How many columns the table has.
const COLUMNS: i16 = 16;

/// A type's number in Postgres, within an array.
const TEXT: i32 = 25;

/// A count or an index as Postgres takes it. No chunk has more than fit: its arrays would not.
pub(super) fn index(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Adds the row of an event: the `place` from 1 in the append `item`, both in the chunk from 1.
pub(super) fn event(rows: &mut Vec<u8>, ord: i32, item: i32, place: i64, event: &NewEvent) {
    let metadata = event.metadata();
    rows.extend_from_slice(&COLUMNS.to_be_bytes());
    field(rows, &ord.to_be_bytes());
    field(rows, &item.to_be_bytes());
    field(rows, &place.to_be_bytes());
    field(rows, event.id().as_uuid().as_bytes());
    field(rows, event.name().as_str().as_bytes());
    field(rows, &i64::from(event.schema_version().get()).to_be_bytes());
    field(rows, event.payload().as_str().as_bytes());
    field(rows, &time(event.occurred_at()));
    let correlation = metadata.correlation_id();
    optional(
        rows,
        correlation
            .as_ref()
            .map(|id| id.as_uuid().as_bytes().as_slice()),
    );
    let causation = metadata.causation_id();
    optional(rows, causation.as_ref().map(|id| id.as_bytes().as_slice()));
    let causing = metadata.causing_event();
    optional(
        rows,
        causing
            .as_ref()
            .map(|id| id.as_uuid().as_bytes().as_slice()),
    );
    optional(rows, metadata.actor().map(str::as_bytes));
    optional(rows, metadata.tenant().map(str::as_bytes));
    optional(
        rows,
        metadata
            .traceparent()
            .map(|parent| parent.as_str().as_bytes()),
    );
    let headers = batch::headers(metadata.headers());
    optional(rows, headers.as_deref().map(str::as_bytes));
    tags(rows, event);
}

fn time(time: DateTime<Utc>) -> [u8; 8] {
    PgTime(time).micros().to_be_bytes()
}

fn field(rows: &mut Vec<u8>, value: &[u8]) {
    rows.extend_from_slice(&index(value.len()).to_be_bytes());
    rows.extend_from_slice(value);
}

fn optional(rows: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => field(rows, value),
        None => rows.extend_from_slice(&(-1_i32).to_be_bytes()),
    }
}

/// Tags as an array of texts: dimensions, no NULLs, the type, then length and first index; NULL when there are none.
fn tags(rows: &mut Vec<u8>, event: &NewEvent) {
    if event.tags().is_empty() {
        return optional(rows, None);
    }
    let mut array = Vec::new();
    for number in [1, 0, TEXT, index(event.tags().len()), 1] {
        array.extend_from_slice(&number.to_be_bytes());
    }
    for tag in event.tags() {
        field(&mut array, tag.as_bytes());
    }
    field(rows, &array);
}
