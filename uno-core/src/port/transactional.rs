//! [`Transactional`], the second tier: events and everything else in one transaction.

use async_trait::async_trait;

use super::{Commit, EventStore, Receipt, Snapshot};
use crate::{CommitError, StoreError, StreamId};

/// Makes a whole [`Commit`] durable in one transaction.
///
/// # Contract
/// 1. **All or nothing.** Everything in a commit becomes visible and durable together, or nothing of it does.
/// 2. **Append last.** `work` runs before the append, in order; the store holds nothing that other
///    writers need while it runs. If work fails, nothing is committed and its error is in [`CommitError::Work`].
/// 3. **Unchanged streams.** The commit fails with a conflict if a stream in `unchanged` is at another version.
/// 4. **One conflict, one caller.** When a store carries out several commits together, one that fails does not disturb the others.
/// 5. **Cancellation.** Dropping the future leaves no transaction open and no connection unusable: the commit happens whole or not at all.
/// 6. **A repeated commit.** A commit whose events are all stored already, as in guarantee 5 of [`EventStore`], was carried out
///    before: it returns the first receipt, and nothing else of it is carried out again.
/// 7. **No nesting.** A write through the same store, awaited from within `work`, is refused as
///    [`Unsupported`](StoreError::Unsupported) rather than left to wait for itself.
/// 8. The guarantees of [`EventStore`] hold for the events in a commit, and those of the other ports for the rest.
#[async_trait]
pub trait Transactional: EventStore {
    /// The transaction that the caller's own work runs in.
    type Tx: Send + 'static;

    /// Carries out a commit.
    async fn commit(&self, commit: Commit<Self::Tx>) -> Result<Receipt, CommitError>;

    /// The newest snapshot of a stream.
    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, StoreError>;
}
