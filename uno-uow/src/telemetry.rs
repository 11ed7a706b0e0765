//! Names of the spans and events that this crate emits.
//!
//! | span or event | level | fields |
//! |---|---|---|
//! | [`COMMIT`] | debug | `streams`, `events` |
//! | [`CONFLICT`] | debug | `attempt` |
//! | [`GAVE_UP`] | info | `attempts`, `why` (`attempts`, `time` or `budget`) |
//! | [`SNAPSHOT_REJECTED`] | warn | `stream`, `version`, `why` |
//! | [`SNAPSHOT_SKIPPED`] | warn | `stream`, `version`, `why` |
//!
//! Fields carry ids, versions and counts only: payloads and the texts of errors may hold secrets.

/// Span around the commit of one unit of work.
pub const COMMIT: &str = "uno.uow.commit";
/// Event: others were faster; the unit of work is run again on fresh state.
pub const CONFLICT: &str = "uno.uow.conflict";
/// Event: others were faster, and the unit of work is not run again: no attempt, no time or no budget was left.
pub const GAVE_UP: &str = "uno.uow.gave_up";
/// Event: a snapshot was not believed, and the events were folded instead.
pub const SNAPSHOT_REJECTED: &str = "uno.uow.snapshot_rejected";
/// Event: a snapshot was due and was not stored; the events are stored all the same.
pub const SNAPSHOT_SKIPPED: &str = "uno.uow.snapshot_skipped";
