//! Checkpoints of lanes, and what is parked with their moves, as arrays.

use uno_core::{Fence, ParkedFailure, ParkingWrite};

use super::{Batch, Bound, column};
use crate::value::PgUuid;

impl Batch<'_> {
    pub(super) fn bind_checkpoints<'q>(&self, query: Bound<'q>) -> Bound<'q> {
        let c = &self.checkpoints;
        query
            .bind(column(c, |(caller, _)| *caller))
            .bind(column(c, |(_, write)| write.subscription().as_str()))
            .bind(column(c, |(_, write)| i32::from(write.of_lane().get())))
            .bind(column(c, |(_, write)| write.fence().map(fence)))
            .bind(column(c, |(_, write)| {
                write.expected().map(|position| position.as_i64())
            }))
            .bind(column(c, |(_, write)| {
                PgUuid(*write.checkpoint().epoch().as_uuid())
            }))
            .bind(column(c, |(_, write)| {
                write.checkpoint().position().as_i64()
            }))
            .bind(column(c, |(_, write)| {
                write
                    .checkpoint()
                    .event_id()
                    .map(|id| PgUuid(*id.as_uuid()))
            }))
    }

    pub(super) fn bind_parking<'q>(&self, query: Bound<'q>) -> Bound<'q> {
        let k = &self.parking;
        query
            .bind(column(k, |(caller, _)| *caller))
            .bind(column(k, |(_, (subscription, _))| subscription.as_str()))
            .bind(column(k, |(_, (_, write))| kind(write)))
            .bind(column(k, |(_, (_, write))| write.key()))
            .bind(column(k, |(_, (_, write))| {
                write.position().map(|position| position.as_i64())
            }))
            .bind(column(k, |(_, (_, write))| event(write)))
            .bind(column(k, |(_, (_, write))| {
                failure(write).map(|failure| i64::from(failure.attempts()))
            }))
            .bind(column(k, |(_, (_, write))| {
                failure(write).map(ParkedFailure::error)
            }))
            .bind(column(k, |(_, (_, write))| {
                failure(write).map(ParkedFailure::fingerprint)
            }))
    }
}

/// A fence as it is stored. One that no store can have reached is not the one that is stored.
pub(crate) fn fence(fence: Fence) -> i64 {
    i64::try_from(fence.get()).unwrap_or(-1)
}

fn kind(write: &ParkingWrite) -> i32 {
    match write {
        ParkingWrite::Park {
            failure: Some(_), ..
        } => 0,
        ParkingWrite::Park { failure: None, .. } => 1,
        ParkingWrite::TakeOff { .. } => 2,
        ParkingWrite::Empty { .. } => 3,
    }
}

fn event(write: &ParkingWrite) -> Option<PgUuid> {
    match write {
        ParkingWrite::Park { event_id, .. } => Some(PgUuid(*event_id.as_uuid())),
        ParkingWrite::TakeOff { .. } | ParkingWrite::Empty { .. } => None,
    }
}

fn failure(write: &ParkingWrite) -> Option<&ParkedFailure> {
    match write {
        ParkingWrite::Park { failure, .. } => failure.as_ref(),
        ParkingWrite::TakeOff { .. } | ParkingWrite::Empty { .. } => None,
    }
}
