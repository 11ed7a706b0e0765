//! [`Window`]: which positions a read of the log looks at.

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use sqlx::Row as _;
use uno_core::{AsOf, Direction, ReadLog};

use crate::{fault::Fault, pool::Session, value::PgTime};

/// For each moment the lowest position from which on everything was recorded then or later, found by halving: times never fall along the
/// log, so no index of them is needed. And the last position.
///
/// Everything at or below `lo` is earlier, everything from `hi` on is not. One place in the index of positions is looked at for each bit
/// of the last one. What is above the horizon plays no part: it is not read, and may not be complete.
const BOUNDS: &str = "WITH RECURSIVE
    edge (last) AS (SELECT coalesce(max(e.position), 0) FROM {schema}.events e WHERE e.position <= $2),
    halves (i, moment, lo, hi) AS (
        SELECT m.i, m.moment, 0::bigint, edge.last + 1 FROM unnest($1::timestamptz[]) WITH ORDINALITY m(moment, i), edge
        UNION ALL
        SELECT h.i, h.moment, CASE WHEN p.earlier THEN h.middle + 1 ELSE h.lo END,
               CASE WHEN p.earlier THEN h.hi ELSE h.middle + 1 END
        FROM (SELECT b.*, b.lo + (b.hi - 1 - b.lo) / 2 AS middle FROM halves b WHERE b.hi - b.lo > 1) h
        CROSS JOIN LATERAL (SELECT e.recorded_at < h.moment AS earlier FROM {schema}.events e
                            WHERE e.position > h.middle ORDER BY e.position LIMIT 1) p
    )
SELECT h.i, h.hi, edge.last FROM halves h, edge WHERE h.hi - h.lo <= 1";

/// Which positions are looked at, bounds included.
#[derive(Debug)]
pub(super) struct Window {
    /// What the reader may see: by the place it starts from, the horizon, and the moment it reads as of.
    pub(super) visible: (i64, i64),
    /// What can fit the filter, by the times it wants.
    pub(super) wanted: (i64, i64),
    /// Whether what is above the horizon could not have been in it anyhow.
    pub(super) is_below: bool,
}

impl Window {
    pub(super) async fn of(
        session: &mut Session,
        read: &ReadLog,
        horizon: i64,
    ) -> Result<Self, Fault> {
        let start = read.start().as_i64();
        let (from, mut to) = match read.direction() {
            Direction::Forward => (start.saturating_add(1), i64::MAX),
            Direction::Backward => (0, start - 1),
        };
        if let Some(AsOf::Position(position)) = read.moment() {
            to = to.min(position.as_i64());
        }
        let mut is_below = to <= horizon;
        to = to.min(horizon);
        let as_of = match read.moment() {
            Some(AsOf::Time(time)) => Some(after(time)),
            _ => None,
        };
        let filter = read.events();
        let since = filter.wanted_recorded_from().map(ceiling);
        let before = filter.wanted_recorded_before().map(ceiling);
        let mut wanted = (from, to);
        let moments = [as_of, since, before];
        if moments.iter().any(Option::is_some) {
            let (first, last) = find(session, moments, horizon).await?;
            if let [Some(first), ..] = first {
                to = to.min(first - 1);
                is_below |= first <= last;
            }
            wanted.1 = to;
            if let [_, Some(first), _] = first {
                wanted.0 = from.max(first);
            }
            if let [.., Some(first)] = first {
                wanted.1 = to.min(first - 1);
            }
        }
        Ok(Self {
            visible: (from, to),
            wanted,
            is_below,
        })
    }
}

/// For each moment the first position at or after it, and the last position of all.
async fn find(
    session: &mut Session,
    moments: [Option<DateTime<Utc>>; 3],
    horizon: i64,
) -> Result<([Option<i64>; 3], i64), Fault> {
    let shared = std::sync::Arc::clone(session.shared());
    // A moment that nobody asks for is never looked for.
    let asked: Vec<usize> = (0..3).filter(|&i| moments[i].is_some()).collect();
    let times: Vec<PgTime> = moments.into_iter().flatten().map(PgTime).collect();
    let rows = shared
        .sql(BOUNDS)
        .query(shared.options.is_prepared())
        .bind(times)
        .bind(horizon)
        .fetch_all(session.connection())
        .await?;
    let (mut first, mut last) = ([None; 3], 0);
    for row in rows {
        let number: i64 = row.try_get(0)?;
        let place = usize::try_from(number - 1).ok();
        if let Some(&moment) = place.and_then(|place| asked.get(place)) {
            first[moment] = Some(row.try_get(1)?);
        }
        last = row.try_get(2)?;
    }
    Ok((first, last))
}

/// The first whole microsecond at or after a moment.
fn ceiling(time: DateTime<Utc>) -> DateTime<Utc> {
    match time.nanosecond() % 1000 {
        0 => time,
        nanos => time
            .checked_add_signed(TimeDelta::nanoseconds(1000 - i64::from(nanos)))
            .unwrap_or(time),
    }
}

/// The first whole microsecond after a moment.
fn after(time: DateTime<Utc>) -> DateTime<Utc> {
    let next = time.checked_add_signed(TimeDelta::microseconds(1));
    next.map_or(time, |next| match next.nanosecond() % 1000 {
        0 => next,
        nanos => next - TimeDelta::nanoseconds(i64::from(nanos)),
    })
}
