//! A small domain to try the facade on.

use serde::{Deserialize, Serialize};
use uno::prelude::*;

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Deposited {
    pub(crate) account: String,
    pub(crate) cents: i64,
}

#[derive(Default)]
pub(crate) struct Account {
    balance: i64,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Event = Deposited;

    fn apply(&mut self, event: &Deposited) {
        self.balance += event.cents;
    }
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Deposit {
    pub(crate) account: String,
    pub(crate) cents: i64,
}

#[derive(Clone)]
pub(crate) struct Bank;

impl<B: Backend> CommandHandler<Deposit, B> for Bank {
    async fn handle(&self, command: &Deposit, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        let mut account = uow.load_or_new::<Account>(&command.account).await?;
        if account.state().balance + command.cents < 0 {
            return Err(CommandError::rejected("the balance is too low"));
        }
        account.record(Deposited {
            account: command.account.clone(),
            cents: command.cents,
        });
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Balances;

impl DocumentProjection for Balances {
    const NAME: &'static str = "balances";
    type Event = Deposited;
    type Document = i64;

    fn keys(&self, event: &Envelope<Deposited>) -> Vec<String> {
        vec![event.event().account.clone()]
    }

    fn apply(&self, _: &str, balance: Option<i64>, event: &Envelope<Deposited>) -> Option<i64> {
        Some(balance.unwrap_or(0) + event.event().cents)
    }
}

/// Gives every first deposit of a large sum a present.
#[derive(Serialize, Deserialize, Default, Clone, Debug)]
pub(crate) struct Presents;

impl Saga for Presents {
    const NAME: &'static str = "presents";
    type Event = Deposited;
    type Command = Deposit;
    type Timeout = NoTimeout;

    fn route(event: &Envelope<Deposited>) -> Route {
        if event.event().cents >= 100_000 {
            Route::Start(event.event().account.clone())
        } else {
            Route::Ignore
        }
    }

    fn react(&mut self, input: Input<'_, Deposited>) -> Outputs<Deposit> {
        match input {
            Input::Event(event) => Outputs::send(Deposit {
                account: event.event().account.clone(),
                cents: 500,
            })
            .and_complete(),
            _ => Outputs::none(),
        }
    }
}
