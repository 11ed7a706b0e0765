//! Names of the spans and events that this crate emits.
//!
//! | span or event | level | fields |
//! |---|---|---|
//! | [`PUBLISH`] | debug | `event`, `event_id`, `position`, `handlers` |
//! | [`HANDLE`] | debug | `handler`, `event`, `event_id`, `position` |
//! | [`CALL`] | info | `handler`, `event`, `event_id`, `position`, `correlation_id`, `causation_id`, `traceparent`, `earlier_attempts` |
//! | [`CALL_ENDED`] | debug when it went well, else warn | `handler`, `event`, `event_id`, `position`, `attempts`, `took_us`, `result` |
//! | [`CALL_RETRY`] | warn | `handler`, `event_id`, `position`, `attempt`, `wait_ms` |
//! | [`CIRCUIT_OPENED`] | warn | `handler`, `rest_ms` |
//! | [`QUEUE_FAILED`] | warn | `handler`, `event`, `event_id`, `position`, `result` |
//! | [`QUEUE_FULL`] | warn | `handler`, `position` |
//! | [`CONSUME`] | debug | `subscription`, `events`, `first`, `last` |
//! | [`RETRY`] | warn | `subscription`, `attempt`, `position` |
//! | [`PARKED`] | error | `subscription`, `lane`, `position` |
//! | [`STOPPED`] | error when it failed, else info | `subscription`, `position`, `why` |
//! | [`WATCH_RETRY`] | warn | `attempt`, `position` |
//!
//! Fields carry names, ids, positions and counts only: payloads and the texts of errors may hold secrets. The text of the
//! last error is in the status of a subscription and in the report of a publish.

/// Span around the delivery of one event on the bus.
pub const PUBLISH: &str = "uno.bus.publish";
/// Span around one call of a handler, on the bus or in a subscription.
pub const HANDLE: &str = "uno.handle";
/// Span that the layer [`Tracing`](crate::Tracing) puts around a call or an attempt.
pub const CALL: &str = "uno.handler.call";
/// Event of the layer [`Logging`](crate::Logging): a call has ended.
pub const CALL_ENDED: &str = "uno.handler.ended";
/// Event of the layer [`Retry`](crate::Retry): a handler has failed and is tried again.
pub const CALL_RETRY: &str = "uno.handler.retry";
/// Event of the layer [`CircuitBreaker`](crate::CircuitBreaker): a handler keeps failing and is left alone.
pub const CIRCUIT_OPENED: &str = "uno.handler.circuit_opened";
/// Event: a handler that has a queue did not handle an event, and no publisher hears of it.
pub const QUEUE_FAILED: &str = "uno.bus.queue_failed";
/// Event: a queue has become full, and its policy has set in. Told once until its worker has caught up with everything, not for each
/// event that finds no space.
pub const QUEUE_FULL: &str = "uno.bus.queue_full";
/// Span around one batch that a subscription feeds to its consumer.
pub const CONSUME: &str = "uno.subscription.consume";
/// Event: a subscription waits before it tries again.
pub const RETRY: &str = "uno.subscription.retry";
/// Event: an event could not be handled, and was set aside with its key.
pub const PARKED: &str = "uno.subscription.parked";
/// Event: a subscription has stopped.
pub const STOPPED: &str = "uno.subscription.stopped";
/// Event: a live feed waits before it reads the log again.
pub const WATCH_RETRY: &str = "uno.watch.retry";
