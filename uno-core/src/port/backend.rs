//! [`Backend`]: a store with every tier.

use super::{
    CheckpointStore, DocumentStore, InboxStore, LeaseStore, ParkingStore, ProcessStore, TimerStore,
    Transactional,
};

/// A store that implements every tier of the ports: what a whole application runs on.
///
/// Implemented for every type that has them all.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not have all tiers of a store",
    note = "a backend implements EventStore, Transactional, DocumentStore, CheckpointStore, LeaseStore, ParkingStore, ProcessStore, TimerStore and InboxStore"
)]
pub trait Backend:
    Transactional + DocumentStore + SubscriptionStore + ProcessStore + TimerStore + InboxStore
{
}

impl<B> Backend for B where
    B: Transactional + DocumentStore + SubscriptionStore + ProcessStore + TimerStore + InboxStore
{
}

/// What durable subscriptions need beside the log: checkpoints, leases and parking, in one store.
///
/// Implemented for every type that has them all.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not keep all that durable subscriptions need",
    note = "it takes CheckpointStore, LeaseStore and ParkingStore"
)]
pub trait SubscriptionStore: CheckpointStore + LeaseStore + ParkingStore {}

impl<S> SubscriptionStore for S where S: CheckpointStore + LeaseStore + ParkingStore {}

const _: fn(&dyn SubscriptionStore) = |_| {};
