//! Parked keys, their events, and what is to be done with them.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};
use uno_core::{
    EventId, ParkedEvent, ParkedFailure, ParkedGroup, ParkedKey, ParkingRequest, ParkingStore,
    Position, StoreError, SubscriptionName,
};

use super::{PgStore, askable};
use crate::{
    alone, decode,
    fault::Fault,
    reader::limit,
    value::{PgTime, PgUuid},
};

const LIST: &str = "SELECT k.key, k.attempts, k.error, k.fingerprint, e.first, e.events, k.parked_at, k.request \
     FROM {schema}.parked_keys k CROSS JOIN LATERAL (\
        SELECT min(e.position) AS first, count(*) AS events FROM {schema}.parked_events e \
        WHERE e.subscription = k.subscription AND e.key = k.key) e \
     WHERE k.subscription = $1 AND k.key > $2 ORDER BY k.key LIMIT $3";

const ONE: &str = "SELECT k.key, k.attempts, k.error, k.fingerprint, e.first, e.events, k.parked_at, k.request \
     FROM {schema}.parked_keys k CROSS JOIN LATERAL (\
        SELECT min(e.position) AS first, count(*) AS events FROM {schema}.parked_events e \
        WHERE e.subscription = k.subscription AND e.key = k.key) e \
     WHERE k.subscription = $1 AND k.key = $2";

const EVENTS: &str = "SELECT position, event_id FROM {schema}.parked_events \
     WHERE subscription = $1 AND key = $2 AND position > $3 ORDER BY position LIMIT $4";

const GROUPS: &str = "SELECT k.fingerprint, (array_agg(k.error ORDER BY k.key))[1], count(*), sum(e.events)::bigint \
     FROM {schema}.parked_keys k JOIN (\
        SELECT key, count(*) AS events FROM {schema}.parked_events WHERE subscription = $1 GROUP BY key) e ON e.key = k.key \
     WHERE k.subscription = $1 GROUP BY k.fingerprint ORDER BY k.fingerprint";

const COUNT: &str = "SELECT count(*) FROM {schema}.parked_events WHERE subscription = $1";

const REQUEST: &str = "SELECT {schema}.request_parked($1, $2, $3, $4, $5)";

const REQUESTS: &str = "SELECT key, request FROM {schema}.parked_keys \
     WHERE subscription = $1 AND request IS NOT NULL ORDER BY requested, key LIMIT $2";

#[async_trait]
impl ParkingStore for PgStore {
    async fn list_parked(
        &self,
        subscription: &SubscriptionName,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<ParkedKey>, StoreError> {
        // No key is empty. None has a NUL either, so what comes after a text with one is what comes after the part before it.
        let after = after.and_then(|after| after.split('\0').next());
        let (subscription, after) = (subscription.clone(), after.unwrap_or_default().to_owned());
        self.read(move |session| {
            let (subscription, after) = (subscription.clone(), after.clone());
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(LIST);
                let query = query.query(session.shared().options.is_prepared());
                let query = query
                    .bind(subscription.as_str())
                    .bind(after)
                    .bind(limit(max));
                let rows = query.fetch_all(session.connection()).await?;
                rows.iter().map(parked).collect()
            })
        })
        .await
    }

    async fn parked_key(
        &self,
        subscription: &SubscriptionName,
        key: &str,
    ) -> Result<Option<ParkedKey>, StoreError> {
        if !askable(key) {
            return Ok(None);
        }
        let (subscription, key) = (subscription.clone(), key.to_owned());
        self.read(move |session| {
            let (subscription, key) = (subscription.clone(), key.clone());
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(ONE);
                let query = query.query(session.shared().options.is_prepared());
                let query = query.bind(subscription.as_str()).bind(key);
                let row = query.fetch_optional(session.connection()).await?;
                row.as_ref().map(parked).transpose()
            })
        })
        .await
    }

    async fn parked_events(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        after: Position,
        max: usize,
    ) -> Result<Vec<ParkedEvent>, StoreError> {
        if !askable(key) {
            return Ok(Vec::new());
        }
        let (subscription, key) = (subscription.clone(), key.to_owned());
        self.read(move |session| {
            let (subscription, key) = (subscription.clone(), key.clone());
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(EVENTS);
                let query = query.query(session.shared().options.is_prepared());
                let query = query.bind(subscription.as_str()).bind(key);
                let query = query.bind(after.as_i64()).bind(limit(max));
                let rows = query.fetch_all(session.connection()).await?;
                rows.iter().map(event).collect()
            })
        })
        .await
    }

    async fn parked_groups(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<ParkedGroup>, StoreError> {
        let subscription = subscription.clone();
        self.read(move |session| {
            let subscription = subscription.clone();
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(GROUPS);
                let query = query.query(session.shared().options.is_prepared());
                let query = query.bind(subscription.as_str());
                let rows = query.fetch_all(session.connection()).await?;
                rows.iter().map(group).collect()
            })
        })
        .await
    }

    async fn count_parked(&self, subscription: &SubscriptionName) -> Result<u64, StoreError> {
        let subscription = subscription.clone();
        self.read(move |session| {
            let subscription = subscription.clone();
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(COUNT);
                let query = query.query(session.shared().options.is_prepared());
                let query = query.bind(subscription.as_str());
                count(&query.fetch_one(session.connection()).await?, 0)
            })
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
        max: usize,
    ) -> Result<Vec<(Arc<str>, ParkingRequest)>, StoreError> {
        let subscription = subscription.clone();
        self.read(move |session| {
            let subscription = subscription.clone();
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(REQUESTS);
                let query = query.query(session.shared().options.is_prepared());
                let query = query.bind(subscription.as_str()).bind(limit(max));
                let rows = query.fetch_all(session.connection()).await?;
                let asked = |row: &PgRow| {
                    let key: String = row.try_get(0)?;
                    Ok((key.into(), wanted(row.try_get(1)?)?))
                };
                rows.iter().map(asked).collect()
            })
        })
        .await
    }
}

impl PgStore {
    /// Notes a request for one key, or for those with a fingerprint.
    async fn ask(
        &self,
        subscription: &SubscriptionName,
        key: Option<&str>,
        fingerprint: Option<&str>,
        request: ParkingRequest,
    ) -> Result<u64, StoreError> {
        if !key.is_none_or(askable) || !fingerprint.is_none_or(askable) {
            return Ok(0);
        }
        let subscription = subscription.clone();
        let (key, fingerprint) = (key.map(str::to_owned), fingerprint.map(str::to_owned));
        let noted = self.change(move |session| {
            let subscription = subscription.clone();
            let (key, fingerprint) = (key.clone(), fingerprint.clone());
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(REQUEST);
                let query = query.query(session.shared().options.is_prepared());
                let query = query
                    .bind(session.shared().options.lock_timeout_setting())
                    .bind(subscription.as_str())
                    .bind(key)
                    .bind(fingerprint)
                    .bind(text(request));
                count(&query.fetch_one(session.connection()).await?, 0)
            })
        });
        let noted = noted.await?;
        // Whoever holds the lane has something to do.
        alone::note(&self.work, None);
        Ok(noted)
    }
}

fn parked(row: &PgRow) -> Result<ParkedKey, Fault> {
    let attempts = u32::try_from(row.try_get::<i64, _>(1)?).map_err(Fault::corrupt)?;
    let failure = ParkedFailure::new(
        attempts,
        row.try_get::<&str, _>(2)?,
        row.try_get::<&str, _>(3)?,
    );
    let request: Option<&str> = row.try_get(7)?;
    Ok(ParkedKey::new(
        row.try_get::<String, _>(0)?.into(),
        failure,
        decode::position(row.try_get(4)?)?,
        count(row, 5)?,
        row.try_get::<PgTime, _>(6)?.0,
        request.map(wanted).transpose()?,
    ))
}

fn event(row: &PgRow) -> Result<ParkedEvent, Fault> {
    let event = EventId::from_uuid(row.try_get::<PgUuid, _>(1)?.0);
    Ok(ParkedEvent::new(decode::position(row.try_get(0)?)?, event))
}

fn group(row: &PgRow) -> Result<ParkedGroup, Fault> {
    let (fingerprint, error): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    Ok(ParkedGroup::new(
        fingerprint.into(),
        error.into(),
        count(row, 2)?,
        count(row, 3)?,
    ))
}

fn count(row: &PgRow, column: usize) -> Result<u64, Fault> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(Fault::corrupt)
}

fn text(request: ParkingRequest) -> &'static str {
    match request {
        ParkingRequest::Retry => "retry",
        ParkingRequest::Skip => "skip",
        ParkingRequest::Discard => "discard",
    }
}

fn wanted(text: &str) -> Result<ParkingRequest, Fault> {
    [
        ParkingRequest::Retry,
        ParkingRequest::Skip,
        ParkingRequest::Discard,
    ]
    .into_iter()
    .find(|request| self::text(*request) == text)
    .ok_or_else(|| Fault::corrupt("a request for a parked key that is not known"))
}
