//! Unit of work of the Uno framework: load, decide and commit aggregates together in one transaction.
//!
//! ```
//! # use std::sync::Arc;
//! # use serde::{Deserialize, Serialize};
//! # use uno_core::{Event, EventSet, Metadata};
//! # use uno_domain::Aggregate;
//! # #[derive(Event, Serialize, Deserialize)] struct Moved { cents: i64 }
//! # #[derive(EventSet)] enum AccountEvent { Moved(Moved) }
//! # #[derive(Default)] struct Account { balance: i64 }
//! # impl Aggregate for Account {
//! #     const CATEGORY: &'static str = "account";
//! #     type Id = &'static str;
//! #     type Event = AccountEvent;
//! #     fn apply(&mut self, event: &AccountEvent) { let AccountEvent::Moved(moved) = event; self.balance += moved.cents; }
//! # }
//! # #[derive(Debug, thiserror::Error)] #[error("there are only {0} cents")] struct TooLittle(i64);
//! # impl uno_uow::DomainError for TooLittle {}
//! # impl Account {
//! #     fn take(&self, cents: i64) -> Result<Moved, TooLittle> {
//! #         if cents > self.balance { Err(TooLittle(self.balance)) } else { Ok(Moved { cents: -cents }) }
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use uno_uow::Runner;
//!
//! let runner = Runner::new(Arc::new(uno_store_memory::MemoryStore::new()));
//! let transfer = runner.run(Metadata::new(), |uow| Box::pin(async move {
//!     let mut from = uow.load_or_new::<Account>(&"ada").await?;     // tracked by the unit of work
//!     let mut to = uow.load_or_new::<Account>(&"grace").await?;     // two at once
//!     to.record(Moved { cents: 500 });                              // record = apply + remember
//!     from.decide(|account| account.take(500))?;                    // refused: nothing is committed
//!     Ok(())
//! })).await;
//! assert!(transfer.unwrap_err().is_rejection());                    // both streams or neither
//! # Ok(()) }
//! ```
//!
//! # The ideas
//!
//! *Load, decide, commit*: everything is loaded or created through the [`UnitOfWork`], each thing once, and lent out as a guard
//! that is given back when it is dropped.
//!
//! * **No transaction is open while user code thinks.** Loading is plain reading; what was recorded, the caller's
//!   own rows ([`UnitOfWork::work`]), documents and commands become one [`Commit`](uno_core::Commit) at the end.
//!   A handler that sleeps delays no other writer.
//! * **Nothing is published unless it committed, and everything that committed is.** The log is the outbox:
//!   subscriptions read it, also after a crash.
//! * **Conflicts are retried with fresh state.** [`Runner::run`] runs the closure again, with jittered pauses: so often and so
//!   long ([`RetryPolicy`]), and as far as the budget of all runs together goes ([`RetryBudget`]). A commit whose outcome is
//!   unknown is never run again by itself.
//! * **Kept as events, or as a state.** [`repository`](UnitOfWork::repository) finds aggregates,
//!   [`state_repository`](UnitOfWork::state_repository) what is kept as one document with a revision, with the same
//!   methods. Both commit together, both notice when somebody else was faster, and both raise events.
//! * **What was only read is guarded if you say so**: [`Tracked::assert_unchanged`].
//! * **Metadata flows.** Every event and every command that is sent carries the [`Metadata`](uno_core::Metadata) that the unit of
//!   work [began](Runner::begin) with.
//! * **Savepoints are explicit.** [`UnitOfWork::rollback_to`] takes back everything since a
//!   [`savepoint`](UnitOfWork::savepoint), states of aggregates included.
//! * **The receipt says where it all is**: the positions, for those who wait until a read model has come so far.
//!
//! An aggregate with [snapshots](uno_domain::Aggregate::snapshots) is loaded from the last one and the events after it, and gets a
//! new one in the commit when one is due. A snapshot is a cache: on any doubt the events are folded.
//!
//! # What can go wrong
//!
//! A closure is run again on a conflict, so an effect that does not go through the unit of work happens again:
//!
//! ```no_run
//! # async fn send_mail() {}
//! # async fn example<B: uno_core::Backend>(runner: uno_uow::Runner<B>) -> Result<(), uno_uow::RunError> {
//! # use uno_core::Metadata;
//! runner.run(Metadata::new(), |uow| Box::pin(async move {
//!     send_mail().await;                                            // wrong: once for each attempt, and if nothing commits
//!     Ok(())
//! })).await?;
//! # Ok(()) }
//! ```
//!
//! Right is to [send](UnitOfWork::send) a command, whose handler mails; or to mail in a subscription to the event.
//!
//! # What it does not do
//!
//! It keeps no aggregates between units of work, unless the one is handed to the other ([`Warm`]), and it does not nest: [`Runner::run`] within another is an error. Take
//! `&mut UnitOfWork` as an argument instead, or a savepoint.

mod before_commit;
mod command_error;
mod load;
mod repository;
mod retry;
mod retry_budget;
mod runner;
mod savepoint;
mod slot;
mod snapshot_keeper;
mod state_repository;
pub mod telemetry;
mod time_travel;
mod unit_of_work;
mod warm;

pub use crate::{
    before_commit::BeforeCommit,
    command_error::{CommandError, DomainError},
    load::LoadError,
    repository::Repository,
    retry::RetryPolicy,
    retry_budget::RetryBudget,
    runner::{RunError, Runner},
    savepoint::{Savepoint, SavepointError},
    slot::{Tracked, TrackedState},
    snapshot_keeper::SnapshotCounts,
    state_repository::StateRepository,
    time_travel::{AggregateDiff, FieldChange, Moment},
    unit_of_work::{StagingError, UnitOfWork},
    warm::{Handover, Warm},
};
