//! Feeds the in-process bus from the log: only what committed is published, in the log's order.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use uno_core::{EventStore, Position, ReadLog};
use uno_events::EventBus;

/// Publishes every event after `after` until `stop`. While nobody listens nothing is read.
///
/// The bus is for what need not survive the process: whoever must see every event has a durable subscription.
pub(crate) async fn run(
    store: Arc<dyn EventStore>,
    bus: EventBus,
    mut after: Position,
    poll: Duration,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        // Taken before reading, so that what is committed in between ends the wait at once.
        let mark = store.change();
        match publish(&*store, &bus, after).await {
            Ok(Some(position)) => {
                after = position;
                continue;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(target: "uno.bus", %error, "the log can't be read; trying again");
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = async { tokio::join!(store.changed(mark), tokio::time::sleep(PAUSE)); } => {}
            () = tokio::time::sleep(poll) => {}
        }
    }
}

/// Lets events gather, so that a busy log is read in pages and not event by event.
const PAUSE: Duration = Duration::from_millis(5);

/// Publishes a page; where it ends, or `None` at the end of the log.
async fn publish(
    store: &dyn EventStore,
    bus: &EventBus,
    after: Position,
) -> Result<Option<Position>, uno_core::StoreError> {
    if bus.handlers() == 0 {
        return Ok(store
            .head()
            .await?
            .last()
            .map(|(position, _)| position)
            .filter(|position| *position > after));
    }
    let page = store.read_log(ReadLog::after(after)).await?;
    let scanned = page.scanned().map(|(position, _)| position);
    for event in page.into_events() {
        // What becomes of a handler is its own affair: the bus reports and traces it.
        let _ = bus.publish(event).await;
    }
    Ok(scanned)
}
