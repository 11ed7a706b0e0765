//! Replaying: the same state, or a typed error.

use proptest::prelude::*;
use uno_core::{Envelope, StreamIdError, Version};
use uno_domain::{Aggregate, AggregateRoot, ReplayError};

use crate::account::{Account, AccountEvent, Root, after, deposits, stored, version, wishes};

proptest! {
    #[test]
    fn replaying_what_was_recorded_gives_an_equal_state(wishes in wishes()) {
        let root = after(&wishes);
        let replayed = Root::from_events(7, stored("account-7", 1, root.uncommitted())).unwrap();
        prop_assert_eq!(replayed.state(), root.state());
        prop_assert_eq!(replayed.version(), root.version());
        prop_assert_eq!(replayed.committed_version(), root.version());
        prop_assert!(replayed.uncommitted().is_empty());
    }

    #[test]
    fn it_does_not_matter_when_it_was_committed(wishes in wishes(), at in any::<prop::sample::Index>()) {
        let once = after(&wishes);
        let mut twice = after(&wishes[..at.index(wishes.len() + 1)]);
        twice.mark_committed(twice.version()).unwrap();
        for wish in &wishes[at.index(wishes.len() + 1)..] {
            let _ = wish.carry_out(&mut twice);
        }
        prop_assert_eq!(twice.state(), once.state());
        prop_assert_eq!(twice.version(), once.version());
    }

    #[test]
    fn a_hole_is_refused(count in 2..30_u32, at in any::<prop::sample::Index>()) {
        let mut events = stored("account-7", 1, &deposits(count));
        // Not the last one: without it the history is shorter, not broken.
        let missing = at.index(events.len() - 1);
        events.remove(missing);
        let missing = missing as u64 + 1;
        prop_assert_eq!(
            refusal(&events),
            ReplayError::Hole { stream: "account-7".parse().unwrap(), expected: version(missing), actual: version(missing + 1) }
        );
    }

    #[test]
    fn an_event_that_comes_twice_is_refused(count in 1..30_u32, at in any::<prop::sample::Index>()) {
        let mut events = stored("account-7", 1, &deposits(count));
        let twice = at.index(events.len());
        events.insert(twice, events[twice].clone());
        let twice = twice as u64 + 1;
        prop_assert_eq!(
            refusal(&events),
            ReplayError::Hole { stream: "account-7".parse().unwrap(), expected: version(twice + 1), actual: version(twice) }
        );
    }

    #[test]
    fn two_events_in_the_wrong_order_are_refused(count in 2..30_u32, at in any::<prop::sample::Index>()) {
        let mut events = stored("account-7", 1, &deposits(count));
        let first = at.index(events.len() - 1);
        events.swap(first, first + 1);
        let first = first as u64 + 1;
        prop_assert_eq!(
            refusal(&events),
            ReplayError::Hole { stream: "account-7".parse().unwrap(), expected: version(first), actual: version(first + 1) }
        );
    }
}

fn refusal(events: &[Envelope<AccountEvent>]) -> ReplayError {
    Root::from_events(7, events).unwrap_err()
}

#[test]
fn a_stream_without_events_is_the_state_before_the_first() {
    let root = Root::from_events(7, Vec::<Envelope<AccountEvent>>::new()).unwrap();
    assert_eq!(root.version(), Version::EMPTY);
    assert_eq!(*root.state(), Account::default());
}

#[test]
fn a_history_that_does_not_begin_at_the_beginning_is_refused() {
    let stream = "account-7".parse().unwrap();
    let expected = ReplayError::Hole {
        stream,
        expected: version(1),
        actual: version(2),
    };
    assert_eq!(refusal(&stored("account-7", 2, &deposits(3))), expected);
    assert_eq!(
        expected.to_string(),
        "version 1 of stream account-7 was to be replayed, not version 2"
    );
}

#[test]
fn events_of_another_stream_are_refused() {
    let check = |other: &str| {
        let expected = ReplayError::WrongStream {
            expected: "account-7".parse().unwrap(),
            actual: other.parse().unwrap(),
        };
        assert_eq!(refusal(&stored(other, 1, &deposits(1))), expected);
    };
    check("account-8");
    check("order-7");
    check("account-07");
}

#[test]
fn recorded_events_are_refused_after_uncommitted_ones() {
    let mut root = Root::new(7);
    root.record(deposits(2));
    let before = root.clone();
    let error = root
        .apply_recorded(&stored("account-7", 1, &deposits(1))[0])
        .unwrap_err();
    assert_eq!(
        error,
        ReplayError::Uncommitted {
            stream: "account-7".parse().unwrap(),
            count: 2
        }
    );
    assert_eq!(
        (root.state(), root.version()),
        (before.state(), before.version())
    );
}

#[test]
fn a_refused_event_leaves_the_aggregate_as_it_was() {
    let events = stored("account-7", 1, &deposits(5));
    let mut root = Root::from_events(7, &events[..2]).unwrap();
    assert!(root.apply_recorded(&events[3]).is_err());
    assert_eq!(root.version(), version(2));
    for event in &events[2..] {
        root.apply_recorded(event).unwrap();
    }
    assert_eq!(root.version(), version(5));
}

#[derive(Default)]
struct Badly;

impl Aggregate for Badly {
    const CATEGORY: &'static str = "Not A Category";
    type Id = u32;
    type Event = AccountEvent;
    fn apply(&mut self, _: &AccountEvent) {}
}

#[test]
fn a_category_that_is_none_is_a_typed_error() {
    let error =
        AggregateRoot::<Badly>::from_events(7, stored("account-7", 1, &deposits(1))).unwrap_err();
    assert_eq!(
        error,
        ReplayError::Id(StreamIdError::Category("Not A Category".to_owned()))
    );
}
