//! Ways to follow the log, most of them wrong.

use sqlx::{PgConnection, Row as _};

use super::Must;
use crate::session::{Schema, sql};

/// A way to follow the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// The right one: the horizon first, then the scan, each a statement of its own.
    TwoStatements,
    /// The right one within a function, which is VOLATILE, so that each of its statements sees what is committed by then.
    VolatileFunction,
    /// No horizon at all.
    Naive,
    /// The horizon in the statement that scans, and so later than what that statement can see.
    OneStatement,
    /// Both statements in one REPEATABLE READ transaction, which sees what was committed before the first.
    RepeatableRead,
    /// A function that is STABLE, and so sees what its caller's statement sees.
    StableFunction,
    /// The cursor is (transaction id, position), up to the oldest transaction that is running.
    TransactionIds,
    /// The horizon from before a crash of the server, for as long as the sequence has not come that far again.
    CachedHorizon(i64),
}

impl Protocol {
    /// Its name in files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TwoStatements => "two-statements",
            Self::VolatileFunction => "volatile-function",
            Self::Naive => "naive",
            Self::OneStatement => "one-statement",
            Self::RepeatableRead => "repeatable-read",
            Self::StableFunction => "stable-function",
            Self::TransactionIds => "transaction-ids",
            Self::CachedHorizon(_) => "cached-horizon",
        }
    }

    /// Its name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::TwoStatements => "horizon, then scan",
            Self::VolatileFunction => "the same in a VOLATILE function",
            Self::Naive => "naive tail",
            Self::OneStatement => "horizon in the scan's own statement",
            Self::RepeatableRead => "REPEATABLE READ transaction",
            Self::StableFunction => "STABLE function",
            Self::TransactionIds => "(xid, position) cursor, rows before the append",
            Self::CachedHorizon(_) => "horizon cached across a crash",
        }
    }

    pub(super) fn must(self) -> Must {
        match self {
            Self::TwoStatements | Self::VolatileFunction => Must::Succeed,
            Self::TransactionIds => Must::Invert,
            Self::Naive
            | Self::OneStatement
            | Self::RepeatableRead
            | Self::StableFunction
            | Self::CachedHorizon(_) => Must::Skip,
        }
    }
}

/// What the protocols need beside the store's own schema. The two functions differ in one word.
pub(super) const SETUP: &str = "
    ALTER TABLE {s}.events ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
    CREATE INDEX events_xid ON {s}.events (xid, position);
    CREATE FUNCTION {s}.tail_stable(after bigint) RETURNS TABLE (p bigint, i bytea) LANGUAGE plpgsql STABLE AS $$
    DECLARE horizon bigint;
    BEGIN
        PERFORM pg_sleep(0.002);
        horizon := {s}.log_horizon();
        RETURN QUERY SELECT e.position, uuid_send(e.id) FROM {s}.events e
            WHERE e.position > after AND e.position <= horizon ORDER BY e.position LIMIT 200;
    END $$;
    CREATE FUNCTION {s}.tail_volatile(after bigint) RETURNS TABLE (p bigint, i bytea) LANGUAGE plpgsql VOLATILE AS $$
    DECLARE horizon bigint;
    BEGIN
        PERFORM pg_sleep(0.002);
        horizon := {s}.log_horizon();
        RETURN QUERY SELECT e.position, uuid_send(e.id) FROM {s}.events e
            WHERE e.position > after AND e.position <= horizon ORDER BY e.position LIMIT 200;
    END $$;";

const HORIZON: &str = "SELECT {s}.log_horizon()";

const SCAN: &str = "SELECT e.position, uuid_send(e.id) FROM {s}.events e WHERE e.position > $1 AND e.position <= $2 ORDER BY e.position LIMIT 200";

/// Between what the statement sees and the horizon passes the time that a busy machine takes of its own accord.
const ONE_STATEMENT: &str = "WITH pause AS MATERIALIZED (SELECT pg_sleep(0.002)), \
    h AS MATERIALIZED (SELECT {s}.log_horizon() AS at FROM pause) \
    SELECT e.position, uuid_send(e.id) FROM h, {s}.events e WHERE e.position > $1 AND e.position <= h.at ORDER BY e.position LIMIT 200";

const LAST_VALUE: &str = "SELECT p.last_value FROM {s}.events_position p";

/// The lowest bound by hand, since the store's function refuses such a transaction. Positions of ours need no more bits.
const LOWEST_BOUND: &str = "SELECT least($1, min(l.objid::bigint)) FROM pg_catalog.pg_locks l \
    WHERE l.locktype = 'advisory' AND l.classid = {s}.log_class()::oid AND l.objsubid = 2 AND l.mode = 'ShareLock' AND l.granted \
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())";

const TRANSACTION_IDS: &str = "SELECT e.position, uuid_send(e.id), e.xid::text FROM {s}.events e \
    WHERE (e.xid, e.position) > ($1::text::xid8, $2) AND e.xid < pg_snapshot_xmin(pg_current_snapshot()) \
    ORDER BY e.xid, e.position LIMIT 200";

/// Where a reader has come to.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    position: i64,
    xid: Option<String>,
}

/// Positions and ids.
type Events = Vec<(i64, u128)>;

impl Protocol {
    /// The next page.
    pub(super) async fn page(
        self,
        session: &mut PgConnection,
        schema: &Schema,
        cursor: &mut Cursor,
    ) -> sqlx::Result<Events> {
        let after = cursor.position;
        let events = match self {
            Self::TwoStatements => two_statements(session, schema, after).await?,
            Self::VolatileFunction => {
                one(
                    session,
                    schema,
                    "SELECT t.p, t.i FROM {s}.tail_volatile($1) t",
                    after,
                )
                .await?
            }
            Self::StableFunction => {
                one(
                    session,
                    schema,
                    "SELECT t.p, t.i FROM {s}.tail_stable($1) t",
                    after,
                )
                .await?
            }
            Self::OneStatement => one(session, schema, ONE_STATEMENT, after).await?,
            Self::Naive => scan(session, schema, after, i64::MAX).await?,
            Self::RepeatableRead => {
                sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ")
                    .execute(&mut *session)
                    .await?;
                let reached = number(session, schema, LAST_VALUE).await?;
                sqlx::raw_sql("SELECT pg_sleep(0.002)")
                    .execute(&mut *session)
                    .await?;
                let query = sqlx::query(sql(schema, LOWEST_BOUND)).bind(reached);
                let horizon: i64 = query.fetch_one(&mut *session).await?.try_get(0)?;
                let events = scan(session, schema, after, horizon).await?;
                sqlx::raw_sql("COMMIT").execute(session).await?;
                events
            }
            Self::CachedHorizon(cached) => {
                if number(session, schema, LAST_VALUE).await? < cached {
                    scan(session, schema, after, cached).await?
                } else {
                    two_statements(session, schema, after).await?
                }
            }
            Self::TransactionIds => return by_transaction(session, schema, cursor).await,
        };
        if let Some((position, _)) = events.last() {
            cursor.position = *position;
        }
        Ok(events)
    }
}

async fn two_statements(
    session: &mut PgConnection,
    schema: &Schema,
    after: i64,
) -> sqlx::Result<Events> {
    let horizon = number(session, schema, HORIZON).await?;
    scan(session, schema, after, horizon).await
}

async fn scan(
    session: &mut PgConnection,
    schema: &Schema,
    after: i64,
    up_to: i64,
) -> sqlx::Result<Events> {
    let query = sqlx::query(sql(schema, SCAN)).bind(after).bind(up_to);
    query.fetch_all(session).await?.iter().map(event).collect()
}

async fn one(
    session: &mut PgConnection,
    schema: &Schema,
    text: &str,
    after: i64,
) -> sqlx::Result<Events> {
    sqlx::query(sql(schema, text))
        .bind(after)
        .fetch_all(session)
        .await?
        .iter()
        .map(event)
        .collect()
}

async fn by_transaction(
    session: &mut PgConnection,
    schema: &Schema,
    cursor: &mut Cursor,
) -> sqlx::Result<Events> {
    let xid = cursor.xid.clone().unwrap_or_else(|| "0".to_owned());
    let rows = sqlx::query(sql(schema, TRANSACTION_IDS))
        .bind(xid)
        .bind(cursor.position)
        .fetch_all(session)
        .await?;
    if let Some(last) = rows.last() {
        *cursor = Cursor {
            position: last.try_get(0)?,
            xid: Some(last.try_get(2)?),
        };
    }
    rows.iter().map(event).collect()
}

pub(super) async fn number(
    session: &mut PgConnection,
    schema: &Schema,
    text: &str,
) -> sqlx::Result<i64> {
    sqlx::query(sql(schema, text))
        .fetch_one(session)
        .await?
        .try_get(0)
}

fn event(row: &sqlx::postgres::PgRow) -> sqlx::Result<(i64, u128)> {
    let id: &[u8] = row.try_get(1)?;
    let id = id
        .try_into()
        .map_err(|_| sqlx::Error::Decode("an id has 16 bytes".into()))?;
    Ok((row.try_get(0)?, u128::from_be_bytes(id)))
}
