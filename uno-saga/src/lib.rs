//! Persisted process managers of the Uno framework, with compensation that survives crashes.
//!
//! A saga is a pure function, `(state, input) → outputs`: inputs are events, timeouts and the outcomes of commands, outputs
//! are commands, their compensations, messages, timeouts, and the end.
//!
//! # The ideas
//!
//! * **One transaction per transition.** The new state, the commands that are sent and the mark that the input is
//!   handled are committed together. Commands have stable ids, so that outside effects can be made idempotent.
//! * **A compensation is registered when its action is sent**, as possibly run; only a *rejected* action is known not to have run.
//! * **Compensating settles first.** The outcome of every command under way is awaited; then compensations run in reverse, one
//!   at a time, each awaiting its outcome, across restarts. One that does not succeed leaves the instance
//!   [`Stuck`](uno_core::ProcessStatus::Stuck), visible, with everything that is still to be undone.
//! * **Timeouts are rows**, judged by the store's clock, and fire once, across restarts.
//! * **An instance that can't go on is parked by itself**, with what comes later for it, until a person looks; the others go on.
//! * **Ended instances stay**, so that late inputs still meet a rule: [`Saga::on_late`].
//! * **Every instance has its history**: inputs, decisions, what was sent, attempts, and times.
//! * **A second form, step by step**: a [`StepSaga`] lists its [`Steps`], with forks, waits, deadlines and escalations, and runs on
//!   the same engine as a [`Stepwise`].
//! * **Sagas draw themselves**: as they are declared, and as one instance went ([`diagram`]).
//!
//! # What it does not do
//!
//! A saga sees no clock, store or network: it sends a command instead, or reacts to an event.

mod definition_error;
pub mod diagram;
mod dry_run;
mod engine;
mod history;
mod instance;
mod outputs;
mod runner;
mod saga;
mod steps;
mod stored;
pub mod telemetry;
mod view;

pub use crate::{
    definition_error::DefinitionError,
    dry_run::{DryRun, DryStep, SentCommand, SentMessage},
    engine::TransitionError,
    history::{DueText, HistoryEntry, HistoryItem, Verb},
    outputs::{OutboxMessage, Output, Outputs},
    runner::{
        Fired, InstanceSummary, Intervention, ParkedInput, ParkedInstance, Retried, SagaCounts,
        SagaError, SagaRunner, SagaRunnerStatus, VerbError,
    },
    saga::{Input, Missing, NoTimeout, Route, Saga},
    steps::{Answer, StepSaga, StepTimeout, Steps, StepsError, Stepwise},
    view::{InstanceView, PendingCommand},
};
