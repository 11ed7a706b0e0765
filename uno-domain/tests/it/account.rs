//! The aggregate that the tests are about, and histories of it as a store would give them back.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use uno_core::{
    Decoder, Envelope, Event, EventSet, NewEvent, Position, RecordedEvent, StreamId, Version,
};
use uno_domain::{Aggregate, AggregateRoot, Snapshots, ensure};

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Deposited {
    pub(crate) cents: u32,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Withdrawn {
    pub(crate) cents: u32,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Overdrawn {
    pub(crate) by: u32,
}

#[derive(EventSet, Clone, Debug, PartialEq)]
pub(crate) enum AccountEvent {
    Deposited(Deposited),
    Withdrawn(Withdrawn),
    Overdrawn(Overdrawn),
}

#[derive(Default, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Account {
    pub(crate) balance: i64,
    pub(crate) movements: Vec<i64>,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = u32;
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited(deposited) => self.move_by(i64::from(deposited.cents)),
            AccountEvent::Withdrawn(withdrawn) => self.move_by(-i64::from(withdrawn.cents)),
            AccountEvent::Overdrawn(_) => {}
        }
    }

    fn snapshots() -> Option<Snapshots<Self>> {
        Some(Snapshots::every(5).shape("account/1"))
    }
}

#[derive(Debug, PartialEq)]
pub(crate) enum AccountError {
    Nothing,
    TooMuch,
}

impl Account {
    fn move_by(&mut self, cents: i64) {
        self.balance += cents;
        self.movements.push(cents);
    }

    pub(crate) fn deposit(&self, cents: u32) -> Result<Deposited, AccountError> {
        ensure!(cents > 0, AccountError::Nothing);
        Ok(Deposited { cents })
    }

    /// One event, or two when the account is overdrawn by it.
    pub(crate) fn withdraw(
        &self,
        cents: u32,
    ) -> Result<(Withdrawn, Option<Overdrawn>), AccountError> {
        let rest = self.balance - i64::from(cents);
        ensure!(rest >= -1000, AccountError::TooMuch);
        let overdrawn = u32::try_from(-rest)
            .ok()
            .filter(|by| *by > 0)
            .map(|by| Overdrawn { by });
        Ok((Withdrawn { cents }, overdrawn))
    }
}

pub(crate) type Root = AggregateRoot<Account>;

/// Something that is asked of an account; refusals are part of the game.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish {
    Deposit(u32),
    Withdraw(u32),
}

impl Wish {
    pub(crate) fn carry_out(self, root: &mut Root) -> Result<(), AccountError> {
        match self {
            Self::Deposit(cents) => root.decide(|account| account.deposit(cents)),
            Self::Withdraw(cents) => root.decide(|account| account.withdraw(cents)),
        }
    }
}

pub(crate) fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let wish = prop_oneof![
        (0..3000_u32).prop_map(Wish::Deposit),
        (0..3000_u32).prop_map(Wish::Withdraw)
    ];
    prop::collection::vec(wish, 0..40)
}

/// An account on which the wishes were carried out.
pub(crate) fn after(wishes: &[Wish]) -> Root {
    let mut root = Root::new(7);
    for wish in wishes {
        // What is refused changes nothing, which is tested elsewhere.
        let _ = wish.carry_out(&mut root);
    }
    root
}

/// The events as a store gives them back: encoded and decoded, with the versions from `first` on.
pub(crate) fn stored(
    stream: &str,
    first: u64,
    events: &[AccountEvent],
) -> Vec<Envelope<AccountEvent>> {
    let stream: StreamId = stream.parse().unwrap();
    let decoder = Decoder::new();
    let place = |(event, number): (&AccountEvent, u64)| {
        let record = RecordedEvent::record(
            &NewEvent::encode(event).unwrap(),
            stream.clone(),
            Version::new(number).unwrap(),
            Position::new(number).unwrap(),
            DateTime::<Utc>::UNIX_EPOCH,
        );
        decoder.decode(&Arc::new(record)).unwrap()
    };
    events.iter().zip(first..).map(place).collect()
}

/// Deposits of 1, 2, 3, … cents.
pub(crate) fn deposits(count: u32) -> Vec<AccountEvent> {
    (1..=count)
        .map(|cents| Deposited { cents }.into())
        .collect()
}

pub(crate) fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}
