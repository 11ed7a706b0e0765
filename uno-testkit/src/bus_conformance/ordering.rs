//! In which order handlers are called, and how many at once.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Barrier;
use uno_events::{HandlerResult, Priority};

use super::{
    BusHarness, BusSettings, BusUnderTest as _, Wanted,
    fixture::{Gate, Notes, handler, look, only, placed, placed_in, results},
};
use crate::conformance::Outcome;

/// Contract 2: whoever publishes waits for the handlers, so events that are published one after the other come in that order.
pub async fn publish_returns_when_all_handlers_are_done<H: BusHarness>(harness: &H) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    for name in ["one", "other"] {
        bus.subscribe(Wanted::named(name), notes.course(|_| String::from("it")));
    }
    for n in 1..=5 {
        bus.publish(placed(n)?).await;
        let ends = notes
            .take()
            .iter()
            .filter(|note| *note == "it ends")
            .count();
        assert_eq!(ends, 2, "both are done when publish returns");
    }
    Ok(())
}

/// Contract 2: handlers of a higher priority are done with an event before others begin, whoever was subscribed first.
pub async fn a_higher_priority_is_done_before_the_next_begins<H: BusHarness>(
    harness: &H,
) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    for (name, priority) in [
        ("low", Priority::Low),
        ("normal", Priority::Normal),
        ("high", Priority::High),
    ] {
        let wanted = Wanted {
            priority,
            ..Wanted::named(name)
        };
        bus.subscribe(wanted, notes.course(|_| name.to_owned()));
    }
    bus.publish(placed(1)?).await;
    let course = [
        "high begins",
        "high ends",
        "normal begins",
        "normal ends",
        "low begins",
        "low ends",
    ];
    assert_eq!(notes.all(), course);
    Ok(())
}

/// Contract 6: a handler that asks for it gets the events of one stream one at a time, in the order in which their publishes began;
/// those of other streams are not held up.
pub async fn events_of_a_key_come_one_at_a_time_in_the_order_of_publishes<H: BusHarness>(
    harness: &H,
) -> Outcome {
    let (notes, gate) = (Notes::default(), Gate::closed());
    let bus = harness.open(BusSettings::USUAL);
    let wanted = Wanted {
        ordered_by_stream: true,
        ..Wanted::named("ordered")
    };
    let (noted, at) = (notes.clone(), gate.clone());
    bus.subscribe(
        wanted,
        handler(move |event| {
            let (notes, gate) = (noted.clone(), at.clone());
            async move {
                let n = event.position().get();
                notes.push(format!("{n} begins"));
                if event.stream().key() == "busy" {
                    gate.pass().await;
                }
                notes.push(format!("{n} ends"));
                Ok(())
            }
        }),
    );
    let mut first = pin!(bus.publish(placed_in("order-busy", 1)?));
    let mut second = pin!(bus.publish(placed_in("order-busy", 2)?));
    assert!(look(first.as_mut()).await.is_none(), "it waits at the gate");
    assert!(
        look(second.as_mut()).await.is_none(),
        "it waits for the first"
    );
    let other = bus.publish(placed_in("order-free", 3)?);
    // All go on side by side, as they would in tasks of their own.
    let opens = async {
        let told = other.await;
        notes.push("opened");
        gate.open();
        told
    };
    let (first, second, other) = tokio::join!(first, second, opens);
    for told in [first, second, other] {
        assert_eq!(only(told), HandlerResult::Handled);
    }
    let course: Vec<_> = notes.all();
    let place = |note: &str| course.iter().position(|other| other == note);
    assert!(place("3 ends") < place("opened"), "{course:?}");
    assert!(place("1 ends") < place("2 begins"), "{course:?}");
    assert_eq!(course.len(), 7, "{course:?}");
    Ok(())
}

/// Contract 3: no more handlers run at once than the bound, however many publish.
pub async fn no_more_handlers_run_at_once_than_allowed<H: BusHarness>(harness: &H) -> Outcome {
    let bus = harness.open(BusSettings::at_once(2));
    let inside = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    for n in 0..4 {
        let inside = Arc::clone(&inside);
        let gauge = handler(move |_| {
            let inside = Arc::clone(&inside);
            async move {
                let now = inside.0.fetch_add(1, Ordering::SeqCst) + 1;
                inside.1.fetch_max(now, Ordering::SeqCst);
                for _ in 0..5 {
                    tokio::task::yield_now().await;
                }
                inside.0.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        });
        bus.subscribe(Wanted::named(&format!("handler {n}")), gauge);
    }
    let (first, second) = (placed(1)?, placed(2)?);
    let (first, second) = tokio::join!(bus.publish(first), bus.publish(second));
    assert_eq!((results(first).len(), results(second).len()), (4, 4));
    let most = inside.1.load(Ordering::SeqCst);
    assert!(most <= 2, "{most} ran at once");
    Ok(())
}

/// Contract 2: handlers of one priority run side by side, as many as the bound allows.
pub async fn as_many_handlers_run_at_once_as_allowed<H: BusHarness>(harness: &H) -> Outcome {
    let bus = harness.open(BusSettings::at_once(3));
    // None goes on before all are there.
    let all = Arc::new(Barrier::new(3));
    for n in 0..3 {
        let all = Arc::clone(&all);
        let meets = handler(move |_| {
            let all = Arc::clone(&all);
            async move {
                all.wait().await;
                Ok(())
            }
        });
        bus.subscribe(Wanted::named(&format!("handler {n}")), meets);
    }
    let told = results(bus.publish(placed(1)?).await);
    assert!(
        told.iter()
            .all(|(_, result)| *result == HandlerResult::Handled)
    );
    Ok(())
}
