//! What an event goes back to, and what came of it.

use std::sync::Arc;

use uno_core::{
    Beginning, CausationLimits, CausationTree, CommandId, CorrelationId, EventId,
    EventStoreExt as _, Metadata,
};
use uno_testkit::conformance::BackendHarness;

use super::{Guard, Store, append, asked::Asked, effect, event};

/// Names with their depths.
fn shape(tree: &CausationTree) -> Vec<(usize, String)> {
    let events = tree.events().iter();
    let shape = events.map(|effect| (effect.depth(), effect.event().name().to_string()));
    shape.collect()
}

fn names(tree: &CausationTree) -> Vec<String> {
    let causes = tree.causes().iter();
    causes.map(|event| event.name().to_string()).collect()
}

fn pairs(shape: &[(usize, &str)]) -> Vec<(usize, String)> {
    let pairs = shape
        .iter()
        .map(|(depth, name)| (*depth, (*name).to_owned()));
    pairs.collect()
}

pub(super) async fn a_tree_goes_up_to_the_beginning_and_down_to_the_last_effect<
    H: BackendHarness,
>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let store = &**store;
    let placed = append(store, "order-1", event("placed", Metadata::new())).await;
    let charged = effect(store, &placed, "charged").await;
    let allocated = effect(store, &placed, "allocated").await;
    let dispatched = effect(store, &allocated, "dispatched").await;
    let booked = effect(store, &charged, "booked").await;
    let mailed = effect(store, &dispatched, "mailed").await;
    append(store, "order-2", event("placed", Metadata::new())).await;

    let tree = store
        .causation_of(placed.id(), CausationLimits::new())
        .await;
    let tree = tree.unwrap().unwrap();
    assert_eq!(tree.event(), &placed);
    assert_eq!(
        (tree.beginning(), tree.is_cut()),
        (Beginning::Uncaused, false)
    );
    assert_eq!(names(&tree), [] as [String; 0]);
    let all = [
        (0, "placed"),
        (1, "charged"),
        (2, "booked"),
        (1, "allocated"),
        (2, "dispatched"),
        (3, "mailed"),
    ];
    assert_eq!(shape(&tree), pairs(&all));
    let effects = tree.effects_of(placed.id());
    let effects: Vec<_> = effects.map(|effect| effect.event().id()).collect();
    assert_eq!(effects, [charged.id(), allocated.id()]);

    let tree = store
        .causation_of(dispatched.id(), CausationLimits::new())
        .await;
    let tree = tree.unwrap().unwrap();
    assert_eq!(names(&tree), ["placed", "allocated"]);
    assert_eq!(shape(&tree), pairs(&[(0, "dispatched"), (1, "mailed")]));
    assert_eq!(tree.events()[1].event(), &mailed);
    assert_eq!(tree.events()[1].through(), None, "nothing was in between");
    let tree = store
        .causation_of(booked.id(), CausationLimits::new())
        .await;
    assert_eq!(names(&tree.unwrap().unwrap()), ["placed", "charged"]);
}

pub(super) async fn commands_and_timers_are_in_between<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let store = &**store;
    let (first, second, timer) = (CommandId::new(), CommandId::new(), CommandId::new());
    let root = Metadata::new().with_causation_id(*first.as_uuid());
    let placed = append(store, "order-1", event("placed", root)).await;
    // A command because of the event, then a timer because of the command's outcome, then a command because of that.
    let of_command = Metadata::caused_by(&placed).with_causation_id(*second.as_uuid());
    let charged = append(store, "payment-1", event("charged", of_command.clone())).await;
    let of_timer = of_command.with_causation_id(*timer.as_uuid());
    let overdue = append(store, "payment-1", event("overdue", of_timer)).await;
    // Written by hand, as those do who know nothing of causing events.
    let by_hand = Metadata::new().with_causation_id(*overdue.id().as_uuid());
    let noted = append(store, "note-1", event("noted", by_hand)).await;

    let tree = store.causation_of(noted.id(), CausationLimits::new()).await;
    let tree = tree.unwrap().unwrap();
    assert_eq!(names(&tree), ["placed", "overdue"]);
    assert_eq!(tree.beginning(), Beginning::Outside(*first.as_uuid()));

    let tree = store
        .causation_of(placed.id(), CausationLimits::new())
        .await;
    let tree = tree.unwrap().unwrap();
    let all = [(0, "placed"), (1, "charged"), (1, "overdue"), (2, "noted")];
    assert_eq!(shape(&tree), pairs(&all));
    let through: Vec<_> = tree
        .events()
        .iter()
        .map(|effect| effect.through())
        .collect();
    let (second, timer) = (*second.as_uuid(), *timer.as_uuid());
    assert_eq!(through, [None, Some(second), Some(timer), None]);
    assert_eq!(tree.events()[1].cause(), Some(placed.id()));
    assert_eq!(tree.events()[1].event(), &charged);
}

pub(super) async fn there_is_no_tree_of_an_event_that_is_not_there<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    append(&**store, "order-1", event("placed", Metadata::new())).await;
    let tree = store.causation_of(EventId::new(), CausationLimits::new());
    assert_eq!(tree.await.unwrap(), None);
}

pub(super) async fn limits_cut_the_tree_and_it_tells<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let store = &**store;
    let mut chain = vec![append(store, "order-1", event("e0", Metadata::new())).await];
    for number in 1..=6 {
        let next = effect(store, &chain[number - 1], &format!("e{number}")).await;
        chain.push(next);
    }
    let middle = chain[3].id();
    let of = |limits| store.causation_of(middle, limits);
    let limits = CausationLimits::new();
    let tree = of(limits.depth(2)).await.unwrap().unwrap();
    assert_eq!(names(&tree), ["e1", "e2"]);
    assert_eq!(shape(&tree), pairs(&[(0, "e3"), (1, "e4"), (2, "e5")]));
    assert!(tree.is_cut());
    assert_eq!(tree.beginning(), Beginning::Cut);
    // Exactly as far as there is anything: nothing was cut.
    let tree = of(limits.depth(3)).await.unwrap().unwrap();
    assert_eq!((tree.events().len(), tree.causes().len()), (4, 3));
    assert!(!tree.is_cut());
    let tree = of(limits.events(7)).await.unwrap().unwrap();
    assert!(!tree.is_cut());
    let tree = of(limits.events(6)).await.unwrap().unwrap();
    assert_eq!((tree.causes().len(), tree.events().len()), (3, 3));
    assert!(tree.is_cut());
    let tree = of(limits.events(2)).await.unwrap().unwrap();
    assert_eq!(
        (names(&tree), shape(&tree).len()),
        (vec!["e2".to_owned()], 1)
    );
    assert!(tree.is_cut());
    let tree = of(limits.events(0).depth(0)).await.unwrap().unwrap();
    assert_eq!((tree.causes().len(), tree.events().len()), (0, 1));
    assert!(tree.is_cut());
}

pub(super) async fn a_circle_of_causes_is_gone_through_once<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let store = &**store;
    // One that is its own cause, and two that are each other's.
    let alone = EventId::new();
    let metadata = |cause: EventId| {
        let metadata = Metadata::new().with_causation_id(*cause.as_uuid());
        metadata.with_causing_event(cause)
    };
    append(store, "a-1", event("alone", metadata(alone)).with_id(alone)).await;
    let (left, right) = (EventId::new(), EventId::new());
    append(store, "a-1", event("left", metadata(right)).with_id(left)).await;
    append(store, "a-1", event("right", metadata(left)).with_id(right)).await;
    let tree = store.causation_of(alone, CausationLimits::new()).await;
    let tree = tree.unwrap().unwrap();
    assert_eq!(tree.beginning(), Beginning::Loop(alone));
    assert_eq!((tree.causes().len(), tree.events().len()), (0, 1));
    assert!(!tree.is_cut());
    let tree = store.causation_of(left, CausationLimits::new()).await;
    let tree = tree.unwrap().unwrap();
    assert_eq!(names(&tree), ["right"]);
    assert_eq!(tree.beginning(), Beginning::Loop(left));
    assert_eq!(shape(&tree), pairs(&[(0, "left"), (1, "right")]));
    assert!(
        tree.to_mermaid().contains("is#32;among"),
        "{}",
        tree.to_mermaid()
    );
}

pub(super) async fn a_level_is_one_question_of_each_kind<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let asked = Asked::of(store);
    let store = &**store;
    let root = Metadata::new().with_correlation_id(CorrelationId::new());
    let root = append(store, "order-1", event("root", root)).await;
    for _ in 0..30 {
        let child = effect(store, &root, "child").await;
        effect(store, &child, "grandchild").await;
    }
    let tree = asked.causation_of(root.id(), CausationLimits::new()).await;
    assert_eq!(tree.unwrap().unwrap().events().len(), 61);
    // The event; then what the root, its children, and their children have set off, directly or not.
    assert_eq!(asked.questions(), 1 + 3 * 2);
}
