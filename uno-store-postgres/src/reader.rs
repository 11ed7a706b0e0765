//! Reads of streams and of the log.
//!
//! A read of the log asks for the horizon first and scans in a later statement, on the same connection, in READ COMMITTED.
//! The order of the two is what the law rests on: see `docs/design/postgres-log.md`.

mod page;
mod window;

use std::{sync::Arc, time::Duration};

use sqlx::Row as _;
use tokio::time::{Instant, sleep};
use uno_core::{
    AsOf, Direction, EventId, Head, LogPage, Position, ReadLog, ReadStream, RecordedEvent,
    StoreError,
};

use self::{page::Page, window::Window};
use crate::{
    decode::{self, COLUMNS, Events},
    exchange,
    fault::Fault,
    pool::{Pool, Session},
    probe::Meta,
    shared::{Floor, Shared},
    sql::Sql,
    value::{PgTime, PgUuid},
};

const LOG_HORIZON: &str = "SELECT {schema}.log_horizon()";
const QUEUE_HORIZON: &str = "SELECT {schema}.queue_horizon()";

/// How long a read waits until what this store was told to be committed is at or below the horizon.
///
/// As a rule that takes as long as the commits under way, a millisecond or two. If a foreign transaction has appended and
/// stays open, the order comes first: the read gives what is below the horizon.
const OWN_APPENDS_WITHIN: Duration = Duration::from_secs(1);

/// What a horizon is of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Log,
    Queue,
}

impl Order {
    fn floor(self, shared: &Shared) -> &Floor {
        match self {
            Self::Log => &shared.log_floor,
            Self::Queue => &shared.queue_floor,
        }
    }

    /// The horizon now. Good for the next statements on this session, and for nothing else.
    pub(crate) async fn horizon(self, session: &mut Session) -> Result<i64, Fault> {
        let text = match self {
            Self::Log => LOG_HORIZON,
            Self::Queue => QUEUE_HORIZON,
        };
        let query = session.shared().sql(text);
        let prepared = session.shared().options.is_prepared();
        Ok(query
            .query(prepared)
            .fetch_one(session.connection())
            .await?
            .try_get(0)?)
    }
}

/// What a read below a horizon found, and whether it may have missed something this store was told to be committed.
pub(crate) struct Below<T> {
    pub(crate) found: T,
    pub(crate) horizon: i64,
    /// Whether what is above the horizon could not have been in it anyhow.
    pub(crate) complete: bool,
}

/// Reads below the horizon, again until everything this store was told to be committed is there to be seen. The
/// connection is given back between the attempts: those who hold the horizon back may need it.
pub(crate) async fn see_own<T, F>(
    pool: &Arc<Pool>,
    shared: &Shared,
    order: Order,
    exchange: F,
) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: for<'s> Fn(&'s mut Session) -> exchange::Exchange<'s, Below<T>>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let floor = order.floor(shared).get();
    let give_up = Instant::now() + OWN_APPENDS_WITHIN;
    let mut pause = Duration::from_micros(200);
    loop {
        let below = exchange::read(pool, &shared.location, exchange.clone()).await?;
        if below.complete || below.horizon >= floor || Instant::now() >= give_up {
            return Ok(below.found);
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// A stretch of one stream. No horizon is needed: within a stream positions rise with versions, and one statement sees
/// a whole prefix of it.
pub(crate) async fn read_stream(
    session: &mut Session,
    read: &ReadStream,
) -> Result<Vec<Arc<RecordedEvent>>, Fault> {
    session.ready().await?;
    let moment = match read.moment() {
        Some(AsOf::Position(_)) => "AND e.position <= $6",
        Some(AsOf::Time(_)) => "AND e.recorded_at <= $6",
        None => "",
    };
    let order = match read.direction() {
        Direction::Forward => "ASC",
        Direction::Backward => "DESC",
    };
    let text = format!(
        "SELECT {COLUMNS} FROM {{schema}}.events e \
         WHERE e.stream = (SELECT s.id FROM {{schema}}.streams s WHERE s.category = $1 AND s.key = $2) \
         AND e.version >= $3 AND e.version <= $4 {moment} ORDER BY e.version {order} LIMIT $5"
    );
    let sql = Sql::new(&text, session.shared().options.schema_name());
    let mut query = sql
        .query(session.shared().options.is_prepared())
        .bind(read.stream().category().as_str())
        .bind(read.stream().key())
        .bind(read.first().as_i64())
        .bind(read.last().as_i64());
    query = query.bind(limit(read.max_events()));
    query = match read.moment() {
        Some(AsOf::Position(position)) => query.bind(position.as_i64()),
        Some(AsOf::Time(time)) => query.bind(PgTime(time)),
        None => query,
    };
    let rows = query.fetch_all(session.connection()).await?;
    let mut events = Events::default();
    rows.iter()
        .map(|row| events.of_stream(row, read.stream()))
        .collect()
}

/// A stretch of the log.
pub(crate) async fn read_log(
    session: &mut Session,
    read: &ReadLog,
) -> Result<Below<LogPage>, Fault> {
    session.ready().await?;
    let horizon = Order::Log.horizon(session).await?;
    let shared = Arc::clone(session.shared());
    let wanted = read.max_events();

    let window = Window::of(session, read, horizon).await?;
    let page = Page::new(read, &window);
    let sql = Sql::new(&page.text(), shared.options.schema_name());
    let query = page.bind(sql.query(shared.options.is_prepared()));
    let rows = query.fetch_all(session.connection()).await?;
    let mut decoder = Events::default();
    let events = rows
        .iter()
        .map(|row| decoder.of_log(row))
        .collect::<Result<Vec<_>, Fault>>()?;

    let full = events.len() >= wanted;
    let last = events.last().map(|event| (event.position(), event.id()));
    let scanned = if full || read.events().is_all() {
        last
    } else {
        // The page covers more than it shows: say how far, as a committed event.
        end_of_stretch(session, read.direction(), &window).await?
    };
    let complete = window.is_below || full && read.direction() == Direction::Forward;
    Ok(Below {
        found: LogPage::new(events, scanned),
        horizon,
        complete,
    })
}

/// The last event of a stretch, in its direction, whether or not it fits the filter.
async fn end_of_stretch(
    session: &mut Session,
    direction: Direction,
    window: &Window,
) -> Result<Option<(Position, EventId)>, Fault> {
    let text = match direction {
        Direction::Forward => LAST_WITHIN,
        Direction::Backward => FIRST_WITHIN,
    };
    let shared = Arc::clone(session.shared());
    let row = shared
        .sql(text)
        .query(shared.options.is_prepared())
        .bind(window.visible.0)
        .bind(window.visible.1)
        .fetch_optional(session.connection())
        .await?;
    row.map(|row| {
        Ok((
            decode::position(row.try_get(0)?)?,
            EventId::from_uuid(row.try_get::<PgUuid, _>(1)?.0),
        ))
    })
    .transpose()
}

const LAST_WITHIN: &str = "SELECT e.position, e.id FROM {schema}.events e WHERE e.position >= $1 AND e.position <= $2 \
     ORDER BY e.position DESC LIMIT 1";
const FIRST_WITHIN: &str = "SELECT e.position, e.id FROM {schema}.events e WHERE e.position >= $1 AND e.position <= $2 \
     ORDER BY e.position ASC LIMIT 1";
const HEAD: &str = "SELECT e.position, e.id FROM {schema}.events e WHERE e.position <= $1 ORDER BY e.position DESC LIMIT 1";

/// The last event at or below the horizon.
pub(crate) async fn head(session: &mut Session) -> Result<Below<Head>, Fault> {
    let Meta { epoch } = session.ready().await?;
    let horizon = Order::Log.horizon(session).await?;
    let query = session.shared().sql(HEAD);
    let prepared = session.shared().options.is_prepared();
    let row = query
        .query(prepared)
        .bind(horizon)
        .fetch_optional(session.connection())
        .await?;
    let last = match row {
        Some(row) => Some((
            decode::position(row.try_get(0)?)?,
            EventId::from_uuid(row.try_get::<PgUuid, _>(1)?.0),
        )),
        None => None,
    };
    Ok(Below {
        found: Head::new(epoch, last),
        horizon,
        complete: false,
    })
}

/// A limit as Postgres takes it.
pub(crate) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
