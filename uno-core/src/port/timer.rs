//! [`TimerStore`], of the fourth tier: what becomes due.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Metadata, Payload, StoreError};

/// Keeps the timers of processes. All are written in a [`Commit`](crate::Commit).
///
/// Whether a timer is due is judged by the store's clock alone, so processes whose clocks differ agree.
///
/// # Contract
/// 1. A timer that is set is there exactly if its commit took effect, until it is fired or cancelled. Setting one that is
///    there replaces it: when it is due, what it says, and whose it is.
/// 2. No timer is due before its time by the store's clock. Those that are due are read in the order of their times, and for
///    one time in that of their ids.
/// 3. [`TimerWrite::Fire`] of a timer that is not there makes the whole commit [`Stale`](crate::Stale::Timer): a timer
///    fires with effect once, however many try. [`TimerWrite::Cancel`] of one that is not there does nothing.
/// 4. What reading the due ones costs depends on how many are due, not on how many are pending.
#[async_trait]
pub trait TimerStore: fmt::Debug + Send + Sync + 'static {
    /// The timers of a process that are due, at most `limit`, and how long until the next one is.
    async fn due_timers(&self, process: &str, limit: usize) -> Result<DueTimers, StoreError>;

    /// The pending timers of one instance, due or not, in the order of their times.
    async fn list_timers(&self, process: &str, key: &str) -> Result<Vec<Timer>, StoreError>;
}

const _: fn(&dyn TimerStore) = |_| {};

/// When a timer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must handle every case"
)]
pub enum Due {
    /// So long after the commit takes effect, by the store's clock. Counted in whole microseconds.
    After(Duration),
    /// At this time, by the store's clock. A time that has passed is due at once, before those that passed later.
    At(DateTime<Utc>),
}

impl Due {
    /// The earliest time that every store can keep.
    pub const EARLIEST: DateTime<Utc> = match DateTime::from_timestamp(-62_135_596_800, 0) {
        Some(time) => time,
        None => DateTime::<Utc>::MIN_UTC,
    };

    /// The latest time that every store can keep.
    pub const LATEST: DateTime<Utc> = match DateTime::from_timestamp(253_402_300_799, 999_999_000) {
        Some(time) => time,
        None => DateTime::<Utc>::MAX_UTC,
    };

    /// The time, if the store's clock shows `now`, within [`EARLIEST`](Self::EARLIEST) and [`LATEST`](Self::LATEST) and in
    /// whole microseconds. A time within a leap second is one of the second after it: no store can keep it otherwise.
    #[must_use]
    pub fn time(self, now: DateTime<Utc>) -> DateTime<Utc> {
        let time = match self {
            Self::At(time) => Some(time),
            Self::After(wait) => chrono::Duration::from_std(wait)
                .ok()
                .and_then(|wait| now.checked_add_signed(wait)),
        };
        // There and back again, since only chrono knows of leap seconds.
        time.and_then(|time| DateTime::from_timestamp_micros(time.timestamp_micros()))
            .map_or(Self::LATEST, |time| {
                time.clamp(Self::EARLIEST, Self::LATEST)
            })
    }
}

/// What a commit does to a timer. Each timer occurs once in a commit.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must handle every case"
)]
#[expect(
    clippy::large_enum_variant,
    reason = "most are set, and each lives for one commit: a box would be an allocation for nothing"
)]
pub enum TimerWrite {
    /// Sets it, in place of one with the same process and id.
    Set(NewTimer),
    /// Takes it off, if it is there.
    Cancel {
        /// Whose timer.
        process: String,
        /// Which one.
        id: Uuid,
    },
    /// Takes it off because it was handled; it must be there.
    Fire {
        /// Whose timer.
        process: String,
        /// Which one.
        id: Uuid,
    },
}

impl TimerWrite {
    /// Whose timer.
    #[must_use]
    pub fn process(&self) -> &str {
        match self {
            Self::Set(timer) => timer.process(),
            Self::Cancel { process, .. } | Self::Fire { process, .. } => process,
        }
    }

    /// Which one.
    #[must_use]
    pub fn id(&self) -> Uuid {
        match self {
            Self::Set(timer) => timer.id(),
            Self::Cancel { id, .. } | Self::Fire { id, .. } => *id,
        }
    }
}

/// A timer to be set.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTimer {
    process: String,
    key: String,
    id: Uuid,
    due: Due,
    payload: Payload,
    metadata: Metadata,
}

impl NewTimer {
    /// A timer of the instance `key` of `process`.
    #[must_use]
    pub fn new(
        process: impl Into<String>,
        key: impl Into<String>,
        id: Uuid,
        due: Due,
        payload: Payload,
        metadata: Metadata,
    ) -> Self {
        Self {
            process: process.into(),
            key: key.into(),
            id,
            due,
            payload,
            metadata,
        }
    }

    /// Of which process.
    #[must_use]
    pub fn process(&self) -> &str {
        &self.process
    }

    /// Of which instance.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its id, by which it is cancelled and fired.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// When it is due.
    #[must_use]
    pub fn due(&self) -> Due {
        self.due
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// What it goes back to.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

/// A timer that is pending.
#[derive(Clone, Debug, PartialEq)]
pub struct Timer {
    key: String,
    id: Uuid,
    due_at: DateTime<Utc>,
    payload: Payload,
    metadata: Metadata,
}

impl Timer {
    /// A timer that is pending. For stores.
    #[must_use]
    pub fn new(
        key: String,
        id: Uuid,
        due_at: DateTime<Utc>,
        payload: Payload,
        metadata: Metadata,
    ) -> Self {
        Self {
            key,
            id,
            due_at,
            payload,
            metadata,
        }
    }

    /// Of which instance.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// When it is due, by the store's clock.
    #[must_use]
    pub fn due_at(&self) -> DateTime<Utc> {
        self.due_at
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// What it goes back to.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

/// The timers that are due now.
#[derive(Clone, Debug, PartialEq)]
pub struct DueTimers {
    timers: Vec<Timer>,
    now: DateTime<Utc>,
    next_in: Option<Duration>,
}

impl DueTimers {
    /// What is due at `now`, the store's time, and how long until the next one that is not; `None` when none is
    /// pending but what is here. For stores. When there are more due than these, `next_in` is zero.
    #[must_use]
    pub fn new(timers: Vec<Timer>, now: DateTime<Utc>, next_in: Option<Duration>) -> Self {
        Self {
            timers,
            now,
            next_in,
        }
    }

    /// Those that are due, in the order of their times.
    #[must_use]
    pub fn timers(&self) -> &[Timer] {
        &self.timers
    }

    /// The store's time when they were read.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// How long until the next one is due, by the store's clock; zero when more are due than could be read.
    #[must_use]
    pub fn next_in(&self) -> Option<Duration> {
        self.next_in
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_not_every_store_can_keep_is_the_nearest_one_that_is() {
        let now: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(Due::LATEST.to_rfc3339(), "9999-12-31T23:59:59.999999+00:00");
        assert_eq!(Due::After(Duration::MAX).time(now), Due::LATEST);
        assert_eq!(Due::At(DateTime::<Utc>::MAX_UTC).time(now), Due::LATEST);
        assert_eq!(Due::At(now).time(Due::LATEST), now);
        assert_eq!(Due::EARLIEST.to_rfc3339(), "0001-01-01T00:00:00+00:00");
        assert_eq!(Due::At(DateTime::<Utc>::MIN_UTC).time(now), Due::EARLIEST);
        let leap = Due::At("2016-12-31T23:59:60.5Z".parse().unwrap()).time(now);
        assert_eq!(leap.to_rfc3339(), "2017-01-01T00:00:00.500+00:00");
        let wait = Due::After(Duration::from_nanos(1_999)).time(now);
        assert_eq!(wait.to_rfc3339(), "2026-01-01T00:00:00.000001+00:00");
    }
}
