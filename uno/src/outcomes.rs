//! Forgets the outcomes of commands under idempotency keys when they have been kept long enough.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uno_core::Backend;
use uno_cqrs::CommandBus;

/// How long outcomes are kept, unless it is said.
pub(crate) const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// How long it is between two times at least and at most.
const EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));

/// Prunes until `stop`, ten times in the time for which they are kept. All processes of an application do so: it is one statement, and what
/// one has forgotten the others do not find.
pub(crate) async fn prune<B: Backend>(
    commands: CommandBus<B>,
    kept: Duration,
    stop: CancellationToken,
) {
    let every = (kept / 10).clamp(EVERY.0, EVERY.1);
    loop {
        let pruned = tokio::select! {
            () = stop.cancelled() => return,
            pruned = commands.prune_outcomes(kept) => pruned,
        };
        match pruned {
            Ok(0) => {}
            Ok(outcomes) => tracing::debug!(target: "uno.outcomes", outcomes, "forgotten"),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(target: "uno.outcomes", error, "outcomes can't be pruned; trying again");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}
