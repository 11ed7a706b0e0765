//! What passes, and what is said of that which does not.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize, Serializer};
use uno_core::{Event, EventSet};

use super::*;

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Deposited {
    cents: i64,
}

/// Does not read back equal.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Rounded {
    #[serde(serialize_with = "in_hundreds")]
    cents: i64,
}

fn in_hundreds<S: Serializer>(cents: &i64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_i64(cents / 100 * 100)
}

#[derive(EventSet, Clone, Debug, PartialEq)]
enum AccountEvent {
    Deposited(Deposited),
    Rounded(Rounded),
}

#[derive(Default, Debug, PartialEq)]
struct Account {
    balance: i64,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = u32;
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        self.balance += match event {
            AccountEvent::Deposited(deposited) => deposited.cents,
            AccountEvent::Rounded(rounded) => rounded.cents,
        };
    }
}

#[derive(Debug, PartialEq)]
enum AccountError {
    Overdrawn(i64),
}

impl Account {
    fn take(&self, cents: i64) -> Result<Deposited, AccountError> {
        if cents > self.balance {
            return Err(AccountError::Overdrawn(self.balance));
        }
        Ok(Deposited { cents: -cents })
    }
}

fn deposited(cents: i64) -> Deposited {
    Deposited { cents }
}

/// What a test that fails says.
fn said<T>(test: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).err().unwrap();
    *panic.downcast::<String>().unwrap()
}

fn given() -> Given<Account> {
    Given::events([deposited(500), deposited(200)])
}

#[test]
fn what_is_as_expected_passes() {
    let after = given()
        .when(|account| account.take(300))
        .then(deposited(-300));
    assert_eq!(after, Account { balance: 400 });
    given()
        .when(|account| account.take(701))
        .then_error(AccountError::Overdrawn(700));
    given()
        .when(|account| account.take(701))
        .then_error_matches(|error| matches!(error, AccountError::Overdrawn(_)));
    Given::<Account>::nothing()
        .when(|account| account.take(1))
        .then_error(AccountError::Overdrawn(0));
    given().when_recorded(|_| None::<Deposited>).then_nothing();
    given()
        .when_recorded(|_| vec![deposited(1), deposited(2)])
        .then((deposited(1), deposited(2)));
}

#[test]
fn what_is_not_says_what_was_expected_and_what_came() {
    let other = said(|| given().when(|account| account.take(1)).then(deposited(1)));
    assert!(
        other.contains("cents: 1,") && other.contains("cents: -1,"),
        "{other}"
    );
    let refused = said(|| given().when(|account| account.take(701)).then(deposited(1)));
    assert!(refused.contains("it was refused: Overdrawn"), "{refused}");
    let done = said(|| {
        given()
            .when(|account| account.take(1))
            .then_error(AccountError::Overdrawn(0));
    });
    assert!(
        done.contains("expected to be refused with Overdrawn"),
        "{done}"
    );
    let other = said(|| {
        given()
            .when(|account| account.take(701))
            .then_error(AccountError::Overdrawn(0));
    });
    assert!(other.contains("700,"), "{other}");
    let some = said(|| given().when(|account| account.take(1)).then_nothing());
    assert!(some.contains("expected the events []"), "{some}");
}

#[test]
fn an_event_that_does_not_read_back_equal_is_found() {
    let rounded = Rounded { cents: 250 };
    let given = said(|| Given::<Account>::events(rounded.clone()));
    assert!(given.contains(r#"is stored as {"cents":200}"#), "{given}");
    let then = said(|| {
        let decided = Given::<Account>::nothing().when_recorded(|_| rounded.clone());
        decided.then(rounded.clone())
    });
    assert!(then.contains("and read back as"), "{then}");
}

#[test]
fn an_envelope_is_as_a_store_would_give_it() {
    let event = AccountEvent::from(deposited(5));
    let time = "2026-01-01T00:00:00Z".parse().unwrap();
    let envelope = EnvelopeBuilder::new(event.clone())
        .stream("account-7")
        .version(2)
        .position(9)
        .at(time)
        .build();
    assert_eq!(*envelope.event(), event);
    assert_eq!(
        (envelope.stream().to_string(), envelope.recorded_at()),
        ("account-7".to_owned(), time)
    );
    let read = Decoder::new()
        .decode::<AccountEvent>(envelope.record())
        .unwrap();
    assert_eq!(read, envelope);
}
