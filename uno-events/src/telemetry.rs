//! Names of the spans and events that this crate emits.
//!
//! | span or event | level | fields |
//! |---|---|---|
//! | [`PUBLISH`] | debug | `event`, `event_id`, `position`, `handlers` |
//! | [`HANDLE`] | debug | `handler`, `event`, `event_id`, `position` |
//! | [`CONSUME`] | debug | `subscription`, `events`, `first`, `last` |
//! | [`RETRY`] | warn | `subscription`, `attempt`, `position` |
//! | [`PARKED`] | error | `subscription`, `lane`, `position` |
//! | [`STOPPED`] | error when it failed, else info | `subscription`, `position`, `why` |
//!
//! Fields carry names, ids, positions and counts only: payloads and the texts of errors may hold secrets. The text of the
//! last error is in the status of a subscription and in the report of a publish.

/// Span around the delivery of one event on the bus.
pub const PUBLISH: &str = "uno.bus.publish";
/// Span around one call of a handler, on the bus or in a subscription.
pub const HANDLE: &str = "uno.handle";
/// Span around one batch that a subscription feeds to its consumer.
pub const CONSUME: &str = "uno.subscription.consume";
/// Event: a subscription waits before it tries again.
pub const RETRY: &str = "uno.subscription.retry";
/// Event: an event could not be handled, and was set aside with its key.
pub const PARKED: &str = "uno.subscription.parked";
/// Event: a subscription has stopped.
pub const STOPPED: &str = "uno.subscription.stopped";
