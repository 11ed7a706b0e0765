//! What can be known to be wrong before anything runs is told by `build`.

use std::sync::Arc;

use uno::{BuildError, prelude::*};

use super::account::{Balances, Bank, Deposit, Presents};

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
}
