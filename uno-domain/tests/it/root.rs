//! Recording: decisions, versions, and what becomes of uncommitted events.

use uno_core::{StreamIdError, Version};
use uno_domain::{Aggregate, AggregateRoot};

use crate::account::{
    AccountError, AccountEvent, Deposited, Overdrawn, Root, Withdrawn, deposits, stored, version,
};

#[test]
fn a_decision_is_applied_and_remembered() {
    let mut root = Root::new(7);
    root.decide(|account| account.deposit(500)).unwrap();
    root.decide(|account| account.withdraw(700)).unwrap();

    let expected: [AccountEvent; 3] = [
        Deposited { cents: 500 }.into(),
        Withdrawn { cents: 700 }.into(),
        Overdrawn { by: 200 }.into(),
    ];
    assert_eq!(root.uncommitted(), expected);
    assert_eq!(
        (root.committed_version(), root.version()),
        (Version::EMPTY, version(3))
    );
    assert_eq!(root.stream_id().unwrap().to_string(), "account-7");
}

#[test]
fn a_refused_decision_records_nothing() {
    let mut root = Root::new(7);
    assert_eq!(
        root.decide(|account| account.withdraw(2000)),
        Err(AccountError::TooMuch)
    );
    assert_eq!(
        root.decide(|account| account.deposit(0)),
        Err(AccountError::Nothing)
    );
    assert!(root.uncommitted().is_empty());
    assert_eq!(root.version(), Version::EMPTY);
    assert_eq!(*root.state(), crate::account::Account::default());
}

#[test]
fn what_is_committed_is_no_longer_uncommitted() {
    let mut root = Root::new(7);
    root.record(deposits(3));

    let mismatch = root.mark_committed(version(4)).unwrap_err();
    assert_eq!(
        (mismatch.expected(), mismatch.actual()),
        (version(3), version(4))
    );
    assert_eq!(
        mismatch.to_string(),
        "the aggregate is at version 3, but its stream is at version 4"
    );
    assert_eq!(
        (root.uncommitted().len(), root.committed_version()),
        (3, Version::EMPTY)
    );

    root.mark_committed(version(3)).unwrap();
    assert_eq!(
        (
            root.uncommitted().len(),
            root.committed_version(),
            root.version()
        ),
        (0, version(3), version(3))
    );

    root.record(deposits(2));
    assert_eq!(root.take_uncommitted(), deposits(2));
    assert_eq!(
        (
            root.uncommitted().len(),
            root.committed_version(),
            root.version()
        ),
        (0, version(5), version(5))
    );

    root.record(deposits(1));
    root.clear_uncommitted();
    assert_eq!(
        (root.uncommitted().len(), root.committed_version()),
        (0, version(6))
    );

    // The stream goes on where the root is.
    root.apply_recorded(&stored("account-7", 7, &deposits(1))[0])
        .unwrap();
    assert_eq!(root.version(), version(7));
}

#[test]
fn a_clone_goes_its_own_way() {
    let mut root = Root::new(7);
    root.record(deposits(1));
    let mut other = root.clone();
    other.record(deposits(1));
    assert_eq!((root.version(), other.version()), (version(1), version(2)));
}

#[test]
fn debug_shows_where_it_stands_and_not_what_it_holds() {
    let mut root = Root::new(7);
    root.record(Deposited { cents: 123_456 });
    let text = format!("{root:?}");
    assert!(
        text.contains("account") && text.contains("uncommitted: 1"),
        "{text}"
    );
    assert!(!text.contains("123456"), "{text}");
}

#[derive(Default)]
struct Named;

impl Aggregate for Named {
    const CATEGORY: &'static str = "named";
    type Id = String;
    type Event = Deposited;
    fn apply(&mut self, _: &Deposited) {}
}

/// An event type is a set by itself.
#[test]
fn an_aggregate_of_one_event_type_needs_no_enum() {
    let mut root = AggregateRoot::<Named>::new("ada".to_owned());
    root.record(Deposited { cents: 1 });
    assert_eq!(root.uncommitted(), [Deposited { cents: 1 }]);
}

#[test]
fn an_id_that_no_stream_can_have_is_an_error_when_the_stream_is_needed() {
    let check = |id: String, expected: StreamIdError| {
        let root = AggregateRoot::<Named>::new(id);
        assert_eq!(root.stream_id(), Err(expected.clone()));
        assert_eq!(Named::stream_id(root.id()), Err(expected));
    };
    check(String::new(), StreamIdError::KeyLength(0));
    check("x".repeat(513), StreamIdError::KeyLength(513));
    check("a\0b".to_owned(), StreamIdError::KeyCharacter('\0'));
}

#[test]
fn what_was_recorded_can_be_taken_back() {
    // Three events are stored, and four were recorded since.
    let stored = || {
        let mut root = Root::new(7);
        root.record(deposits(3));
        root.clear_uncommitted();
        root
    };
    for keep in 0..=5 {
        let mut root = stored();
        root.record(deposits(4));
        root.take_back(stored(), keep).unwrap();
        let mut expected = stored();
        expected.record(deposits(4)[..keep.min(4)].to_vec());
        assert_eq!(root.state(), expected.state(), "{keep} are kept");
        assert_eq!(root.uncommitted(), expected.uncommitted());
        assert_eq!(root.committed_version(), version(3));
    }
    // Only to what it was before.
    let another = {
        let mut root = Root::new(8);
        root.record(deposits(3));
        root.clear_uncommitted();
        root
    };
    let mut with_events = stored();
    with_events.record(deposits(1));
    for wrong in [Root::new(7), another, with_events] {
        let mut root = stored();
        root.record(deposits(4));
        let before = root.state().clone();
        assert!(root.take_back(wrong, 0).is_err());
        assert_eq!((root.state(), root.uncommitted().len()), (&before, 4));
    }
}
