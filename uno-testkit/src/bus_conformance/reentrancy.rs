//! A handler may use the bus that called it.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use uno_events::HandlerResult;

use super::{
    BusHarness, BusSettings, BusUnderTest, Wanted,
    fixture::{Notes, handler, number, only, placed, results},
};
use crate::conformance::Outcome;

/// Contract 4: what a handler publishes runs in its own place, at any depth, so that it never waits for itself: even where there is
/// one place for all.
pub async fn a_handler_publishes_on_its_own_bus_in_its_own_place<H: BusHarness>(
    harness: &H,
) -> Outcome {
    for places in [1, 2] {
        let notes = Notes::default();
        let bus = harness.open(BusSettings::at_once(places));
        let (inner, noted) = (bus.clone(), notes.clone());
        let counts_down = handler(move |event| {
            let (bus, notes) = (inner.clone(), noted.clone());
            async move {
                let n = u32::try_from(number(&event))?;
                if n > 1 {
                    let told = bus.publish(placed(n - 1)?).await;
                    assert_eq!(only(told), HandlerResult::Handled);
                }
                notes.push(n.to_string());
                Ok(())
            }
        });
        bus.subscribe(Wanted::named("counts down"), counts_down);
        assert_eq!(only(bus.publish(placed(6)?).await), HandlerResult::Handled);
        assert_eq!(notes.all(), ["1", "2", "3", "4", "5", "6"]);
    }
    Ok(())
}

/// Contract 4: a handler may subscribe and unsubscribe; who is subscribed meanwhile is called for later events.
pub async fn a_handler_subscribes_and_unsubscribes<H: BusHarness>(harness: &H) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    let leaves = bus.subscribe(Wanted::named("leaves"), notes.name("leaves"));
    let leaves = Arc::new(Mutex::new(Some(leaves)));
    let (inner, noted, done) = (bus.clone(), notes.clone(), AtomicBool::new(false));
    let changes = handler(move |_| {
        if !done.swap(true, Ordering::SeqCst) {
            let leaving = leaves.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(leaving) = leaving {
                inner.unsubscribe(leaving);
            }
            inner.subscribe(Wanted::named("comes"), noted.name("comes"));
        }
        async { Ok(()) }
    });
    bus.subscribe(Wanted::named("changes"), changes);
    bus.publish(placed(1)?).await;
    notes.take();
    let told = results(bus.publish(placed(2)?).await);
    let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["changes", "comes"]);
    assert_eq!(notes.all(), ["comes"]);
    Ok(())
}
