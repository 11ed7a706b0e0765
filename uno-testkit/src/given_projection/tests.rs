//! What passes, and what is said of that which does not.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicI64, Ordering},
};

use serde::{Deserialize, Serialize};
use uno_core::Event;

use super::*;

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Deposited {
    cents: i64,
}

/// What may be wrong with a projection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// It counts what it has seen.
    Counts,
    /// A part of its documents is not stored.
    Forgets,
    /// Its messages are others each time.
    Babbles,
}

#[derive(Debug)]
struct Balances {
    fault: Fault,
    seen: AtomicI64,
}

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
struct Balance {
    cents: i64,
    #[serde(skip)]
    deposits: i64,
    often: bool,
}

fn balances(fault: Fault) -> GivenProjection<Balances> {
    let seen = AtomicI64::new(0);
    let given = GivenProjection::of(Balances { fault, seen });
    let deposit = |cents| Deposited { cents };
    given
        .event("account-ada", deposit(5))
        .event("account-grace", deposit(3))
        .event("account-ada", deposit(2))
        .event("account-grace", deposit(-3))
        .with(EnvelopeBuilder::new(deposit(1)).stream("account-ada"))
}

impl DocumentProjection for Balances {
    const NAME: &'static str = "balances";
    const SENDS: bool = true;
    type Event = Deposited;
    type Document = Balance;

    fn keys(&self, event: &Envelope<Deposited>) -> Vec<String> {
        let key = event.stream().key().to_owned();
        vec![key.clone(), key]
    }

    fn apply(
        &self,
        _: &str,
        balance: Option<Balance>,
        event: &Envelope<Deposited>,
    ) -> Option<Balance> {
        let mut balance = balance.unwrap_or_default();
        balance.cents += event.event().cents;
        match self.fault {
            Fault::None | Fault::Babbles => {}
            Fault::Counts => balance.cents += self.seen.fetch_add(1, Ordering::Relaxed),
            Fault::Forgets => {
                balance.deposits += 1;
                balance.often = balance.deposits > 1;
            }
        }
        (balance.cents != 0).then_some(balance)
    }

    fn messages(&self, event: &Envelope<Deposited>) -> Vec<NewMessage> {
        let place = match self.fault {
            Fault::Babbles => self.seen.fetch_add(1, Ordering::Relaxed).cast_unsigned(),
            _ => event.version().get(),
        };
        let (id, metadata) = (*event.id().as_uuid(), event.metadata().clone());
        let payload = Payload::from_stored(place.to_string());
        vec![NewMessage::new(
            "mail",
            id,
            event.stream().key(),
            "told",
            payload,
            metadata,
        )]
    }
}

fn said(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).unwrap_err();
    let text = panic.downcast_ref::<String>().cloned();
    text.unwrap_or_else(|| (*panic.downcast_ref::<&str>().unwrap()).to_owned())
}

#[test]
fn a_pure_projection_passes() {
    let ada = Balance {
        cents: 8,
        ..Balance::default()
    };
    let given = balances(Fault::None);
    given.then("ada", ada).then_no("grace");
    let mail = |version| ("mail", "told", version);
    given.then_sent(&[mail("1"), mail("1"), mail("2"), mail("2"), mail("3")]);
    assert_eq!(given.documents().len(), 1);
}

#[test]
fn what_differs_is_noticed() {
    let check = |fault, expected: &str| {
        let text = said(|| drop(balances(fault).documents()));
        assert!(text.contains(expected), "{fault:?}: {text}");
    };
    check(Fault::Counts, "the second");
    check(Fault::Forgets, "in batches of 1 the documents are");
    let text = said(|| {
        balances(Fault::Babbles).then_sent(&[]);
    });
    assert!(text.contains("others the second time"), "{text}");
    // Once only, the second call is not compared.
    let text = said(|| drop(balances(Fault::Counts).once().documents()));
    assert!(!text.contains("the second"), "{text}");
}

#[test]
fn what_is_expected_and_not_so_is_said() {
    let check = |test: &dyn Fn(), expected: &str| {
        let text = said(test);
        assert!(text.contains(expected), "{text}");
    };
    let given = balances(Fault::None);
    check(
        &|| {
            given.then("ada", Balance::default());
        },
        "expected document ada to be",
    );
    check(
        &|| {
            given.then("grace", Balance::default());
        },
        "there is none, but [\"ada\"]",
    );
    check(
        &|| {
            given.then_no("ada");
        },
        "expected no document ada",
    );
    check(
        &|| {
            given.then_sent(&[]);
        },
        "other messages were sent",
    );
}
