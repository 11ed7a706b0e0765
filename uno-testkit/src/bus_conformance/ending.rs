//! The end of a bus.

use std::{pin::pin, time::Duration};

use super::{
    BusHarness, BusSettings, BusUnderTest as _, Wanted, WantedPolicy,
    fixture::{Gate, LONG, Notes, look, placed},
};
use crate::conformance::Outcome;

/// Contract 8: what is under way may end: whatever is in queues is handled.
pub async fn shutdown_handles_what_is_in_queues<H: BusHarness>(harness: &H) -> Outcome {
    let (notes, gate) = (Notes::default(), Gate::closed());
    let bus = harness.open(BusSettings::USUAL);
    let wanted = Wanted::named("queued").queued(10, WantedPolicy::Block);
    bus.subscribe(wanted, gate.numbers(&notes));
    for n in 1..=5 {
        bus.publish(placed(n)?).await;
    }
    notes.until("1").await;
    let mut closing = pin!(bus.shutdown(LONG));
    assert!(
        look(closing.as_mut()).await.is_none(),
        "the first is not done yet"
    );
    gate.open();
    assert!(closing.await, "everything has ended");
    assert_eq!(notes.all(), ["1", "2", "3", "4", "5"]);
    Ok(())
}

/// Contract 8: once it is closed, events are refused as a whole, and no handler is called.
pub async fn a_closed_bus_refuses_events<H: BusHarness>(harness: &H) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    bus.subscribe(Wanted::named("handler"), notes.numbers());
    bus.publish(placed(1)?).await;
    assert!(bus.shutdown(LONG).await);
    assert_eq!(bus.publish(placed(2)?).await, None);
    assert_eq!(notes.all(), ["1"]);
    Ok(())
}

/// Contract 8: when something has not ended in time, it says so.
pub async fn shutdown_tells_when_something_has_not_ended<H: BusHarness>(harness: &H) -> Outcome {
    let (notes, gate) = (Notes::default(), Gate::closed());
    let bus = harness.open(BusSettings::USUAL);
    let wanted = Wanted::named("queued").queued(10, WantedPolicy::Block);
    bus.subscribe(wanted, gate.numbers(&notes));
    bus.publish(placed(1)?).await;
    notes.until("1").await;
    assert!(!bus.shutdown(Duration::from_millis(1)).await);
    Ok(())
}
