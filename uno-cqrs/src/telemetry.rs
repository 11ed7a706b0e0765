//! Names of the spans and events that this crate emits.
//!
//! | span or event | level | fields |
//! |---|---|---|
//! | [`COMMAND`] | debug | `command` |
//! | [`COMMAND_ENDED`] | debug or warn | `command`, `command_id`, `outcome`, `micros` |
//! | [`QUERY_ENDED`] | debug or warn | `query`, `outcome`, `micros` |
//! | [`PROJECT`] | debug | `projection`, `events` |
//! | [`SINK`] | debug | `sink`, `upserts` |
//! | [`COMMAND_RETRY`] | warn | `queue`, `command`, `command_id`, `attempt`, `why` |
//! | [`COMMAND_GAVE_UP`] | error | `queue`, `command`, `command_id`, `attempt` |
//! | [`OUTCOME_DROPPED`] | error | `queue`, `command`, `command_id` |
//! | [`QUEUE_UNREADABLE`] | warn | `queue`, `attempt` |
//! | [`SYNC_FAILED`] | warn | `projection`, `error` |
//! | [`DELIVERY_RETRY`] | warn | `queue`, `message_id`, `attempt` |
//!
//! Fields carry names, ids and counts only: payloads and the texts of errors may hold secrets. The text of a worker's last
//! error is in its [status](crate::WorkerStatus).

/// Span around one command: all attempts that its conflicts take.
pub const COMMAND: &str = "uno.command";
/// Event: a command has ended, seen by a [`Trace`](crate::Trace) layer. `outcome` is one of `succeeded`, `rejected`, `invalid`, `forbidden`,
/// `busy`, `key_reused`, `unknown_command`, `malformed` and `dropped` (debug); `conflict`, `timed_out`, `unknown` and `failed` (warn).
pub const COMMAND_ENDED: &str = "uno.command.ended";
/// Event: a query has ended, seen by a [`Trace`](crate::Trace) layer. `outcome` is one of `succeeded`, `invalid`, `forbidden`, `unknown_query` and
/// `dropped` (debug); `timed_out` and `failed` (warn).
pub const QUERY_ENDED: &str = "uno.query.ended";
/// Span around one batch of a projection.
pub const PROJECT: &str = "uno.project";
/// Span around what one batch is to a [`Sink`](crate::Sink).
pub const SINK: &str = "uno.sink";
/// Event: a queued command will be tried again.
pub const COMMAND_RETRY: &str = "uno.command.retry";
/// Event: a queued command is not tried again.
pub const COMMAND_GAVE_UP: &str = "uno.command.gave_up";
/// Event: the outcome of a command can't be stored, and the command was taken off its queue without it.
pub const OUTCOME_DROPPED: &str = "uno.command.outcome_dropped";
/// Event: a queue can't be read; it will be tried again.
pub const QUEUE_UNREADABLE: &str = "uno.queue.unreadable";
/// Event: a message of an outbox could not be delivered; it will be tried again.
pub const DELIVERY_RETRY: &str = "uno.relay.delivery_retry";
/// Event: a read model could not look which generations there are; it will be tried again.
pub const SYNC_FAILED: &str = "uno.read_model.sync_failed";
