//! Parked keys, their events, and what is to be done with them.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{
    Sqlite,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};
use uno_core::{
    EventId, ParkedEvent, ParkedFailure, ParkedGroup, ParkedKey, ParkingRequest, ParkingStore,
    Position, StoreError, SubscriptionName,
};

use super::SqliteStore;
use crate::{
    error::{corrupt, store_error},
    row::{self, column},
    writer::Hint,
};

const LIST: &str = "SELECT k.key, k.attempts, k.error, k.fingerprint, min(e.position), count(*), k.parked_at, k.request \
     FROM (SELECT * FROM uno_parked_keys WHERE subscription = ?1 AND key > ?2 ORDER BY key LIMIT ?3) k \
     CROSS JOIN uno_parked_events e ON e.subscription = k.subscription AND e.key = k.key GROUP BY k.key ORDER BY k.key";

const ONE: &str = "SELECT k.key, k.attempts, k.error, k.fingerprint, min(e.position), count(*), k.parked_at, k.request \
     FROM uno_parked_keys k CROSS JOIN uno_parked_events e ON e.subscription = k.subscription AND e.key = k.key \
     WHERE k.subscription = ? AND k.key = ? GROUP BY k.key";

const EVENTS: &str = "SELECT position, event_id FROM uno_parked_events \
     WHERE subscription = ? AND key = ? AND position > ? ORDER BY position LIMIT ?";

/// Key by key, and in their order, so that the first of a fingerprint has its error told.
const KEYS: &str = "SELECT k.fingerprint, k.error, \
     (SELECT count(*) FROM uno_parked_events e WHERE e.subscription = k.subscription AND e.key = k.key) \
     FROM uno_parked_keys k WHERE k.subscription = ? ORDER BY k.fingerprint, k.key";

const COUNT: &str = "SELECT count(*) FROM uno_parked_events WHERE subscription = ?";

const NEXT: &str =
    "SELECT ifnull(max(requested), 0) + 1 FROM uno_parked_keys WHERE subscription = ?";

const REQUEST: &str = "UPDATE uno_parked_keys SET request = ?, requested = ? WHERE subscription = ? \
     AND (key = ? OR fingerprint = ?)";

const REQUESTS: &str = "SELECT key, request FROM uno_parked_keys \
     WHERE subscription = ? AND requested IS NOT NULL ORDER BY requested, key LIMIT ?";

#[async_trait]
impl ParkingStore for SqliteStore {
    async fn list_parked(
        &self,
        subscription: &SubscriptionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, StoreError> {
        // No key is empty, so every key comes after an empty one.
        let query = about(LIST, subscription)
            .bind(after.unwrap_or_default().to_owned())
            .bind(most(limit));
        self.rows(query, |rows| rows.iter().map(parked).collect())
            .await
    }

    async fn parked_key(
        &self,
        subscription: &SubscriptionName,
        key: &str,
    ) -> Result<Option<ParkedKey>, StoreError> {
        let query = about(ONE, subscription).bind(key.to_owned());
        self.rows(query, |rows| rows.first().map(parked).transpose())
            .await
    }

    async fn parked_events(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, StoreError> {
        let query = about(EVENTS, subscription)
            .bind(key.to_owned())
            .bind(after.as_i64())
            .bind(most(limit));
        self.rows(query, |rows| rows.iter().map(event).collect())
            .await
    }

    async fn parked_groups(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<ParkedGroup>, StoreError> {
        self.rows(about(KEYS, subscription), |rows| groups(&rows))
            .await
    }

    async fn count_parked(&self, subscription: &SubscriptionName) -> Result<u64, StoreError> {
        self.rows(about(COUNT, subscription), |rows| {
            rows.first().map_or(Ok(0), |row| count(row, 0))
        })
        .await
    }

    async fn request(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        request: ParkingRequest,
    ) -> Result<bool, StoreError> {
        let noted = self.ask(subscription, Some(key), None, request).await?;
        Ok(noted > 0)
    }

    async fn request_all(
        &self,
        subscription: &SubscriptionName,
        fingerprint: &str,
        request: ParkingRequest,
    ) -> Result<u64, StoreError> {
        self.ask(subscription, None, Some(fingerprint), request)
            .await
    }

    async fn list_requests(
        &self,
        subscription: &SubscriptionName,
        limit: usize,
    ) -> Result<Vec<(Arc<str>, ParkingRequest)>, StoreError> {
        let asked = |row: &SqliteRow| {
            let key: String = column(row, 0)?;
            Ok((key.into(), wanted(column(row, 1)?)?))
        };
        let query = about(REQUESTS, subscription).bind(most(limit));
        self.rows(query, move |rows| rows.iter().map(asked).collect())
            .await
    }
}

impl SqliteStore {
    /// Notes a request for one key, or for those with a fingerprint.
    async fn ask(
        &self,
        subscription: &SubscriptionName,
        key: Option<&str>,
        fingerprint: Option<&str>,
        request: ParkingRequest,
    ) -> Result<u64, StoreError> {
        let subscription = subscription.as_str().to_owned();
        let (key, fingerprint) = (key.map(str::to_owned), fingerprint.map(str::to_owned));
        self.change(Hint::Told, move |connection, core| {
            Box::pin(async move {
                let failed = |error| store_error(&core.settings.location, error);
                let number: i64 = sqlx::query_scalar(NEXT)
                    .bind(&subscription)
                    .fetch_one(&mut *connection)
                    .await
                    .map_err(failed)?;
                let noted = sqlx::query(REQUEST)
                    .bind(text(request))
                    .bind(number)
                    .bind(&subscription)
                    .bind(key)
                    .bind(fingerprint)
                    .execute(connection)
                    .await
                    .map_err(failed)?;
                Ok(noted.rows_affected())
            })
        })
        .await
    }
}

fn about(
    statement: &'static str,
    subscription: &SubscriptionName,
) -> Query<'static, Sqlite, SqliteArguments> {
    sqlx::query(statement).bind(subscription.as_str().to_owned())
}

/// A limit as SQLite takes it.
fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn parked(row: &SqliteRow) -> Result<ParkedKey, StoreError> {
    let key: String = column(row, 0)?;
    let fault = || corrupt(format!("the parked key {key}"));
    let attempts = u32::try_from(column::<i64>(row, 1)?).map_err(|_| fault())?;
    let failure = ParkedFailure::new(attempts, column::<&str>(row, 2)?, column::<&str>(row, 3)?);
    let first = Position::try_from(column::<i64>(row, 4)?).map_err(|_| fault())?;
    let parked_at = row::time(column(row, 6)?).ok_or_else(fault)?;
    let request = column::<Option<&str>>(row, 7)?.map(wanted).transpose()?;
    let events = count(row, 5)?;
    Ok(ParkedKey::new(
        key.into(),
        failure,
        first,
        events,
        parked_at,
        request,
    ))
}

fn event(row: &SqliteRow) -> Result<ParkedEvent, StoreError> {
    let position = Position::try_from(column::<i64>(row, 0)?);
    let id = row::uuid(column(row, 1)?).map(EventId::from_uuid);
    match (position, id) {
        (Ok(position), Some(id)) => Ok(ParkedEvent::new(position, id)),
        _ => Err(corrupt("a parked event")),
    }
}

fn groups(rows: &[SqliteRow]) -> Result<Vec<ParkedGroup>, StoreError> {
    let mut groups: Vec<ParkedGroup> = Vec::new();
    for row in rows {
        let (fingerprint, error): (&str, &str) = (column(row, 0)?, column(row, 1)?);
        let events = count(row, 2)?;
        match groups.last_mut() {
            Some(group) if group.fingerprint() == fingerprint => {
                let (keys, events) = (group.keys() + 1, group.events() + events);
                *group = ParkedGroup::new(fingerprint.into(), group.error().into(), keys, events);
            }
            _ => groups.push(ParkedGroup::new(
                fingerprint.into(),
                error.into(),
                1,
                events,
            )),
        }
    }
    Ok(groups)
}

fn count(row: &SqliteRow, index: usize) -> Result<u64, StoreError> {
    u64::try_from(column::<i64>(row, index)?).map_err(|_| corrupt("a negative count"))
}

fn text(request: ParkingRequest) -> &'static str {
    match request {
        ParkingRequest::Retry => "retry",
        ParkingRequest::Skip => "skip",
        ParkingRequest::Discard => "discard",
    }
}

fn wanted(text: &str) -> Result<ParkingRequest, StoreError> {
    [
        ParkingRequest::Retry,
        ParkingRequest::Skip,
        ParkingRequest::Discard,
    ]
    .into_iter()
    .find(|request| self::text(*request) == text)
    .ok_or_else(|| corrupt("a request for a parked key that is not known"))
}
