//! Timers, histories and the inbox as arrays.

use std::time::Duration;

use uno_core::{Due, NewTimer, Payload, ProcessWrite, TimerWrite};

use super::{Batch, Bound, column, json};
use crate::{
    plain::Save,
    value::{PgTime, PgUuid},
};

/// Longer than any timer can wait, and short enough for the server to reckon with. In microseconds.
const LONGEST: i64 = 10_000 * 366 * 86_400 * 1_000_000;

impl Batch<'_> {
    pub(super) fn bind_processes<'q>(&self, query: Bound<'q>) -> Bound<'q> {
        let t = &self.timers;
        let h: Vec<_> = self.processes.iter().flat_map(history).collect();
        let i = &self.inbox;
        query
            .bind(column(t, |(caller, _)| *caller))
            .bind(column(t, |(_, timer)| kind(timer)))
            .bind(column(t, |(_, timer)| timer.process()))
            .bind(column(t, |(_, timer)| PgUuid(timer.id())))
            .bind(column(t, |(_, timer)| set(timer).map(NewTimer::key)))
            .bind(column(t, |(_, timer)| set(timer).and_then(after)))
            .bind(column(t, |(_, timer)| set(timer).and_then(at)))
            .bind(column(t, |(_, timer)| {
                set(timer).map(|timer| timer.payload().as_str())
            }))
            .bind(column(t, |(_, timer)| {
                set(timer).map(|timer| json(timer.metadata()))
            }))
            .bind(column(&h, |(caller, ..)| *caller))
            .bind(column(&h, |(_, write, ..)| write.process()))
            .bind(column(&h, |(_, write, ..)| write.key()))
            .bind(column(&h, |(_, _, number, _)| number.cast_signed()))
            .bind(column(&h, |(.., entry)| entry.as_str()))
            .bind(column(i, |(caller, _)| *caller))
            .bind(column(i, |(_, handled)| handled.consumer()))
            .bind(column(i, |(_, handled)| PgUuid(handled.id())))
            .bind(column(i, |(_, handled)| handled.outputs().as_str()))
    }
}

fn history<'s>(
    (caller, save): &(i32, &'s Save),
) -> impl Iterator<Item = (i32, &'s ProcessWrite, u64, &'s Payload)> + use<'s> {
    let caller = *caller;
    save.history()
        .map(move |(write, number, entry)| (caller, write, number, entry))
}

fn kind(timer: &TimerWrite) -> i32 {
    match timer {
        TimerWrite::Set(_) => 0,
        TimerWrite::Cancel { .. } => 1,
        TimerWrite::Fire { .. } => 2,
    }
}

fn set(timer: &TimerWrite) -> Option<&NewTimer> {
    match timer {
        TimerWrite::Set(timer) => Some(timer),
        TimerWrite::Cancel { .. } | TimerWrite::Fire { .. } => None,
    }
}

/// In microseconds.
fn after(timer: &NewTimer) -> Option<i64> {
    match timer.due() {
        Due::After(wait) => Some(micros(wait)),
        Due::At(_) => None,
    }
}

fn at(timer: &NewTimer) -> Option<PgTime> {
    match timer.due() {
        Due::After(_) => None,
        // What the clock shows does not matter here.
        due @ Due::At(time) => Some(PgTime(due.time(time))),
    }
}

/// In whole microseconds, or as long as anything waits.
pub(crate) fn micros(wait: Duration) -> i64 {
    i64::try_from(wait.as_micros()).map_or(LONGEST, |micros| micros.min(LONGEST))
}
