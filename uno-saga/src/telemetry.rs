//! Names of the spans and events that this crate emits.
//!
//! | span or event | level | fields |
//! |---|---|---|
//! | [`STEP`] | debug | `saga`, `input`, `count` |
//! | [`OUTCOMES_FAILING`] | warn | `saga`, `attempt` |
//! | [`OUTCOME_WITHOUT_INSTANCE`] | warn | `saga`, `command_id` |
//! | [`TIMERS_FAILING`] | warn | `saga`, `attempt` |
//! | [`PARKED`] | error | `saga`, `key`, `count` |
//! | [`EVENT_DISCARDED`] | warn | `saga`, `key`, `count` |
//!
//! Fields carry names, ids and counts only: payloads and the texts of errors may hold secrets. Why outcomes can't be handled
//! is in the [status](crate::SagaRunnerStatus) of the runner.

/// Span around the handling of a batch of inputs, `events`, `outcomes` or `timers`, in one transaction.
pub const STEP: &str = "uno.saga.step";
/// Event: outcomes can't be handled at present; they will be tried again.
pub const OUTCOMES_FAILING: &str = "uno.saga.outcomes_failing";
/// Event: an outcome belongs to no instance, and was taken off its queue without effect.
pub const OUTCOME_WITHOUT_INSTANCE: &str = "uno.saga.outcome_without_instance";
/// Event: timers can't be handled at present; they will be tried again.
pub const TIMERS_FAILING: &str = "uno.saga.timers_failing";
/// Event: inputs of an instance were parked.
pub const PARKED: &str = "uno.saga.parked";
/// Event: an event was left out, because there is no instance for it and the saga discards those.
pub const EVENT_DISCARDED: &str = "uno.saga.event_discarded";
