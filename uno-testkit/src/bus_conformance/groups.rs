//! Handlers that are stopped, started and told of together.

use std::{pin::pin, time::Duration};

use uno_events::HandlerResult;

use super::{
    BusHarness, BusSettings, BusUnderTest as _, GroupTold, Wanted,
    fixture::{Gate, LONG, Notes, expected, handler, look, only, placed, results},
};
use crate::conformance::Outcome;

fn in_group(name: &str) -> Wanted {
    Wanted {
        group: Some(String::from("group")),
        ..Wanted::named(name)
    }
}

/// `stop_group`: its handlers are not called any more, each report says so, and all others are called.
pub async fn a_stopped_group_is_not_called_and_the_report_says_so<H: BusHarness>(
    harness: &H,
) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    bus.subscribe(in_group("one"), notes.name("one"));
    bus.subscribe(Wanted::named("free"), notes.name("free"));
    bus.subscribe(in_group("two"), notes.name("two"));
    let told = bus.stop_group("group", LONG).await;
    assert_eq!((told.started, told.handlers, told.running), (false, 2, 0));
    let told = results(bus.publish(placed(1)?).await);
    let stopped = HandlerResult::Stopped;
    let all = [
        ("one", stopped.clone()),
        ("free", HandlerResult::Handled),
        ("two", stopped),
    ];
    assert_eq!(told, expected(all));
    assert_eq!(notes.all(), ["free"]);
    Ok(())
}

/// `GroupStatus`: each delivery that was left out is counted, one for each event and handler.
pub async fn a_stopped_group_counts_what_it_misses<H: BusHarness>(harness: &H) -> Outcome {
    let bus = harness.open(BusSettings::USUAL);
    for name in ["one", "two"] {
        bus.subscribe(in_group(name), handler(|_| async { Ok(()) }));
    }
    bus.publish(placed(1)?).await;
    assert_eq!(bus.stop_group("group", LONG).await.missed, 0);
    for n in 2..=4 {
        bus.publish(placed(n)?).await;
    }
    let told = bus.start_group("group").await;
    let expected = GroupTold {
        started: true,
        handlers: 2,
        running: 0,
        missed: 6,
    };
    assert_eq!(told, expected);
    Ok(())
}

/// `stop_group`: it waits for who runs, and when that takes too long it tells of them; who has begun may end.
pub async fn stopping_waits_for_who_runs_and_tells_of_the_rest<H: BusHarness>(
    harness: &H,
) -> Outcome {
    let (notes, gate) = (Notes::default(), Gate::closed());
    let bus = harness.open(BusSettings::USUAL);
    let (noted, at) = (notes.clone(), gate.clone());
    let slow = handler(move |_| {
        let (notes, gate) = (noted.clone(), at.clone());
        async move {
            notes.push("begun");
            gate.pass().await;
            notes.push("ended");
            Ok(())
        }
    });
    bus.subscribe(in_group("slow"), slow);
    let mut publishing = pin!(bus.publish(placed(1)?));
    assert!(look(publishing.as_mut()).await.is_none());
    let opens = async {
        notes.until("begun").await;
        let late = bus.stop_group("group", Duration::from_millis(1)).await;
        assert_eq!((late.started, late.running), (false, 1));
        let mut stopping = pin!(bus.stop_group("group", LONG));
        assert!(look(stopping.as_mut()).await.is_none(), "somebody runs");
        gate.open();
        let stopped = stopping.await;
        notes.push("stopped");
        assert_eq!(stopped.running, 0);
    };
    let (told, ()) = tokio::join!(publishing, opens);
    assert_eq!(only(told), HandlerResult::Handled);
    let course = notes.all();
    assert_eq!(course.len(), 3, "{course:?}");
    assert_eq!(course[1], "ended", "{course:?}");
    Ok(())
}

/// `start_group`: its handlers are called again.
pub async fn a_group_that_is_started_again_is_called<H: BusHarness>(harness: &H) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    bus.subscribe(in_group("one"), notes.numbers());
    bus.stop_group("group", LONG).await;
    bus.publish(placed(1)?).await;
    assert!(bus.start_group("group").await.started);
    assert_eq!(only(bus.publish(placed(2)?).await), HandlerResult::Handled);
    assert_eq!(notes.all(), ["2"]);
    Ok(())
}

/// `stop_group`: who is subscribed to a stopped group is stopped as well.
pub async fn who_joins_a_stopped_group_is_stopped<H: BusHarness>(harness: &H) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    bus.stop_group("group", LONG).await;
    bus.subscribe(in_group("late"), notes.numbers());
    assert_eq!(only(bus.publish(placed(1)?).await), HandlerResult::Stopped);
    bus.start_group("group").await;
    bus.publish(placed(2)?).await;
    assert_eq!(notes.all(), ["2"]);
    Ok(())
}
