//! [`Window`]: which positions a read of the log looks at.

use chrono::{DateTime, Timelike as _, Utc};
use sqlx::SqliteConnection;
use uno_core::{AsOf, Direction, ReadLog, StoreError};

use crate::{
    error::Location,
    row::{column, index},
    script::Script,
};

/// For each moment the lowest position from which on everything was recorded then or later, found by halving: times never
/// fall along the log, so no index is needed. And the last position.
///
/// Everything at or below `lo` is earlier, everything from `hi` on is not.
const BOUNDS: &str = "WITH RECURSIVE
    edge (last) AS (SELECT ifnull(max(position), 0) FROM uno_events),
    halves (i, moment, lo, hi) AS (
        SELECT key, value, 0, last + 1 FROM json_each(?), edge
        UNION ALL
        SELECT i, moment,
            iif((SELECT recorded_at FROM uno_events WHERE position > lo + (hi - 1 - lo) / 2 ORDER BY position LIMIT 1) < moment,
                lo + (hi - 1 - lo) / 2 + 1, lo),
            iif((SELECT recorded_at FROM uno_events WHERE position > lo + (hi - 1 - lo) / 2 ORDER BY position LIMIT 1) < moment,
                hi, lo + (hi - 1 - lo) / 2 + 1)
        FROM halves WHERE hi - lo > 1
    )
SELECT i, hi, last FROM halves, edge WHERE hi - lo <= 1";

/// Which positions are looked at, bounds included.
pub(super) struct Window {
    /// What the reader may see: by the place it starts from, and by the moment it reads as of.
    pub(super) visible: (i64, i64),
    /// What can fit the filter, by the times it wants.
    pub(super) wanted: (i64, i64),
}

impl Window {
    pub(super) async fn of(
        read: &ReadLog,
        location: &Location,
        connection: &mut SqliteConnection,
    ) -> Result<Self, StoreError> {
        let start = read.start().as_i64();
        let (from, mut to) = match read.direction() {
            Direction::Forward => (start.saturating_add(1), i64::MAX),
            Direction::Backward => (0, start - 1),
        };
        if let Some(AsOf::Position(position)) = read.moment() {
            to = to.min(position.as_i64());
        }
        let as_of = match read.moment() {
            Some(AsOf::Time(time)) => Some(time.timestamp_micros().saturating_add(1)),
            _ => None,
        };
        let filter = read.events();
        let since = filter.wanted_recorded_from().map(ceiling);
        let before = filter.wanted_recorded_before().map(ceiling);
        let mut window = Self {
            visible: (from, to),
            wanted: (from, to),
        };
        if as_of.is_none() && since.is_none() && before.is_none() {
            return Ok(window);
        }
        let bounds = Bounds::find([as_of, since, before], location, connection).await?;
        // The log may have grown when the page is read. What is beyond the end as it was then is left to the next page,
        // since the bounds know nothing of it.
        to = to.min(bounds.end);
        if as_of.is_some() {
            to = to.min(bounds.first[0] - 1);
        }
        window.visible.1 = to;
        window.wanted.1 = to;
        if since.is_some() {
            window.wanted.0 = from.max(bounds.first[1]);
        }
        if before.is_some() {
            window.wanted.1 = to.min(bounds.first[2] - 1);
        }
        Ok(window)
    }
}

struct Bounds {
    /// For each moment that was asked for: the first position at or after it.
    first: [i64; 3],
    end: i64,
}

impl Bounds {
    async fn find(
        moments: [Option<i64>; 3],
        location: &Location,
        connection: &mut SqliteConnection,
    ) -> Result<Self, StoreError> {
        let mut bounds = Self {
            first: [0; 3],
            end: 0,
        };
        let mut script = Script::new();
        script
            .push(BOUNDS)
            .bind_json(&moments.map(|moment| moment.unwrap_or(0)));
        let rows = script.run(connection, |_, row| {
            if let Some(first) = bounds.first.get_mut(index(row, 0)?) {
                *first = column(row, 1)?;
            }
            bounds.end = column(row, 2)?;
            Ok(())
        });
        rows.await
            .map_err(|failure| failure.into_store_error(location))?;
        Ok(bounds)
    }
}

/// The first whole microsecond at or after a moment.
fn ceiling(time: DateTime<Utc>) -> i64 {
    let below = !time.nanosecond().is_multiple_of(1000);
    time.timestamp_micros().saturating_add(i64::from(below))
}
