//! The spans of this crate. They carry counts only, never payloads.
//!
//! | span | level | fields |
//! |---|---|---|
//! | `uno.sqlite.commit` | debug | `commits`: carried out together, `events`: that they append |
//! | `uno.sqlite.work` | debug | `events`: that the commit appends |

use tracing::{Span, debug_span};

/// Around a group of commits.
pub(crate) fn commit_span(commits: usize, events: usize) -> Span {
    debug_span!("uno.sqlite.commit", commits, events)
}

/// Around a commit with work of the caller's own.
pub(crate) fn work_span(events: usize) -> Span {
    debug_span!("uno.sqlite.work", events)
}
