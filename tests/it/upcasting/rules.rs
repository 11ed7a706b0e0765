//! What can't be registered, and the words that say why.

use serde::{Deserialize, Serialize};
use uno::Uno;
use uno_core::{
    Decoder, DecoderBuilder, Envelope, Event, EventPart, EventSet, RegistrationError,
    SubscriptionName,
};
use uno_cqrs::{DocumentProjection, DocumentProjector};
use uno_events::{Replay, Subscription, SubscriptionManager, TypedWatch, WatchOptions};
use uno_store_memory::MemoryStore;

#[derive(Event, Serialize, Deserialize, Clone)]
#[event(version = 6, upcast(2 = |old| old, 5 = |old| old), upcast_elsewhere)]
struct Placed {}

#[derive(Event, Serialize, Deserialize, Clone)]
#[event(formerly("given_up"))]
struct Cancelled {}

#[derive(EventSet, Clone)]
enum OrderEvent {
    Placed(Placed),
    Cancelled(Cancelled),
}

/// With the steps of [`Placed`] that are missing.
fn whole() -> DecoderBuilder {
    [1, 3, 4].into_iter().fold(
        Decoder::builder().events::<OrderEvent>(),
        |builder, from| builder.upcast("placed", from, Ok),
    )
}

fn check(builder: DecoderBuilder, expected: &str) {
    let error = builder.build().unwrap_err();
    assert_eq!(error.to_string(), expected);
}

fn parts(_: serde_json::Value) -> Result<Vec<EventPart>, uno_core::BoxError> {
    Ok(Vec::new())
}

#[test]
fn what_fits_together_is_taken() {
    whole().build().unwrap();
    let decoder = whole()
        .rename("older", "old")
        .rename("old", "placed")
        .split(
            "both",
            1,
            [("older", 3), ("cancelled", 1), ("gone", 7)],
            parts,
        )
        .retire("gone", "nobody asks")
        .build()
        .unwrap();
    // All that is read as one of the set is asked for, wholly or in part, and no more.
    let names = decoder.stored_names::<OrderEvent>();
    let names: Vec<_> = names.iter().map(uno_core::EventName::as_str).collect();
    assert_eq!(
        names,
        ["both", "cancelled", "given_up", "old", "older", "placed"]
    );
    let names = decoder.stored_names::<Cancelled>();
    let names: Vec<_> = names.iter().map(uno_core::EventName::as_str).collect();
    assert_eq!(names, ["both", "cancelled", "given_up"]);
    let retired: Vec<_> = decoder
        .retired()
        .map(|(name, why)| (name.as_str(), why))
        .collect();
    assert_eq!(retired, [("gone", "nobody asks")]);
}

#[test]
fn a_gap_is_shown_in_its_chain() {
    check(
        Decoder::builder().events::<OrderEvent>(),
        "the chain of event placed has a gap: 1 ✗ 2 → 3 ✗ 4 ✗ … 6; no step starts from version 1",
    );
    check(
        Decoder::builder()
            .events::<OrderEvent>()
            .upcast("placed", 1, Ok)
            .upcast("placed", 4, Ok),
        "the chain of event placed has a gap: 1 → 2 → 3 ✗ 4 → 5 → 6; no step starts from version 3",
    );
    // The chain of a name that no type has begins with the first version too.
    check(
        whole()
            .upcast("both", 2, Ok)
            .split("both", 3, [("placed", 1)], parts),
        "the chain of event both has a gap: 1 ✗ 2 → 3; no step starts from version 1",
    );
}

#[test]
fn two_rules_for_one_place_are_refused() {
    let twice = "two steps start from version 1 of event placed";
    check(whole().upcast("placed", 1, Ok), twice);
    check(whole().split("placed", 1, [("placed", 2)], parts), twice);
    check(
        whole().upcast("placed", 2, Ok),
        "two steps start from version 2 of event placed",
    );
    let both = "event old has two rules, and one of them is for all of its versions";
    check(whole().rename("old", "placed").retire("old", ""), both);
    check(
        whole().rename("old", "placed").rename("old", "cancelled"),
        both,
    );
    check(whole().upcast("old", 1, Ok).retire("old", ""), both);
    check(whole().retire("old", "").upcast("old", 1, Ok), both);
    // Of a former name of a type, the type speaks for itself.
    check(
        whole().upcast("given_up", 1, Ok),
        "event given_up has two rules, and one of them is for all of its versions",
    );
}

#[test]
fn what_leads_nowhere_is_refused() {
    check(
        whole().rename("old", "plaiced"),
        "old leads to version 1 of event plaiced, which is in none of the registered sets",
    );
    check(
        whole().split("both", 1, [("placed", 1), ("cancelled", 2)], parts),
        "both 1 leads to version 2 of event cancelled, which is in none of the registered sets",
    );
    check(
        whole().upcast("placed", 6, Ok),
        "a step from version 6 leads beyond event placed, which is at version 6",
    );
    check(
        whole()
            .split("both", 1, [("placed", 1)], parts)
            .upcast("both", 2, Ok),
        "a step from version 2 leads beyond event both, which is at version 1",
    );
}

#[test]
fn what_is_current_is_neither_renamed_nor_retired() {
    let current = "event cancelled is an event type of today, and can't be renamed or retired";
    check(whole().retire("cancelled", "why not"), current);
    check(whole().rename("cancelled", "placed"), current);
}

#[test]
fn a_chain_that_never_ends_is_shown() {
    check(
        whole().rename("a", "b").rename("b", "c").rename("c", "a"),
        "the chain a 1 → b 1 → c 1 → a 1 never ends",
    );
    check(
        whole()
            .split("a", 2, [("b", 1)], parts)
            .upcast("a", 1, Ok)
            .split("b", 1, [("placed", 1), ("a", 1)], parts),
        "the chain a 1 → a 2 → b 1 → a 1 never ends",
    );
    check(
        Decoder::builder().split("placed", 3, [("placed", 3)], parts),
        "the chain placed 3 → placed 3 never ends",
    );
}

#[test]
fn names_that_can_not_be_stored_are_refused() {
    for builder in [
        whole().upcast("Placed", 1, Ok),
        whole().rename("a b", "placed"),
        whole().rename("old", ""),
        whole().retire("-", ""),
        whole().split("both", 1, [("Ä", 1)], parts),
    ] {
        assert!(matches!(builder.build(), Err(RegistrationError::Name(_))));
    }
}

/// Reads [`OrderEvent`].
#[derive(Debug)]
struct Orders;

impl DocumentProjection for Orders {
    const NAME: &'static str = "orders";
    type Event = OrderEvent;
    type Document = ();

    fn keys(&self, _: &Envelope<OrderEvent>) -> Vec<String> {
        Vec::new()
    }

    fn apply(&self, _: &str, _: Option<()>, _: &Envelope<OrderEvent>) -> Option<()> {
        None
    }
}

/// A decoder that was built without the set is checked by every reader of the set.
#[tokio::test]
async fn readers_check_the_chains_of_their_sets() {
    let broken = Decoder::builder().upcast("placed", 1, Ok).build().unwrap();
    let store = std::sync::Arc::new(MemoryStore::new());
    let error = DocumentProjector::new(Orders, store.clone(), broken.clone()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("the chain of event placed has a gap: 1 → 2 → 3 ✗"),
        "{text}"
    );

    let handler = |_: std::sync::Arc<Envelope<OrderEvent>>| async { Ok(()) };
    for builder in [
        Uno::builder(store.clone()).documents(Orders),
        Uno::builder(store.clone()).handler("orders", Replay::Safe, handler),
    ] {
        let Err(error) = builder.decoder(broken.clone()).build() else {
            panic!("a reader of a broken chain was built");
        };
        assert_eq!(error.to_string(), text);
    }
    let manager = SubscriptionManager::builder(store.clone(), store.clone());
    let manager = manager.decoder(broken.clone()).build();
    let name = SubscriptionName::new("orders").unwrap();
    let error = manager
        .subscribe(Subscription::handler(name, Replay::Safe, handler))
        .unwrap_err();
    assert_eq!(error.to_string(), text);
    let options = WatchOptions::from_start();
    let error = manager.watch_events::<OrderEvent>(options.clone()).await;
    assert_eq!(error.unwrap_err().to_string(), text);
    let error = TypedWatch::<OrderEvent>::open(store.clone(), broken, options).await;
    assert_eq!(error.unwrap_err().to_string(), text);
    DocumentProjector::new(Orders, store, whole().build().unwrap()).unwrap();
}
