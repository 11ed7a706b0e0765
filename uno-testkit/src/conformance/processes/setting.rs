//! Timers for cases, and short ways to set, fire and read them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uno_core::{
    BoxError, CommitError, Due, Metadata, NewTimer, Timer, TimerStore as _, TimerWrite,
};
use uuid::Uuid;

use crate::conformance::{BackendHarness, Trial, fixture::json};

/// Far enough ahead that no case takes as long.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

pub(crate) fn timer(process: &str, key: &str, id: Uuid, due: Due) -> NewTimer {
    NewTimer::new(process, key, id, due, json("{}"), Metadata::new())
}

pub(crate) fn in_an_hour(process: &str, key: &str, id: Uuid) -> NewTimer {
    timer(process, key, id, Due::After(LONG))
}

/// A time that was so many hours before the year 2020.
pub(crate) fn past(hours: u64) -> Result<Due, BoxError> {
    let time: DateTime<Utc> = "2020-01-01T00:00:00Z".parse()?;
    Ok(Due::At(time - Duration::from_secs(3600 * hours)))
}

pub(crate) fn fired(process: &str, id: Uuid) -> TimerWrite {
    let process = process.to_owned();
    TimerWrite::Fire { process, id }
}

pub(crate) fn removed(process: &str, id: Uuid) -> TimerWrite {
    let process = process.to_owned();
    TimerWrite::Cancel { process, id }
}

/// Sets timers in one commit.
pub(crate) async fn set<H: BackendHarness>(
    t: &Trial<H>,
    timers: impl IntoIterator<Item = NewTimer> + Send,
) -> Result<(), CommitError> {
    let writes = timers.into_iter().map(TimerWrite::Set).collect();
    t.commit(|commit| commit.timers = writes).await.map(drop)
}

pub(crate) async fn fire<H: BackendHarness>(
    t: &Trial<H>,
    process: &str,
    id: Uuid,
) -> Result<(), CommitError> {
    let write = fired(process, id);
    t.commit(|commit| commit.timers.push(write)).await.map(drop)
}

pub(crate) async fn cancel<H: BackendHarness>(
    t: &Trial<H>,
    process: &str,
    id: Uuid,
) -> Result<(), CommitError> {
    let write = removed(process, id);
    t.commit(|commit| commit.timers.push(write)).await.map(drop)
}

pub(crate) async fn due<H: BackendHarness>(
    t: &Trial<H>,
    process: &str,
) -> Result<Vec<Uuid>, BoxError> {
    let read = t.store().due_timers(process, 1000).await?;
    Ok(ids(read.timers()))
}

pub(crate) async fn pending<H: BackendHarness>(
    t: &Trial<H>,
    process: &str,
    key: &str,
) -> Result<Vec<Uuid>, BoxError> {
    Ok(ids(&t.store().list_timers(process, key).await?))
}

pub(crate) fn ids(timers: &[Timer]) -> Vec<Uuid> {
    timers.iter().map(Timer::id).collect()
}
