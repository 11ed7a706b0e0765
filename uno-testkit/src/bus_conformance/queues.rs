//! Handlers with a queue: that publishers do not wait, and what happens when it is full.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};

use uno_core::{EventStore, EventStoreExt as _, ExpectedVersion, Position, ReadLog};
use uno_events::{HandlerResult, Refusal};

use super::{
    BusHarness, BusSettings, BusUnderTest, Wanted, WantedPolicy,
    events::Placed,
    fixture::{Gate, LONG, Notes, handler, look, number, only, placed},
};
use crate::conformance::Outcome;

fn queued(capacity: usize, policy: WantedPolicy) -> Wanted {
    Wanted::named("queued").queued(capacity, policy)
}

fn numbers(of: impl IntoIterator<Item = u32>) -> Vec<String> {
    of.into_iter().map(|n| n.to_string()).collect()
}

/// Contract 7: a publisher does not wait for a handler with a queue; the report says that the event is in it, and the handler was not
/// called for that.
pub async fn a_publisher_does_not_wait_for_a_queue<H: BusHarness>(harness: &H) -> Outcome {
    let (notes, gate) = (Notes::default(), Gate::closed());
    let bus = harness.open(BusSettings::USUAL);
    bus.subscribe(queued(10, WantedPolicy::Block), gate.numbers(&notes));
    for n in 1..=5 {
        let told = bus.publish(placed(n)?).await.ok_or("it is open")?;
        assert_eq!(
            (&told[0].result, told[0].attempts),
            (&HandlerResult::Queued, 0)
        );
    }
    gate.open();
    assert!(bus.shutdown(LONG).await);
    assert_eq!(notes.all(), numbers(1..=5));
    Ok(())
}

/// Contract 7: the events of a queue come to the handler one at a time, in the order in which they were published.
pub async fn events_of_a_queue_come_one_at_a_time_in_order<H: BusHarness>(harness: &H) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    let course = notes.course(|event| number(event).to_string());
    bus.subscribe(queued(100, WantedPolicy::Block), course);
    for n in 1..=20 {
        bus.publish(placed(n)?).await;
    }
    assert!(bus.shutdown(LONG).await);
    let expected: Vec<_> = (1..=20)
        .flat_map(|n| [format!("{n} begins"), format!("{n} ends")])
        .collect();
    assert_eq!(notes.all(), expected);
    Ok(())
}

/// Contract 7, `block`: as many events wait as the queue has space for, beside the one that is being handled; the publisher of the next
/// waits until there is space, and nothing is lost.
pub async fn a_full_queue_that_blocks_has_publishers_wait<H: BusHarness>(harness: &H) -> Outcome {
    let (notes, gate) = (Notes::default(), Gate::closed());
    let bus = harness.open(BusSettings::USUAL);
    bus.subscribe(queued(2, WantedPolicy::Block), gate.numbers(&notes));
    bus.publish(placed(1)?).await;
    notes.until("1").await;
    for n in [2, 3] {
        assert_eq!(only(bus.publish(placed(n)?).await), HandlerResult::Queued);
    }
    let mut fourth = pin!(bus.publish(placed(4)?));
    assert!(look(fourth.as_mut()).await.is_none(), "there is no space");
    gate.open();
    assert_eq!(only(fourth.await), HandlerResult::Queued);
    assert!(bus.shutdown(LONG).await);
    assert_eq!(notes.all(), numbers(1..=4));
    Ok(())
}

/// Contract 7, `drop_with_gap`: events that find no space are dropped, and reported so; the handler is told of exactly those, after the
/// last event before them and before the first one after.
pub async fn a_full_queue_that_drops_tells_of_the_gap_in_its_place<H: BusHarness>(
    harness: &H,
) -> Outcome {
    let (notes, gate) = (Notes::default(), Gate::closed());
    let bus = harness.open(BusSettings::USUAL);
    let told = notes.clone();
    let policy =
        WantedPolicy::DropWithGap(Arc::new(move |first: Position, last: Position, events| {
            told.push(format!("gap {first} {last} {events}"));
        }));
    bus.subscribe(queued(2, policy), gate.numbers(&notes));
    bus.publish(placed(1)?).await;
    notes.until("1").await;
    for n in 2..=7 {
        let expected = if n <= 3 {
            HandlerResult::Queued
        } else {
            HandlerResult::Dropped
        };
        assert_eq!(only(bus.publish(placed(n)?).await), expected, "{n}");
    }
    gate.open();
    notes.until("3").await;
    assert_eq!(only(bus.publish(placed(9)?).await), HandlerResult::Queued);
    assert!(bus.shutdown(LONG).await);
    assert_eq!(notes.all(), ["1", "2", "3", "gap 4 7 4", "9"]);
    Ok(())
}

/// Contract 7, `spill_to_log`: nobody waits, and the handler gets every event once, in the log's order.
pub async fn a_full_queue_that_spills_loses_nothing_and_doubles_nothing<H: BusHarness>(
    harness: &H,
) -> Outcome {
    let (notes, gate) = (Notes::default(), Gate::closed());
    let bus = harness.open(BusSettings::USUAL);
    let log = harness.log();
    let events: Vec<_> = (1..=50).map(|n| Placed { n }).collect();
    let stream = "order-1".parse()?;
    log.append_events(stream, ExpectedVersion::Any, &events)
        .await?;
    let page = log.read_log(ReadLog::after(Position::START)).await?;
    let events = page.into_events();
    let all: Vec<_> = events
        .iter()
        .map(|event| number(event).to_string())
        .collect();
    let policy = WantedPolicy::SpillToLog(Arc::clone(&log) as Arc<dyn EventStore>);
    bus.subscribe(queued(3, policy), gate.numbers(&notes));
    let mut spilled = 0;
    for (n, event) in events.into_iter().enumerate() {
        if n == 30 {
            gate.open();
        }
        match only(bus.publish(event).await) {
            HandlerResult::Queued => {}
            HandlerResult::Spilled => spilled += 1,
            other => panic!("{n}: {other}"),
        }
    }
    assert!(
        spilled >= 26,
        "{spilled} of the first thirty found no space"
    );
    assert!(bus.shutdown(LONG).await);
    assert_eq!(notes.all(), all);
    Ok(())
}

/// Contract 7: whatever the handler does with one event, it gets the next.
pub async fn a_queue_outlives_whatever_its_handler_does<H: BusHarness>(harness: &H) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    let noted = notes.clone();
    let wild = handler(move |event| {
        let n = number(&event);
        noted.push(n.to_string());
        async move {
            match n {
                2 => Err("by intent".into()),
                3 => panic!("by intent"),
                _ => Ok(()),
            }
        }
    });
    bus.subscribe(queued(10, WantedPolicy::Block), wild);
    for n in 1..=5 {
        bus.publish(placed(n)?).await;
    }
    assert!(bus.shutdown(LONG).await);
    assert_eq!(notes.all(), numbers(1..=5));
    Ok(())
}

/// Contract 4: a handler that publishes into its own queue, which is full, would wait for itself: it is refused, and told so.
pub async fn who_publishes_into_its_own_full_queue_is_refused<H: BusHarness>(
    harness: &H,
) -> Outcome {
    let bus = harness.open(BusSettings::USUAL);
    let (inner, told) = (bus.clone(), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&told);
    let publishes = handler(move |event| {
        let (bus, noted) = (inner.clone(), Arc::clone(&noted));
        async move {
            if number(&event) == 1 {
                for n in 2..=3 {
                    let result = only(bus.publish(placed(n)?).await);
                    noted
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(result);
                }
            }
            Ok(())
        }
    });
    bus.subscribe(queued(1, WantedPolicy::Block), publishes);
    bus.publish(placed(1)?).await;
    while told.lock().unwrap_or_else(PoisonError::into_inner).len() < 2 {
        tokio::task::yield_now().await;
    }
    let refused = HandlerResult::Refused(Refusal::WouldWaitForItself);
    let expected = [HandlerResult::Queued, refused];
    assert_eq!(
        *told.lock().unwrap_or_else(PoisonError::into_inner),
        expected
    );
    assert!(bus.shutdown(LONG).await);
    Ok(())
}
