//! What goes wrong in one handler is told, and disturbs nobody.

use std::time::Duration;

use uno_events::{HandlerResult, Priority, Topic};

use super::{
    BusHandler, BusHarness, BusSettings, BusUnderTest as _, Wanted, WantedTopic,
    fixture::{Notes, expected, handler, only, placed, results, undecodable},
};
use crate::conformance::Outcome;

const SHORT: Duration = Duration::from_millis(20);

/// Contract 1: a handler that fails is reported with what it said, and the others handle the event.
pub async fn an_error_is_reported_for_its_handler_alone<H: BusHarness>(harness: &H) -> Outcome {
    let fails = handler(|_| async { Err("no disk".into()) });
    check(harness, fails, HandlerResult::Failed("no disk".into())).await
}

/// Contract 1: a handler that panics is reported with what it said, and disturbs neither the others nor the publisher.
pub async fn a_panic_is_reported_for_its_handler_alone<H: BusHarness>(harness: &H) -> Outcome {
    let panics = handler(|_| async { panic!("by intent") });
    check(harness, panics, HandlerResult::Panicked("by intent".into())).await
}

/// Contract 1: the same of one that panics where it is called, before there is anything to wait for.
pub async fn a_panic_before_there_is_a_future_is_one_too<H: BusHarness>(harness: &H) -> Outcome {
    let panics: BusHandler = std::sync::Arc::new(|_| panic!("at once"));
    check(harness, panics, HandlerResult::Panicked("at once".into())).await
}

/// A handler between two that work.
async fn check<H: BusHarness>(harness: &H, bad: BusHandler, result: HandlerResult) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    bus.subscribe(Wanted::named("before"), notes.name("before"));
    bus.subscribe(Wanted::named("bad"), bad);
    bus.subscribe(Wanted::named("after"), notes.name("after"));
    for n in 1..=2 {
        let told = results(bus.publish(placed(n)?).await);
        let handled = HandlerResult::Handled;
        let all = [
            ("before", handled.clone()),
            ("bad", result.clone()),
            ("after", handled),
        ];
        assert_eq!(told, expected(all));
        let mut called = notes.take();
        called.sort_unstable();
        assert_eq!(called, ["after", "before"]);
    }
    Ok(())
}

/// Contract 1: a handler that takes longer than its limit is dropped and reported, and the others are not.
pub async fn a_handler_that_takes_too_long_is_dropped<H: BusHarness>(harness: &H) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    let wanted = Wanted {
        time_limit: Some(SHORT),
        ..Wanted::named("hangs")
    };
    let dropped = notes.clone();
    bus.subscribe(
        wanted,
        handler(move |_| {
            let tells = TellsOfItsEnd(dropped.clone());
            async move {
                std::future::pending::<()>().await;
                drop(tells);
                Ok(())
            }
        }),
    );
    bus.subscribe(Wanted::named("works"), notes.name("works"));
    let told = results(bus.publish(placed(1)?).await);
    let late = HandlerResult::TimedOut(SHORT);
    assert_eq!(
        told,
        expected([("hangs", late), ("works", HandlerResult::Handled)])
    );
    assert_eq!(notes.all(), ["works", "dropped"]);
    Ok(())
}

struct TellsOfItsEnd(Notes);

impl Drop for TellsOfItsEnd {
    fn drop(&mut self) {
        self.0.push("dropped");
    }
}

/// Contract 1: the limit of the bus is for handlers that have none of their own.
pub async fn the_time_limit_of_the_bus_is_for_who_has_none<H: BusHarness>(harness: &H) -> Outcome {
    let bus = harness.open(BusSettings {
        time_limit: SHORT,
        ..BusSettings::USUAL
    });
    bus.subscribe(Wanted::named("hangs"), handler(|_| std::future::pending()));
    assert_eq!(
        only(bus.publish(placed(1)?).await),
        HandlerResult::TimedOut(SHORT)
    );
    Ok(())
}

/// Contract 1: an event that can't be decoded is reported for typed handlers, which are not called; handlers of recorded events are.
pub async fn what_cannot_be_decoded_is_reported_for_who_needs_it<H: BusHarness>(
    harness: &H,
) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    for (name, topic) in [
        ("typed", WantedTopic::Typed),
        ("recorded", WantedTopic::Recorded(Topic::All)),
    ] {
        bus.subscribe(Wanted::named(name).of(topic), notes.name(name));
    }
    let told = results(bus.publish(undecodable()?).await);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        matches!(told[0].1, HandlerResult::Undecodable(_)),
        "{told:?}"
    );
    assert_eq!(told[1].1, HandlerResult::Handled);
    assert_eq!(notes.all(), ["recorded"]);
    Ok(())
}

/// `Published`: there is one outcome for each handler, in order of priority, then of subscription.
pub async fn the_report_is_in_order_of_priority_then_of_subscription<H: BusHarness>(
    harness: &H,
) -> Outcome {
    let bus = harness.open(BusSettings::USUAL);
    let works = || handler(|_| async { Ok(()) });
    for (name, priority) in [
        ("d", Priority::Low),
        ("c", Priority::Normal),
        ("b", Priority::Normal),
        ("a", Priority::Low),
        ("e", Priority::High),
    ] {
        let wanted = Wanted {
            priority,
            ..Wanted::named(name)
        };
        bus.subscribe(wanted, works());
    }
    let told = results(bus.publish(placed(1)?).await);
    let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["e", "c", "b", "d", "a"]);
    Ok(())
}
