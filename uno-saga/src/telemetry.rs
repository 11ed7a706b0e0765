//! Names of the spans and events that this crate emits.
//!
//! | span or event | level | fields |
//! |---|---|---|
//! | [`STEP`] | debug | `saga`, `input`, `count` |
//! | [`OUTCOMES_FAILING`] | warn | `saga`, `attempt` |
//! | [`OUTCOME_WITHOUT_INSTANCE`] | warn | `saga`, `command_id` |
//!
//! Fields carry names, ids and counts only: payloads and the texts of errors may hold secrets. Why outcomes can't be handled
//! is in the [status](crate::SagaRunnerStatus) of the runner.

/// Span around the handling of a batch of inputs, `events` or `outcomes`, in one transaction.
pub const STEP: &str = "uno.saga.step";
/// Event: outcomes can't be handled at present; they will be tried again.
pub const OUTCOMES_FAILING: &str = "uno.saga.outcomes_failing";
/// Event: an outcome belongs to no instance, and was taken off its queue without effect.
pub const OUTCOME_WITHOUT_INSTANCE: &str = "uno.saga.outcome_without_instance";
