//! Reads of the log, and of streams as they were: each carried out alone.

mod page;
mod window;

use std::sync::Arc;

use sqlx::{SqliteConnection, sqlite::SqliteRow};
use uno_core::{
    AsOf, Direction, EventId, LogPage, Position, ReadLog, ReadStream, RecordedEvent, StoreError,
    StreamId,
};

use self::window::Window;
use crate::{
    error::{Location, corrupt},
    row::{self, EVENT, EVENT_COLUMNS, column},
    script::Script,
};

/// A stretch of the log.
///
/// One statement gives the page and the edge of the log, so that both are of one moment: an event that is committed in between
/// would otherwise be counted as scanned without having been.
pub(crate) async fn read_log(
    read: ReadLog,
    location: Location,
    connection: &mut SqliteConnection,
) -> Result<LogPage, StoreError> {
    let window = Window::of(&read, &location, connection).await?;
    let mut script = Script::new();
    page::select(&read, &window, &mut script);
    let (mut events, mut edge) = (Vec::new(), None);
    let rows = script.run(connection, |_, row| {
        if column::<Option<i64>>(row, 1)?.is_some() {
            events.push(Arc::new(logged(row)?));
        } else {
            edge = Some(scanned(row)?);
        }
        Ok(())
    });
    rows.await
        .map_err(|failure| failure.into_store_error(&location))?;
    let scanned = if events.len() == read.max_events() {
        events.last().map(|event| (event.position(), event.id()))
    } else {
        edge
    };
    Ok(LogPage::new(events, scanned))
}

/// A stretch of a stream, backward, or as it was at some moment.
pub(crate) async fn read_stream_as_of(
    read: ReadStream,
    location: Location,
    connection: &mut SqliteConnection,
) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
    let (position, time) = match read.moment() {
        None => (i64::MAX, i64::MAX),
        Some(AsOf::Position(position)) => (position.as_i64(), i64::MAX),
        Some(AsOf::Time(time)) => (i64::MAX, time.timestamp_micros()),
    };
    let order = order(read.direction());
    let stream = read.stream();
    let mut script = Script::new();
    script
        .push(&format!(
            "SELECT {EVENT} FROM uno_streams s CROSS JOIN uno_events e ON e.stream = s.number \
             WHERE s.category = ? AND s.key = ? AND e.version BETWEEN ? AND ? \
             AND e.position <= ? AND e.recorded_at <= ? ORDER BY e.version {order} LIMIT ?"
        ))
        .bind(stream.category().as_str())
        .bind(stream.key())
        .bind(read.first().as_i64())
        .bind(read.last().as_i64())
        .bind(position)
        .bind(time)
        .bind(limit(read.max_events()));
    let mut events = Vec::new();
    let rows = script.run(connection, |_, row| {
        events.push(Arc::new(row::event(row, 0, stream.clone())?));
        Ok(())
    });
    rows.await
        .map_err(|failure| failure.into_store_error(&location))?;
    Ok(events)
}

/// The event in a row of a page: the columns of [`EVENT`], then category and key.
fn logged(row: &SqliteRow) -> Result<RecordedEvent, StoreError> {
    let category: String = column(row, EVENT_COLUMNS)?;
    let key: &str = column(row, EVENT_COLUMNS + 1)?;
    let stream = StreamId::new(category, key).map_err(|error| corrupt(error.to_string()))?;
    row::event(row, 0, stream)
}

/// The event at the edge of the log, in a row that has its position and id.
fn scanned(row: &SqliteRow) -> Result<(Position, EventId), StoreError> {
    let position = Position::try_from(column::<i64>(row, 0)?);
    let id = row::uuid(column(row, 2)?);
    match (position, id) {
        (Ok(position), Some(id)) => Ok((position, EventId::from_uuid(id))),
        _ => Err(corrupt("an event at the edge of the log")),
    }
}

fn order(direction: Direction) -> &'static str {
    match direction {
        Direction::Forward => "ASC",
        Direction::Backward => "DESC",
    }
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
