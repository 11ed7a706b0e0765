//! [`BeforeCommit`]: what has to be in every commit, besides what the unit of work says.

use std::fmt;

use async_trait::async_trait;
use uno_core::{Backend, Commit};

use crate::CommandError;

/// Completes the commits of a [`Runner`](crate::Runner) with what has to be made durable together with the events: a read model that is to be
/// current as soon as they are.
///
/// # Contract
/// 1. It is called once for each attempt, when everything is collected and before the store has the commit; no transaction is open.
/// 2. It takes nothing out of the commit. Whatever it adds on the strength of something that it has read is expected to be so still
///    (a revision, a version): if it is not, that is a conflict like any other, and the unit of work decides again.
/// 3. The future may be dropped at any await: it only reads.
#[async_trait]
pub trait BeforeCommit<B: Backend>: fmt::Debug + Send + Sync + 'static {
    /// Completes a commit.
    ///
    /// # Errors
    /// Whatever went wrong: nothing is committed, and whoever ran the unit of work is told
    /// [`Command`](crate::RunError::Command).
    async fn complete(&self, backend: &B, commit: &mut Commit<B::Tx>) -> Result<(), CommandError>;
}
