//! Snapshots: when they are due, and when they are believed.

use std::time::Duration;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use uno_core::{EventId, Payload, Snapshot, StreamId, Version};
use uno_domain::{Aggregate, AggregateRoot, Occasion, ReplayError, SnapshotError, Snapshots};

use crate::account::{
    Account, AccountEvent, Deposited, Root, after, deposits, stored, version, wishes,
};

proptest! {
    /// However many events each commit has, no more than `every - 1` of them ever lie after the last snapshot.
    /// `version % every == 0` would miss every multiple that a commit steps over.
    #[test]
    fn every_n_is_counted_from_the_last_snapshot(every in 1..20_u64, commits in prop::collection::vec(1..30_u64, 1..50)) {
        let snapshots = Snapshots::<Account>::every(every);
        let (mut last, mut now) = (0, 0);
        for events in commits {
            now += events;
            let due = snapshots.is_due(&Account::default(), Occasion::new(version(last), version(now)));
            prop_assert_eq!(due, now - last >= every);
            if due {
                last = now;
            }
            prop_assert!(now - last < every);
        }
    }

    #[test]
    fn a_snapshot_and_the_events_after_it_give_an_equal_state(wishes in wishes(), at in any::<prop::sample::Index>()) {
        let root = after(&wishes);
        let events = stored("account-7", 1, root.uncommitted());
        let at = at.index(events.len() + 1);
        let half = Root::from_events(7, &events[..at]).unwrap();
        let Some(snapshot) = half.create_snapshot(EventId::new()).unwrap() else {
            prop_assert_eq!(at, 0);
            return Ok(());
        };
        let mut loaded = Root::from_snapshot(7, &snapshot).unwrap();
        prop_assert_eq!(loaded.committed_version(), half.version());
        for event in &events[at..] {
            loaded.apply_recorded(event).unwrap();
        }
        prop_assert_eq!(loaded.state(), root.state());
        prop_assert_eq!(loaded.version(), root.version());
    }
}

#[test]
fn an_interval_of_none_is_one_of_one() {
    let snapshots = Snapshots::<Account>::every(0);
    assert_eq!(snapshots.interval(), Some(1));
    let account = Account::default();
    assert!(!snapshots.is_due(&account, Occasion::new(version(3), version(3))));
    assert!(snapshots.is_due(&account, Occasion::new(version(3), version(4))));
}

#[test]
fn a_snapshot_ahead_of_its_stream_makes_none_due() {
    let ahead = Occasion::new(version(9), version(3)).loaded_in(Duration::MAX);
    let always = Snapshots::<Account>::every(1)
        .or_after(Duration::ZERO)
        .or_when(|_| true);
    assert!(!always.is_due(&Account::default(), ahead));
}

/// Each condition by itself is enough, and `at_least` holds all of them back.
#[test]
fn conditions_are_alternatives_behind_a_least_number() {
    let snapshots = Snapshots::<Account>::every(100)
        .or_after(Duration::from_millis(5))
        .or_when(|account| account.balance < 0)
        .at_least(10);
    let check = |events: u64, millis: u64, balance: i64, due: bool| {
        let occasion =
            Occasion::new(version(7), version(7 + events)).loaded_in(Duration::from_millis(millis));
        assert_eq!(occasion.events(), events);
        let account = Account {
            balance,
            ..Account::default()
        };
        assert_eq!(
            snapshots.is_due(&account, occasion),
            due,
            "{events} {millis} {balance}"
        );
    };
    check(9, 0, 0, false);
    check(9, 9, -1, false);
    check(10, 0, 0, false);
    check(10, 4, 0, false);
    check(10, 5, 0, true);
    check(10, 0, -1, true);
    check(99, 4, 0, false);
    check(100, 0, 0, true);
    // Each alone.
    let account = Account::default();
    let one = Occasion::new(version(0), version(1));
    assert!(!Snapshots::<Account>::after(Duration::from_millis(1)).is_due(&account, one));
    assert!(Snapshots::<Account>::after(Duration::ZERO).is_due(&account, one));
    assert!(Snapshots::<Account>::when(|_| true).is_due(&account, one));
    assert!(!Snapshots::<Account>::when(|_| false).is_due(&account, one));
    assert!(!Snapshots::<Account>::when(|_| true).is_in_background());
    assert!(
        Snapshots::<Account>::when(|_| true)
            .in_background()
            .is_in_background()
    );
}

#[test]
fn a_snapshot_holds_what_was_recorded_and_is_not_yet_stored() {
    let mut root = Root::from_events(7, stored("account-7", 1, &deposits(2))).unwrap();
    root.record(deposits(1));
    let last = EventId::new();
    let snapshot = root.create_snapshot(last).unwrap().unwrap();
    assert_eq!(
        (snapshot.version(), snapshot.event_id(), snapshot.shape()),
        (version(3), last, "account/1")
    );
    assert!(snapshot.is_intact());

    let loaded = Root::from_snapshot(7, &snapshot).unwrap();
    assert_eq!(
        (loaded.state(), loaded.committed_version()),
        (root.state(), version(3))
    );
    assert!(loaded.uncommitted().is_empty());
}

#[test]
fn an_aggregate_without_events_has_no_snapshot() {
    assert!(
        Root::new(7)
            .create_snapshot(EventId::new())
            .unwrap()
            .is_none()
    );
}

fn good() -> Snapshot {
    Root::from_events(7, stored("account-7", 1, &deposits(3)))
        .unwrap()
        .create_snapshot(EventId::new())
        .unwrap()
        .unwrap()
}

/// The good snapshot with something changed, and a checksum that fits.
fn forged(stream: &str, at: u64, shape: &str, body: &str) -> Snapshot {
    let stream: StreamId = stream.parse().unwrap();
    Snapshot::new(
        stream,
        version(at),
        EventId::new(),
        shape,
        Payload::from_json(body).unwrap(),
    )
}

#[test]
fn a_snapshot_is_turned_down_on_any_doubt() {
    let body = good().body().as_str().to_owned();
    let refusal = |snapshot: &Snapshot| Root::from_snapshot(7, snapshot).unwrap_err();
    assert!(Root::from_snapshot(7, &forged("account-7", 3, "account/1", &body)).is_ok());

    let other = refusal(&forged("account-8", 3, "account/1", &body));
    assert!(
        matches!(other, SnapshotError::WrongStream { .. }),
        "{other}"
    );

    let shape = refusal(&forged("account-7", 3, "account/2", &body));
    assert!(matches!(shape, SnapshotError::Shape { .. }), "{shape}");
    assert_eq!(
        shape.to_string(),
        r#"the snapshot of stream account-7 has the shape "account/2", but "account/1" is wanted"#
    );

    let empty = refusal(&forged("account-7", 0, "account/1", &body));
    assert!(matches!(empty, SnapshotError::Corrupt { .. }), "{empty}");

    let malformed = refusal(&forged("account-7", 3, "account/1", "{}"));
    assert!(
        matches!(malformed, SnapshotError::Decode { .. }),
        "{malformed}"
    );

    let good = good();
    let damaged = |version: Version, shape: &str, body: &str| {
        refusal(&Snapshot::from_stored(
            good.stream().clone(),
            version,
            good.event_id(),
            shape.to_owned(),
            good.checksum(),
            Payload::from_stored(body),
        ))
    };
    let flipped = body.replace('6', "7");
    assert_ne!(flipped, body);
    for error in [
        damaged(version(3), "account/1", &flipped),
        damaged(version(4), "account/1", &body),
    ] {
        assert!(matches!(error, SnapshotError::Corrupt { .. }), "{error}");
    }
}

#[derive(Default)]
struct Forgetful;

impl Aggregate for Forgetful {
    const CATEGORY: &'static str = "account";
    type Id = u32;
    type Event = AccountEvent;
    fn apply(&mut self, _: &AccountEvent) {}
}

#[test]
fn an_aggregate_that_keeps_none_makes_none_and_believes_none() {
    let mut root = AggregateRoot::<Forgetful>::new(7);
    root.record(deposits(100));
    assert!(root.create_snapshot(EventId::new()).unwrap().is_none());
    let error = AggregateRoot::<Forgetful>::from_snapshot(7, &good()).unwrap_err();
    assert!(matches!(error, SnapshotError::NotKept { .. }), "{error}");
}

/// A state that can become what JSON has no text for.
#[derive(Default, Serialize, Deserialize)]
struct Average {
    of: Option<f64>,
}

impl Aggregate for Average {
    const CATEGORY: &'static str = "average";
    type Id = u32;
    type Event = Deposited;
    fn apply(&mut self, _: &Deposited) {
        self.of = Some(f64::NAN);
    }
    fn snapshots() -> Option<Snapshots<Self>> {
        Some(Snapshots::every(1))
    }
}

#[test]
fn a_state_that_would_read_back_different_is_not_kept() {
    let mut root = AggregateRoot::<Average>::new(1);
    root.record(Deposited { cents: 1 });
    let error = root.create_snapshot(EventId::new()).unwrap_err();
    assert!(
        matches!(&error, SnapshotError::Encode { source, .. } if source.field() == "payload.of"),
        "{error}"
    );
}

/// At the edge of 63 bits an aggregate is refused when it is loaded, so that recording never has to fail.
#[test]
fn there_is_always_room_for_more_events() {
    let body = good().body().as_str().to_owned();
    let at = |number: u64| Root::from_snapshot(7, &forged("account-7", number, "account/1", &body));

    let mut root = at(Root::MAX_VERSION).unwrap();
    let last = stored("account-7", Root::MAX_VERSION + 1, &deposits(1));
    let error = root.apply_recorded(&last[0]).unwrap_err();
    assert!(matches!(error, ReplayError::NoRoom { .. }), "{error}");
    root.record(deposits(1000));
    assert_eq!(root.version().get(), Root::MAX_VERSION + 1000);

    for number in [Root::MAX_VERSION + 1, Version::MAX.get()] {
        let error = at(number).unwrap_err();
        assert!(matches!(error, SnapshotError::NoRoom { .. }), "{error}");
    }
}

mod shape {
    use super::*;

    /// The same path as its namesakes in the other modules cannot be had, so the fingerprints alone are compared.
    macro_rules! fingerprint {
        ($($fields:tt)*) => {{
            #[derive(Default, Serialize, Deserialize)]
            struct State { $($fields)* }
            let shape = Snapshots::<State>::every(1).shape_text();
            shape.split_once('#').map(|(path, sum)| { assert!(path.contains("State"), "{path}"); sum.to_owned() }).unwrap()
        }};
    }

    #[test]
    fn it_follows_the_fields_of_the_default_state() {
        let before = fingerprint! { a: u32, b: Vec<String>, };
        assert_eq!(before, fingerprint! { b: Vec<String>, a: u32, });
        assert_eq!(before, fingerprint! { a: u64, b: Vec<u8>, });
        assert_ne!(before, fingerprint! { a: u32, });
        assert_ne!(before, fingerprint! { a: u32, b: Vec<String>, c: bool, });
        assert_ne!(before, fingerprint! { a: u32, renamed: Vec<String>, });
        assert_ne!(before, fingerprint! { a: String, b: Vec<String>, });
    }

    #[test]
    fn it_follows_what_is_within() {
        let before = fingerprint! { a: Inner, };
        assert_ne!(before, fingerprint! { a: OtherInner, });
    }

    #[derive(Default, Serialize, Deserialize)]
    struct Inner {
        x: u32,
    }

    #[derive(Default, Serialize, Deserialize)]
    struct OtherInner {
        y: u32,
    }

    #[test]
    fn it_is_the_same_at_each_call_and_can_be_given() {
        let snapshots = Snapshots::<Account>::every(1);
        assert_eq!(snapshots.shape_text(), snapshots.shape_text());
        assert!(
            snapshots.shape_text().starts_with("it::account::Account#"),
            "{}",
            snapshots.shape_text()
        );
        assert_eq!(snapshots.shape("account/2").shape_text(), "account/2");
    }
}
