//! What can be known to be wrong before anything runs is told by `build`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uno::{BuildError, prelude::*};

use super::account::{Balances, Bank, Deposit, Deposited, Presents};

fn builder() -> UnoBuilder<MemoryStore> {
    Uno::builder(Arc::new(MemoryStore::new()))
}

#[test]
fn a_saga_whose_command_has_no_handler_is_refused() {
    let error = builder().saga::<Presents>().build().unwrap_err();
    assert!(
        matches!(
            error,
            BuildError::UnhandledCommand {
                saga: "presents",
                command: "deposit"
            }
        ),
        "{error}"
    );
    assert!(
        builder()
            .saga::<Presents>()
            .command::<Deposit>(Bank)
            .build()
            .is_ok()
    );
}

#[test]
fn two_handlers_or_two_subscriptions_of_one_name_are_refused() {
    let error = builder()
        .command::<Deposit>(Bank)
        .command::<Deposit>(Bank)
        .build()
        .unwrap_err();
    assert_eq!(error.to_string(), "the command deposit has two handlers");
    let error = builder()
        .documents(Balances)
        .documents(Balances)
        .build()
        .unwrap_err();
    assert_eq!(error.to_string(), "two subscriptions are named balances");
    let ignore = |_: Arc<Envelope<Deposited>>| std::future::ready(Ok(()));
    let error = builder()
        .handler("balances", Replay::Safe, ignore)
        .documents(Balances)
        .build()
        .unwrap_err();
    assert!(
        matches!(&error, BuildError::DuplicateSubscription(name) if name.as_str() == "balances"),
        "{error}"
    );
}

#[test]
fn a_name_with_the_mark_of_a_generation_is_refused() {
    #[derive(Debug)]
    struct Marked;
    impl DocumentProjection for Marked {
        const NAME: &'static str = "balances@2";
        type Event = Deposited;
        type Document = i64;
        fn keys(&self, _: &Envelope<Deposited>) -> Vec<String> {
            Vec::new()
        }
        fn apply(&self, _: &str, _: Option<i64>, _: &Envelope<Deposited>) -> Option<i64> {
            None
        }
    }
    let error = builder().documents(Marked).build().unwrap_err();
    assert!(matches!(error, BuildError::ReadModel(_)), "{error}");
}

/// A step that nobody has registered is told when the application is built, and not when the first old event is loaded.
#[test]
fn an_aggregate_whose_old_events_cannot_be_read_is_refused() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(version = 2, upcast_elsewhere)]
    struct Opened {}

    #[derive(Default)]
    struct Safe;

    impl Aggregate for Safe {
        const CATEGORY: &'static str = "safe";
        type Id = u32;
        type Event = Opened;

        fn apply(&mut self, _: &Opened) {}
    }

    let build = |decoder| {
        let builder = Uno::builder(Arc::new(MemoryStore::new())).decoder(decoder);
        builder.aggregate::<Safe>().build()
    };
    let error = build(Decoder::new()).unwrap_err();
    assert!(matches!(error, BuildError::Events(_)), "{error:?}");
    let decoder = Decoder::builder().upcast("opened", 1, Ok);
    assert!(build(decoder.build().unwrap()).is_ok());
}
