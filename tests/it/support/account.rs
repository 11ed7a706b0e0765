//! The domain of the cases: accounts that money is moved between.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uno_core::{Backend, Event, EventSet, EventStoreExt, ExpectedVersion, Metadata};
use uno_domain::{Aggregate, Snapshots};
use uno_uow::{CommandError, DomainError, Runner, UnitOfWork};

/// It was opened.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Opened {
    pub(crate) owner: String,
}

/// Money came in, or went out.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Moved {
    pub(crate) cents: i64,
}

#[derive(EventSet, Clone, Debug, PartialEq)]
pub(crate) enum AccountEvent {
    Opened(Opened),
    Moved(Moved),
}

#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
pub(crate) struct Account {
    pub(crate) owner: String,
    pub(crate) balance: i64,
    pub(crate) moves: u32,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened(opened) => self.owner.clone_from(&opened.owner),
            AccountEvent::Moved(moved) => {
                // What tests of panics in the domain ask for.
                assert_ne!(moved.cents, 666, "an unlucky amount");
                self.balance += moved.cents;
                self.moves += 1;
            }
        }
    }

    fn snapshots() -> Option<Snapshots<Self>> {
        Some(Snapshots::every(4).shape("account/1"))
    }
}

impl Account {
    pub(crate) fn open(&self, owner: &str) -> Result<Opened, AccountError> {
        if !self.owner.is_empty() {
            return Err(AccountError::Open(self.owner.clone()));
        }
        Ok(Opened {
            owner: owner.to_owned(),
        })
    }

    pub(crate) fn take(&self, cents: i64) -> Result<Moved, AccountError> {
        if cents > self.balance {
            return Err(AccountError::TooLittle(self.balance));
        }
        Ok(Moved { cents: -cents })
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum AccountError {
    #[error("it is open for {0}")]
    Open(String),
    #[error("there are only {0} cents")]
    TooLittle(i64),
}

impl DomainError for AccountError {}

/// Another type that claims the same streams.
#[derive(Default)]
pub(crate) struct Impostor;

impl Aggregate for Impostor {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Event = AccountEvent;

    fn apply(&mut self, _: &AccountEvent) {}
}

/// Puts money into an account, which is opened if it is not there.
pub(crate) async fn put_in<B: Backend>(
    uow: &mut UnitOfWork<B>,
    id: &str,
    cents: i64,
) -> Result<i64, CommandError> {
    let mut account = uow.load_or_new::<Account>(&id.to_owned()).await?;
    if account.state().owner.is_empty() {
        account.decide(|account| account.open(id))?;
    }
    account.record(Moved { cents });
    Ok(account.state().balance)
}

/// Puts money in behind everybody's back: straight into the store.
pub(crate) async fn slip_in<B: Backend>(store: &B, id: &str, cents: i64) {
    let (stream, moved) = (Account::stream_id(&id.to_owned()).unwrap(), Moved { cents });
    store
        .append_events(stream, ExpectedVersion::Any, &[moved])
        .await
        .unwrap();
}

/// An account as it is stored.
pub(crate) async fn account<B: Backend>(store: &Arc<B>, id: &str) -> Account {
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    let account = uow.load_or_new::<Account>(&id.to_owned()).await.unwrap();
    account.state().clone()
}
