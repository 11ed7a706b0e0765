//! Timers.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use uno_core::{DueTimers, Payload, StoreError, Timer, TimerStore};

use super::SqliteStore;
use crate::{
    error::{corrupt, store_error},
    row::{self, column},
};

/// Those that are due, and the first that is not, from the one index that has them in this order.
const DUE: &str = "SELECT * FROM (SELECT key, id, due_at, payload, metadata FROM uno_timers \
        WHERE process = ?1 AND due_at <= ?2 ORDER BY due_at, id LIMIT ?3) \
     UNION ALL SELECT * FROM (SELECT '', id, due_at, '', '' FROM uno_timers \
        WHERE process = ?1 AND due_at > ?2 ORDER BY due_at, id LIMIT 1)";

const LIST: &str = "SELECT key, id, due_at, payload, metadata FROM uno_timers INDEXED BY uno_timers_key \
     WHERE process = ? AND key = ? ORDER BY due_at, id";

#[async_trait]
impl TimerStore for SqliteStore {
    async fn due_timers(&self, process: &str, limit: usize) -> Result<DueTimers, StoreError> {
        let location = self.core().settings.location.clone();
        let (process, now) = (process.to_owned(), self.core().now());
        let due = self.readers().scan(move |connection| {
            Box::pin(async move {
                // One more than is wanted tells whether there are more.
                let most = i64::try_from(limit).map_or(i64::MAX, |limit| limit.saturating_add(1));
                let rows = sqlx::query(DUE)
                    .bind(process)
                    .bind(now.timestamp_micros())
                    .bind(most)
                    .fetch_all(connection)
                    .await
                    .map_err(|error| store_error(&location, error))?;
                due(&rows, now, limit)
            })
        });
        due.await
    }

    async fn list_timers(&self, process: &str, key: &str) -> Result<Vec<Timer>, StoreError> {
        let location = self.core().settings.location.clone();
        let (process, key) = (process.to_owned(), key.to_owned());
        let timers = self.readers().scan(move |connection| {
            Box::pin(async move {
                let rows = sqlx::query(LIST)
                    .bind(process)
                    .bind(key)
                    .fetch_all(connection)
                    .await
                    .map_err(|error| store_error(&location, error))?;
                rows.iter().map(timer).collect()
            })
        });
        timers.await
    }
}

fn due(rows: &[SqliteRow], now: DateTime<Utc>, limit: usize) -> Result<DueTimers, StoreError> {
    let (mut timers, mut next_in) = (Vec::new(), None);
    for row in rows {
        let wait = due_at(row)? - now;
        if wait > chrono::Duration::zero() {
            next_in = next_in.or(wait.to_std().ok());
        } else if timers.len() < limit {
            timers.push(timer(row)?);
        } else {
            next_in = Some(std::time::Duration::ZERO);
        }
    }
    Ok(DueTimers::new(timers, now, next_in))
}

fn timer(row: &SqliteRow) -> Result<Timer, StoreError> {
    let key: String = column(row, 0)?;
    let fault = || corrupt(format!("a timer of instance {key}"));
    let id = row::uuid(column(row, 1)?).ok_or_else(fault)?;
    let due_at = due_at(row)?;
    let payload: &str = column(row, 3)?;
    let metadata = serde_json::from_str(column(row, 4)?).map_err(|_| fault())?;
    let payload = Payload::from_stored(payload);
    Ok(Timer::new(key, id, due_at, payload, metadata))
}

fn due_at(row: &SqliteRow) -> Result<DateTime<Utc>, StoreError> {
    row::time(column(row, 2)?).ok_or_else(|| corrupt("the time of a timer"))
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, Row as _, SqliteConnection};

    use super::*;

    /// How SQLite goes about a statement on an empty store.
    async fn plan(statement: &'static str) -> Result<Vec<String>, sqlx::Error> {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await?;
        let schema = include_str!("../schema/0001_log_and_records.sql");
        sqlx::raw_sql(schema).execute(&mut connection).await?;
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::query(explain).fetch_all(&mut connection).await?;
        rows.iter().map(|row| row.try_get("detail")).collect()
    }

    /// Whatever is pending, only what is due is looked at, and one more: along the order, and never by sorting.
    #[tokio::test]
    async fn due_timers_are_read_along_their_order() -> Result<(), sqlx::Error> {
        let plan = plan(DUE).await?;
        let searches: Vec<_> = plan
            .iter()
            .filter(|step| step.contains("uno_timers"))
            .collect();
        let along =
            |sign| format!("SEARCH uno_timers USING PRIMARY KEY (process=? AND due_at{sign}?)");
        assert_eq!(searches, [&along('<'), &along('>')], "{plan:?}");
        assert!(!plan.iter().any(|step| step.contains("B-TREE")), "{plan:?}");
        Ok(())
    }

    #[tokio::test]
    async fn timers_of_an_instance_are_found_by_its_key() -> Result<(), sqlx::Error> {
        let plan = plan(LIST).await?;
        assert!(
            plan.iter()
                .any(|step| step.contains("uno_timers_key (process=? AND key=?)")),
            "{plan:?}"
        );
        Ok(())
    }
}
