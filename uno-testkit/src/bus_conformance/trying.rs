//! Retries, and a breaker that ends them.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use uno_events::HandlerResult;

use super::{
    BusHandler, BusHarness, BusSettings, BusUnderTest as _, Wanted,
    fixture::{handler, placed},
};
use crate::conformance::Outcome;

/// Fails so often, then works; and how often it was called.
fn fails(times: u32) -> (BusHandler, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let fails = handler(move |_| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            if call < times {
                Err("not yet".into())
            } else {
                Ok(())
            }
        }
    });
    (fails, calls)
}

/// `Retry`: a handler that keeps failing is called once and as often again as was wanted, and the report says how often.
pub async fn a_failed_handler_is_tried_again_as_often_as_wanted<H: BusHarness>(
    harness: &H,
) -> Outcome {
    for retries in [0, 1, 3] {
        let bus = harness.open(BusSettings::USUAL);
        let (handler, calls) = fails(u32::MAX);
        let wanted = Wanted {
            retries,
            ..Wanted::named("fails")
        };
        bus.subscribe(wanted, handler);
        let told = bus.publish(placed(1)?).await.ok_or("it is open")?;
        assert_eq!(told[0].result, HandlerResult::Failed("not yet".into()));
        assert_eq!(
            (told[0].attempts, calls.load(Ordering::SeqCst)),
            (retries + 1, retries + 1)
        );
    }
    Ok(())
}

/// `Retry`: an attempt that succeeds ends them, and the event is handled.
pub async fn an_attempt_that_works_ends_the_retries<H: BusHarness>(harness: &H) -> Outcome {
    let bus = harness.open(BusSettings::USUAL);
    let (handler, calls) = fails(2);
    let wanted = Wanted {
        retries: 5,
        ..Wanted::named("works at last")
    };
    bus.subscribe(wanted, handler);
    let told = bus.publish(placed(1)?).await.ok_or("it is open")?;
    assert_eq!(
        (&told[0].result, told[0].attempts),
        (&HandlerResult::Handled, 3)
    );
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    Ok(())
}

/// `CircuitBreaker`: after so many failures in a row the handler is not called, and the report says so.
pub async fn a_breaker_leaves_a_failing_handler_alone<H: BusHarness>(harness: &H) -> Outcome {
    let bus = harness.open(BusSettings::USUAL);
    let (handler, calls) = fails(u32::MAX);
    let wanted = Wanted {
        breaker: Some(3),
        ..Wanted::named("fails")
    };
    bus.subscribe(wanted, handler);
    for n in 1..=5 {
        let told = bus.publish(placed(n)?).await.ok_or("it is open")?;
        if n <= 3 {
            assert_eq!(
                told[0].result,
                HandlerResult::Failed("not yet".into()),
                "{n}"
            );
        } else {
            assert!(
                matches!(told[0].result, HandlerResult::CircuitOpen(_)),
                "{n}: {told:?}"
            );
            assert_eq!(told[0].attempts, 0);
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    Ok(())
}
