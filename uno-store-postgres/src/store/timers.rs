//! Timers.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{Row as _, postgres::PgRow};
use uno_core::{DueTimers, Metadata, Payload, StoreError, Timer, TimerStore};

use super::{PgStore, askable};
use crate::{
    fault::Fault,
    pool::Session,
    reader::limit,
    value::{PgJson, PgTime, PgUuid},
};

const DUE: &str = "SELECT key, id, due_at, payload, metadata FROM {schema}.due_timers($1, $2)";

const LIST: &str = "SELECT key, id, due_at, payload, metadata FROM {schema}.timers \
     WHERE process = $1 AND key = $2 ORDER BY due_at, id";

#[async_trait]
impl TimerStore for PgStore {
    async fn due_timers(&self, process: &str, max: usize) -> Result<DueTimers, StoreError> {
        // A name that nothing can have is one of nothing, and the time is asked for all the same.
        let process = if askable(process) { process } else { "" };
        let process = process.to_owned();
        self.read(move |session| {
            let process = process.clone();
            Box::pin(async move { due(session, process, max).await })
        })
        .await
    }

    async fn list_timers(&self, process: &str, key: &str) -> Result<Vec<Timer>, StoreError> {
        if !askable(process) || !askable(key) {
            return Ok(Vec::new());
        }
        let (process, key) = (process.to_owned(), key.to_owned());
        self.read(move |session| {
            let (process, key) = (process.clone(), key.clone());
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(LIST);
                let query = query.query(session.shared().options.is_prepared());
                let rows = query.bind(process).bind(key);
                let rows = rows.fetch_all(session.connection()).await?;
                rows.iter().map(timer).collect()
            })
        })
        .await
    }
}

/// The server's time, those that are due, and the first that is not.
async fn due(session: &mut Session, process: String, max: usize) -> Result<DueTimers, Fault> {
    session.ready().await?;
    let query = session.shared().sql(DUE);
    let query = query.query(session.shared().options.is_prepared());
    // One more than is wanted tells whether there are more.
    let query = query.bind(process).bind(limit(max.saturating_add(1)));
    let rows = query.fetch_all(session.connection()).await?;
    let Some((first, rows)) = rows.split_first() else {
        return Err(Fault::corrupt("the server has not told the time"));
    };
    let now = due_at(first)?;
    let (mut timers, mut next_in) = (Vec::new(), None);
    for row in rows {
        let wait = due_at(row)? - now;
        if wait > chrono::Duration::zero() {
            next_in = next_in.or(wait.to_std().ok());
        } else if timers.len() < max {
            timers.push(timer(row)?);
        } else {
            next_in = Some(Duration::ZERO);
        }
    }
    Ok(DueTimers::new(timers, now, next_in))
}

fn timer(row: &PgRow) -> Result<Timer, Fault> {
    let metadata: Metadata = serde_json::from_str(row.try_get::<PgJson<'_>, _>(4)?.0)
        .map_err(|_| Fault::corrupt("the metadata of a timer can't be read"))?;
    Ok(Timer::new(
        row.try_get(0)?,
        row.try_get::<PgUuid, _>(1)?.0,
        due_at(row)?,
        Payload::from_stored(row.try_get::<PgJson<'_>, _>(3)?.0),
        metadata,
    ))
}

fn due_at(row: &PgRow) -> Result<DateTime<Utc>, Fault> {
    Ok(row.try_get::<PgTime, _>(2)?.0)
}
