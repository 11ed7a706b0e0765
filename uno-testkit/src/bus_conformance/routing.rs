//! Which events come to which handlers.

use uno_core::{Category, EventName};
use uno_events::{HandlerResult, NamePattern, Topic};

use super::{
    BusHarness, BusSettings, BusUnderTest as _, Wanted, WantedTopic,
    fixture::{Notes, placed, placed_in, results, shipped},
};
use crate::conformance::Outcome;

/// Routing: a handler of an event type is called for events of that type, and for no others.
pub async fn a_typed_handler_gets_its_type<H: BusHarness>(harness: &H) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    bus.subscribe(
        Wanted::named("typed").of(WantedTopic::Typed),
        notes.numbers(),
    );
    for (event, called) in [(placed(1)?, 1), (shipped(2)?, 0), (placed(3)?, 1)] {
        assert_eq!(results(bus.publish(event).await).len(), called);
    }
    assert_eq!(notes.all(), ["1", "3"]);
    Ok(())
}

/// Routing: a handler of a set is called for each type of it.
pub async fn a_handler_of_a_set_gets_every_type_of_it<H: BusHarness>(harness: &H) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    bus.subscribe(Wanted::named("set").of(WantedTopic::Set), notes.numbers());
    for event in [placed(1)?, shipped(2)?, placed(3)?] {
        bus.publish(event).await;
    }
    assert_eq!(notes.all(), ["1", "2", "3"]);
    Ok(())
}

/// Routing: events with a stored name come to the handlers of that name, and to no others.
pub async fn a_name_comes_to_who_wants_it<H: BusHarness>(harness: &H) -> Outcome {
    let wants =
        |name: &'static str| Ok::<_, uno_core::BoxError>(Topic::Name(EventName::new(name)?));
    check(harness, wants("placed")?, &["1", "3"]).await?;
    check(harness, wants("shipped")?, &["2"]).await?;
    check(harness, wants("place")?, &[]).await
}

/// Routing: events whose stored names have a shape come to the handlers of that shape, and to no others.
pub async fn names_of_a_pattern_come_to_who_wants_them<H: BusHarness>(harness: &H) -> Outcome {
    let wants = |pattern: &'static str| {
        Ok::<_, uno_core::BoxError>(Topic::Pattern(NamePattern::new(pattern)?))
    };
    check(harness, wants("pl*")?, &["1", "3"]).await?;
    check(harness, wants("*ed")?, &["1", "2", "3"]).await?;
    check(harness, wants("*_nowhere")?, &[]).await
}

/// Routing: events of streams in a category come to the handlers of that category, and to no others.
pub async fn events_of_a_category_come_to_who_wants_it<H: BusHarness>(harness: &H) -> Outcome {
    let wants = |category: &'static str| {
        Ok::<_, uno_core::BoxError>(Topic::Category(Category::new(category)?))
    };
    check(harness, wants("order")?, &["1", "2"]).await?;
    check(harness, wants("invoice")?, &["3"]).await?;
    check(harness, wants("orders")?, &[]).await
}

/// Routing: every event comes to a handler that is for all, whatever its name and its category.
pub async fn all_events_come_to_who_wants_all<H: BusHarness>(harness: &H) -> Outcome {
    check(harness, Topic::All, &["1", "2", "3"]).await
}

/// One placed and one shipped event of an order, and one placed event of an invoice: which come to a handler of this topic.
async fn check<H: BusHarness>(harness: &H, topic: Topic, expected: &[&str]) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    let wanted = Wanted::named("recorded").of(WantedTopic::Recorded(topic.clone()));
    bus.subscribe(wanted, notes.numbers());
    for event in [placed(1)?, shipped(2)?, placed_in("invoice-1", 3)?] {
        bus.publish(event).await;
    }
    assert_eq!(notes.all(), expected, "{topic:?}");
    Ok(())
}

/// Routing: every handler that an event is for is called, and none twice, however many ways lead to it.
pub async fn each_handler_of_an_event_is_called_once<H: BusHarness>(harness: &H) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    let category = Topic::Category(Category::new("order")?);
    for (name, topic) in [
        ("typed", WantedTopic::Typed),
        ("set", WantedTopic::Set),
        ("all", WantedTopic::Recorded(Topic::All)),
        ("category", WantedTopic::Recorded(category)),
        ("all again", WantedTopic::Recorded(Topic::All)),
    ] {
        bus.subscribe(Wanted::named(name).of(topic), notes.name(name));
    }
    let told = results(bus.publish(placed(1)?).await);
    let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
    let mut called = notes.all();
    called.sort_unstable();
    assert_eq!(called, ["all", "all again", "category", "set", "typed"]);
    assert_eq!(names, ["typed", "set", "all", "category", "all again"]);
    assert!(
        told.iter()
            .all(|(_, result)| *result == HandlerResult::Handled)
    );
    Ok(())
}

/// Contract 5: once its subscription has ended, a handler is not called and not reported.
pub async fn an_unsubscribed_handler_is_not_called<H: BusHarness>(harness: &H) -> Outcome {
    let notes = Notes::default();
    let bus = harness.open(BusSettings::USUAL);
    let leaves = bus.subscribe(Wanted::named("leaves"), notes.name("leaves"));
    bus.subscribe(Wanted::named("stays"), notes.name("stays"));
    bus.publish(placed(1)?).await;
    bus.unsubscribe(leaves);
    let told = results(bus.publish(placed(2)?).await);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        notes.all().iter().filter(|name| *name == "leaves").count(),
        1
    );
    assert_eq!(notes.all().len(), 3);
    Ok(())
}
