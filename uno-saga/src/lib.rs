//! Persisted process managers of the Uno framework, with compensation that survives crashes.
//!
//! A saga is a pure function, `(state, input) → outputs`: inputs are events and the outcomes of commands, outputs are
//! commands, their compensations, and the end.
//!
//! # The ideas
//!
//! * **One transaction per transition.** The new state, the commands that are sent and the mark that the input is
//!   handled are committed together. Commands have stable ids, so that outside effects can be made idempotent.
//! * **A compensation is registered when its action is sent**, as possibly run; only a *rejected* action is known not to have run.
//! * **Compensating settles first.** The outcome of every command under way is awaited; then compensations run in reverse, one
//!   at a time, each awaiting its outcome, across restarts. One that does not succeed leaves the instance
//!   [`Stuck`](uno_core::ProcessStatus::Stuck), visible, with everything that is still to be undone.
//! * **Ended instances stay**, so that late inputs still meet a rule: they are ignored.
//!
//! # What it does not do
//!
//! A saga sees no clock, store or network: it sends a command instead, or reacts to an event.

mod dry_run;
mod engine;
mod instance;
mod outputs;
mod runner;
mod saga;
pub mod telemetry;
mod view;

pub use crate::{
    dry_run::{DryRun, DryStep, SentCommand},
    engine::TransitionError,
    outputs::{Output, Outputs},
    runner::{SagaError, SagaRunner, SagaRunnerStatus},
    saga::{Input, Route, Saga},
    view::{InstanceView, PendingCommand},
};
