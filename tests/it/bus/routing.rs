//! Who is called for what, and in which order.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde::{Deserialize, Serialize};
use uno_core::{
    BoxError, Category, Clock as _, Envelope, Event, EventName, EventSet, NewEvent, Payload,
    Position, RecordedEvent, SchemaVersion, SystemClock, Version,
};
use uno_events::{
    EventBus, EventHandler, HandlerOptions, HandlerResult, NamePattern, Priority, RecordedHandler,
    Topic, handler_fn,
};

use super::support::*;

fn names_called(calls: &Calls) -> Vec<String> {
    calls.take()
}

#[tokio::test]
async fn handlers_are_found_by_type_set_name_category_and_all() {
    let (bus, calls) = (EventBus::new(), Calls::default());
    bus.subscribe("type", calls.noter::<Envelope<Placed>>("type"));
    bus.subscribe("set", calls.noter::<Envelope<OrderEvent>>("set"));
    let topic = Topic::Name(EventName::new("shipped").unwrap());
    bus.subscribe_recorded("name", topic, calls.noter("name"));
    bus.subscribe_recorded(
        "category",
        Topic::Category(Category::new("order").unwrap()),
        calls.noter("category"),
    );
    bus.subscribe_recorded("all", Topic::All, calls.noter("all"));
    assert_eq!(bus.handlers(), 5);

    let check = async |event: Arc<RecordedEvent>, expected: &[&str]| {
        let published = bus.publish(Arc::clone(&event)).await;
        assert_eq!(names_called(&calls), expected);
        let reported: Vec<_> = published.outcomes().map(|outcome| outcome.name()).collect();
        assert_eq!(reported, expected);
        assert!(published.is_ok());
        assert_eq!(published.event(), event.id());
    };
    check(placed(1), &["type", "set", "category", "all"]).await;
    check(shipped(1), &["set", "name", "category", "all"]).await;
    check(
        recorded_in("parcel-1", &Placed { n: 1 }),
        &["type", "set", "all"],
    )
    .await;
    #[derive(Event, Serialize, Deserialize)]
    struct Unheard {}
    check(recorded_in("parcel-1", &Unheard {}), &["all"]).await;
}

#[tokio::test]
async fn a_typed_handler_may_be_for_some_categories_only() {
    let (bus, calls) = (EventBus::new(), Calls::default());
    let orders = HandlerOptions::new().categories([Category::new("order").unwrap()]);
    bus.subscribe_with("orders", orders, calls.noter::<Envelope<Placed>>("orders"));
    bus.publish(recorded_in("parcel-1", &Placed { n: 1 })).await;
    assert!(calls.take().is_empty());
    bus.publish(placed(1)).await;
    assert_eq!(calls.take(), ["orders"]);
}

#[tokio::test]
async fn an_event_without_handlers_is_reported_so() {
    let published = EventBus::new().publish(placed(1)).await;
    assert!(published.is_ok() && published.outcomes().len() == 0);
}

#[tokio::test]
async fn priorities_are_called_one_after_the_other_wherever_they_are_subscribed() {
    let (bus, calls) = (
        EventBus::builder().max_concurrency(100).build(),
        Calls::default(),
    );
    for round in ["1", "2"] {
        for (name, priority) in [
            ("low", Priority::Low),
            ("normal", Priority::Normal),
            ("high", Priority::High),
        ] {
            let options = || HandlerOptions::new().priority(priority);
            let late = |name: String| {
                let calls = calls.clone();
                move |_: Arc<RecordedEvent>| {
                    let (calls, name) = (calls.clone(), name.clone());
                    async move {
                        // The later ones would overtake this one, if they began before it is done.
                        for _ in 0..5 {
                            tokio::task::yield_now().await;
                        }
                        calls.push(name);
                        Ok(())
                    }
                }
            };
            bus.subscribe_with(
                name,
                options(),
                calls.noter::<Envelope<Placed>>(&format!("{name} typed {round}")),
            );
            bus.subscribe_recorded_with(
                name,
                Topic::All,
                options(),
                late(format!("{name} all {round}")),
            );
        }
    }
    let published = bus.publish(placed(1)).await;
    let called: Vec<String> = calls
        .take()
        .iter()
        .map(|call| call.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        called,
        ["high"; 4]
            .iter()
            .chain(&["normal"; 4])
            .chain(&["low"; 4])
            .copied()
            .collect::<Vec<_>>()
    );
    let reported: Vec<_> = published.outcomes().map(|outcome| outcome.name()).collect();
    assert_eq!(reported, called);
}

#[tokio::test]
async fn handlers_may_be_types_closures_or_shared() {
    struct Both(Calls);
    impl EventHandler<Placed> for Both {
        async fn handle(&self, event: &Envelope<Placed>) -> Result<(), BoxError> {
            self.0.push(format!("placed {}", event.event().n));
            Ok(())
        }
    }
    impl EventHandler<Shipped> for Both {
        async fn handle(&self, event: &Envelope<Shipped>) -> Result<(), BoxError> {
            self.0
                .push(format!("shipped {} at {}", event.event().n, event.stream()));
            Ok(())
        }
    }
    impl RecordedHandler for Both {
        async fn handle(&self, event: &Arc<RecordedEvent>) -> Result<(), BoxError> {
            self.0.push(event.name().to_string());
            Ok(())
        }
    }
    let (bus, calls) = (EventBus::new(), Calls::default());
    let both = Arc::new(Both(calls.clone()));
    bus.subscribe::<Placed, _>("placed", Arc::clone(&both));
    bus.subscribe::<Shipped, _>("shipped", Arc::clone(&both));
    bus.subscribe_recorded("recorded", Topic::All, both);
    let kept = handler_fn(calls.noter::<Envelope<Placed>>("kept"));
    bus.subscribe("kept", kept.clone());
    bus.subscribe("kept again", kept);
    bus.publish(placed(1)).await;
    assert_eq!(calls.take(), ["placed 1", "placed", "kept", "kept"]);
    bus.publish(shipped(2)).await;
    assert_eq!(calls.take(), ["shipped 2 at order-1", "shipped"]);
}

#[tokio::test]
async fn many_events_come_in_order_and_each_is_done_with_before_the_next() {
    let (bus, calls) = (EventBus::new(), Calls::default());
    let noted = calls.clone();
    bus.subscribe("slow", move |event: Arc<Envelope<Placed>>| {
        let calls = noted.clone();
        async move {
            calls.push(format!("begin {}", event.event().n));
            tokio::task::yield_now().await;
            calls.push(format!("end {}", event.event().n));
            Ok(())
        }
    });
    let reports = bus.publish_many((0..3).map(placed)).await;
    assert_eq!(reports.len(), 3);
    assert_eq!(
        calls.take(),
        ["begin 0", "end 0", "begin 1", "end 1", "begin 2", "end 2"]
    );
}

#[tokio::test]
async fn an_unsubscribed_handler_is_not_called() {
    let (bus, calls) = (EventBus::new(), Calls::default());
    let first = bus.subscribe("first", calls.noter::<Envelope<OrderEvent>>("first"));
    let second = bus.subscribe_recorded("second", Topic::All, calls.noter("second"));
    let third = bus.subscribe("third", calls.noter::<Envelope<Placed>>("third"));
    assert!(bus.unsubscribe(first));
    assert!(
        !bus.unsubscribe(first),
        "there is no such subscription any more"
    );
    bus.publish(placed(1)).await;
    assert_eq!(calls.take(), ["second", "third"]);
    assert!(
        !EventBus::new().unsubscribe(second),
        "a handle means nothing to another bus"
    );
    assert!(bus.unsubscribe(second) && bus.unsubscribe(third));
    assert!(bus.publish(placed(1)).await.outcomes().len() == 0);
    assert_eq!(bus.handlers(), 0);
}

/// Counts how often it is decoded.
#[derive(Debug)]
struct Counted;

static DECODED: AtomicUsize = AtomicUsize::new(0);

impl Serialize for Counted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(0)
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODED.fetch_add(1, Ordering::Relaxed);
        u32::deserialize(deserializer).map(|_| Self)
    }
}

impl Event for Counted {
    const NAME: &'static str = "counted";
}

#[derive(EventSet, Debug)]
enum Wider {
    Counted(Counted),
    Placed(Placed),
}

#[tokio::test]
async fn an_event_is_decoded_once_for_each_set_and_shared() {
    let bus = EventBus::new();
    let shares = Calls::default();
    for name in ["a", "b", "c"] {
        let noted = shares.clone();
        bus.subscribe(name, move |event: Arc<Envelope<Counted>>| {
            noted.push(format!("{:p}", Arc::as_ptr(&event)));
            async { Ok(()) }
        });
    }
    for name in ["d", "e"] {
        bus.subscribe(name, |_: Arc<Envelope<Wider>>| async { Ok(()) });
    }
    bus.subscribe_recorded("raw", Topic::All, |_: Arc<RecordedEvent>| async { Ok(()) });
    assert_eq!(bus.publish(recorded(&Counted)).await.outcomes().len(), 6);
    assert_eq!(
        DECODED.load(Ordering::Relaxed),
        2,
        "once for the type, once for the set"
    );
    let mut shares = shares.take();
    shares.dedup();
    assert_eq!(shares.len(), 1, "all were given the same envelope");
    assert!(matches!(Wider::from(Placed { n: 1 }), Wider::Placed(_)) && Wider::EVENTS.len() == 2);
}

#[tokio::test]
async fn what_cannot_be_decoded_is_reported_for_those_who_need_it_only() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(name = "placed")]
    struct Mangled {
        text: String,
    }
    let (bus, calls) = (EventBus::new(), Calls::default());
    bus.subscribe("typed", calls.noter::<Envelope<Placed>>("typed"));
    bus.subscribe_recorded("raw", Topic::All, calls.noter("raw"));
    let published = bus.publish(recorded(&Mangled { text: "?".into() })).await;
    assert_eq!(calls.take(), ["raw"]);
    let [
        (_, HandlerResult::Undecodable(why)),
        (_, HandlerResult::Handled),
    ] = &results(&published)[..]
    else {
        panic!("{published:?}")
    };
    assert!(why.contains("malformed"), "{why}");
}

#[tokio::test]
async fn a_thousand_types_are_told_apart() {
    let (bus, calls) = (EventBus::new(), Calls::default());
    for n in 0..1000 {
        let name = format!("kind{n}");
        let topic = Topic::Name(EventName::new(name.clone()).unwrap());
        bus.subscribe_recorded(name.clone(), topic, calls.noter(&name));
    }
    bus.subscribe("placed", calls.noter::<Envelope<Placed>>("placed"));
    bus.publish(placed(1)).await;
    assert_eq!(calls.take(), ["placed"]);
}

#[tokio::test]
async fn handlers_are_found_by_the_shape_of_the_name() {
    let (bus, calls) = (EventBus::new(), Calls::default());
    for pattern in ["pla*", "*ed", "shipp?d", "*"] {
        let topic = Topic::Pattern(NamePattern::new(pattern).unwrap());
        bus.subscribe_recorded(pattern, topic, calls.noter(pattern));
    }
    bus.subscribe("typed", calls.noter::<Envelope<Placed>>("typed"));
    // Twice, since what is found is remembered.
    for _ in 0..2 {
        bus.publish(placed(1)).await;
        assert_eq!(calls.take(), ["pla*", "*ed", "*", "typed"]);
        bus.publish(shipped(1)).await;
        assert_eq!(calls.take(), ["*ed", "shipp?d", "*"]);
    }
    // And forgotten when who is subscribed changes.
    let late = bus.subscribe("late", calls.noter::<Envelope<Shipped>>("late"));
    bus.publish(shipped(1)).await;
    assert_eq!(calls.take(), ["*ed", "shipp?d", "*", "late"]);
    bus.unsubscribe(late);
    bus.publish(shipped(1)).await;
    assert_eq!(calls.take(), ["*ed", "shipp?d", "*"]);
}

#[tokio::test]
async fn more_kinds_of_events_than_are_remembered_find_their_handlers_too() {
    let (bus, calls) = (EventBus::new(), Calls::default());
    let topic = Topic::Pattern(NamePattern::new("*_1").unwrap());
    bus.subscribe_recorded("ones", topic, calls.noter("ones"));
    let category = Topic::Category(Category::new("seven").unwrap());
    bus.subscribe_recorded("sevens", category, calls.noter("sevens"));
    for n in 0..5_000 {
        let name = format!("kind_{n}_{}", n % 10);
        let stream = if n % 7 == 0 { "seven-1" } else { "other-1" };
        let event = NewEvent::from_payload(
            EventName::new(name).unwrap(),
            SchemaVersion::FIRST,
            Payload::from_json("{}").unwrap(),
        );
        let (version, position) = (Version::new(1).unwrap(), Position::new(1).unwrap());
        let event = RecordedEvent::record(
            &event,
            stream.parse().unwrap(),
            version,
            position,
            SystemClock::new().now(),
        );
        bus.publish(Arc::new(event)).await;
        let mut expected = Vec::new();
        if n % 10 == 1 {
            expected.push("ones");
        }
        if n % 7 == 0 {
            expected.push("sevens");
        }
        assert_eq!(calls.take(), expected, "{n}");
    }
}
