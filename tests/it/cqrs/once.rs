//! A command with an idempotency key takes effect once, and its outcome is the same for all who ask.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use uno_core::{Backend, Command, CommandId, Event, InboxStore as _, Metadata, Receipt};
use uno_cqrs::{CommandBus, CommandHandler, ExecuteError, IdempotencyKey, StoredRejection};
use uno_domain::StateStored;
use uno_testkit::{
    conformance::{BackendHarness, Harness},
    faults::{Call, Fault, FaultStore, Faults, at_every},
};
use uno_uow::{CommandError, RetryPolicy, RunError, Runner, UnitOfWork};

use super::teller::{Deposit, How, Misbehave, Teller, Withdraw};
use crate::support::{account::account, log, rest::in_time};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

fn deposit(account: &str, cents: i64) -> Deposit {
    let account = account.to_owned();
    Deposit { account, cents }
}

fn withdraw(account: &str, cents: i64) -> Withdraw {
    let account = account.to_owned();
    Withdraw { account, cents }
}

/// What came of it, so that two can be compared.
fn told(result: Result<Receipt, ExecuteError>) -> Result<Receipt, String> {
    result.map_err(|error| {
        assert!(error.is_rejection(), "{error:?}");
        error.to_string()
    })
}

#[test]
fn what_is_no_key_is_refused() {
    let long = "k".repeat(256);
    for text in ["", "a\nb", "a\0", long.as_str()] {
        assert!(IdempotencyKey::new(text).is_err(), "{text:?}");
    }
    assert_eq!(key(&long[1..]).as_str().len(), 255);
}

pub(super) async fn the_same_command_again_has_the_same_outcome<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let teller = Teller::new();
    let bus = teller.bus(store);
    let first = bus.execute_once(key("a"), deposit("ada", 5)).await.unwrap();
    // What others do meanwhile is none of its business.
    bus.execute(deposit("ada", 1)).await.unwrap();
    let other_process = teller.bus(store);
    for bus in [&bus, &other_process] {
        let again = bus.execute_once(key("a"), deposit("ada", 5)).await.unwrap();
        assert_eq!(again, first);
    }
    assert_eq!(teller.asked.lock().unwrap().len(), 2);
    assert_eq!(account(store, "ada").await.balance, 6);

    // A rejection stays one, also when the domain would say otherwise by now.
    let refused = bus.execute_once(key("b"), withdraw("ada", 7)).await;
    assert_eq!(refused.unwrap_err().to_string(), "there are only 6 cents");
    bus.execute(deposit("ada", 10)).await.unwrap();
    let error = other_process
        .execute_once(key("b"), withdraw("ada", 7))
        .await
        .unwrap_err();
    assert!(error.is_rejection());
    let ExecuteError::Run(RunError::Command(CommandError::Rejected(reason))) = error else {
        panic!("{error:?}");
    };
    let stored = reason.downcast_ref::<StoredRejection>().unwrap();
    assert_eq!(stored.reason(), "there are only 6 cents");
}

pub(super) async fn many_at_once_have_one_effect_and_one_outcome<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let teller = Teller::new();
    // Each bus is a process of its own, as far as the store is concerned.
    let buses: Vec<_> = (0..4).map(|_| teller.bus(store)).collect();
    buses[0].execute(deposit("ada", 3)).await.unwrap();
    let mut running = JoinSet::new();
    for number in 0..64 {
        let bus = buses[number % 4].clone();
        running.spawn(async move {
            let given = told(bus.execute_once(key("in"), deposit("ada", 2)).await);
            let refused = told(bus.execute_once(key("out"), withdraw("ada", 9)).await);
            (given, refused)
        });
    }
    let outcomes = in_time(running.join_all()).await;
    assert_eq!(outcomes.len(), 64);
    let (given, refused) = &outcomes[0];
    assert!(given.is_ok(), "{given:?}");
    assert_eq!(refused.as_ref().unwrap_err(), "there are only 5 cents");
    for outcome in &outcomes {
        assert_eq!(outcome, &outcomes[0]);
    }
    assert_eq!(account(store, "ada").await.balance, 5);
}

pub(super) async fn a_key_is_that_of_one_command<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let teller = Teller::new();
    let bus = teller.bus(store);
    bus.execute_once(key("a"), deposit("ada", 5)).await.unwrap();
    let other_body = bus.execute_once(key("a"), deposit("ada", 6)).await;
    let other_type = bus.execute_once(key("a"), withdraw("ada", 5)).await;
    for error in [other_body.unwrap_err(), other_type.unwrap_err()] {
        assert!(!error.is_rejection() && !error.is_transient());
        let ExecuteError::KeyReused(reused) = &error else {
            panic!("{error:?}");
        };
        assert_eq!((reused.key(), reused.kept()), (&key("a"), "deposit"));
    }
    assert_eq!(account(store, "ada").await.balance, 5);

    // A tenant's keys are its own.
    for (tenant, cents) in [("one", 10), ("two", 20)] {
        let metadata = Metadata::new().with_tenant(tenant);
        let command = deposit("ada", cents);
        bus.execute_once_as(key("a"), command, metadata)
            .await
            .unwrap();
    }
    assert_eq!(account(store, "ada").await.balance, 35);
}

pub(super) async fn what_failed_is_carried_out_again_under_the_same_id<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let bus = Teller::new().bus(store);
    let how = How::FailTimes(2);
    for _ in 0..2 {
        let failing = bus.execute_once(key("a"), Misbehave { how: how.clone() });
        let error = failing.await.unwrap_err();
        assert!(!error.is_rejection(), "{error:?}");
    }
    let done = bus.execute_once(key("a"), Misbehave { how: how.clone() });
    let done = done.await.unwrap();
    let again = bus.execute_once(key("a"), Misbehave { how }).await.unwrap();
    assert_eq!(done, again);
    assert_eq!(account(store, "misbehaved").await.balance, 1);

    // An attempt that came to no outcome has the id of the next one, for the world outside.
    let teller = Teller::new();
    let retry = RetryPolicy::none();
    let faults = Faults::none().nth(Call::Commit, 1, Fault::Unavailable);
    let faulty = Arc::new(FaultStore::new(Arc::clone(store), faults));
    let broken = CommandBus::builder(Runner::new(faulty).with_retry(retry))
        .handler::<Deposit>(teller.clone())
        .build()
        .unwrap();
    let error = broken.execute_once(key("b"), deposit("ada", 5)).await;
    assert!(error.unwrap_err().is_transient());
    teller
        .bus(store)
        .execute_once(key("b"), deposit("ada", 5))
        .await
        .unwrap();
    let ids: BTreeSet<_> = teller.ids.lock().unwrap().iter().copied().collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let events = log(&**store).await;
    let last = events.last().unwrap();
    assert_eq!(last.metadata().causation_id(), *ids.first().unwrap());
}

pub(super) async fn outcomes_are_kept_until_they_are_pruned<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let bus = Teller::new().bus(store);
    let run = async || bus.execute_once(key("a"), deposit("ada", 5)).await.unwrap();
    let first = run().await;
    assert_eq!(
        bus.prune_outcomes(Duration::from_secs(3600)).await.unwrap(),
        0
    );
    assert_eq!(run().await, first);
    // The store's clock has to go on, however coarse it is.
    in_time(async { while bus.prune_outcomes(Duration::ZERO).await.unwrap() == 0 {} }).await;
    assert_ne!(run().await, first);
    assert_eq!(account(store, "ada").await.balance, 10);
}

#[derive(Event, Serialize, Deserialize)]
struct Praised {}

/// Kept as a state, so that nobody knows the versions of its events beforehand.
#[derive(Serialize, Deserialize, Default)]
struct Reputation {
    praises: u32,
}

impl StateStored for Reputation {
    const CATEGORY: &'static str = "reputation";
    type Id = String;
}

#[derive(Command, Serialize, Deserialize)]
struct Praise {
    whom: String,
    by: Vec<String>,
}

struct Crowd;

impl<B: Backend> CommandHandler<Praise, B> for Crowd {
    async fn handle(&self, command: &Praise, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        let mut reputations = uow.state_repository::<Reputation>();
        let mut reputation = reputations
            .load_or_new(&command.whom, Reputation::default)
            .await?;
        for _ in &command.by {
            reputation.praises += 1;
            reputation.raise(Praised {});
        }
        Ok(())
    }
}

pub(super) async fn receipts_of_states_and_of_no_events_are_kept_too<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let bus = CommandBus::builder(Runner::new(Arc::clone(store)))
        .handler::<Praise>(Crowd)
        .build()
        .unwrap();
    let praise = |by: &[&str]| Praise {
        whom: "ada".to_owned(),
        by: by.iter().map(|&name| name.to_owned()).collect(),
    };
    bus.execute(praise(&["x"])).await.unwrap();
    let first = bus
        .execute_once(key("a"), praise(&["y", "z"]))
        .await
        .unwrap();
    let none = bus.execute_once(key("b"), praise(&[])).await.unwrap();
    bus.execute(praise(&["x"])).await.unwrap();
    assert_eq!(first.streams()[0].first().get(), 2);
    assert_eq!(first.streams()[0].last().get(), 3);
    assert_eq!(none.position(), None);
    let again = bus
        .execute_once(key("a"), praise(&["y", "z"]))
        .await
        .unwrap();
    assert_eq!(again, first);
    let again = bus.execute_once(key("b"), praise(&[])).await.unwrap();
    assert_eq!(again, none);
}

/// Every fault at every call of a sound command and of a refused one; then another process sends both again.
pub(super) async fn a_wish_takes_effect_once_whatever_the_store_says<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let faults = [
        Fault::Unavailable,
        Fault::UnknownStored,
        Fault::UnknownLost,
        Fault::UnknownLate,
        Fault::Conflict,
        Fault::Panic,
        Fault::CrashBefore,
        Fault::CrashAfter,
    ];
    let calls = [
        Call::LoadInbox,
        Call::ReadStream,
        Call::LoadSnapshot,
        Call::Commit,
        Call::Head,
    ];
    let mut met = 0;
    for fault in faults {
        for call in calls {
            met += at_every(call, fault, |number, faults| async move {
                let context = format!("{fault:?} at {call:?} {number}");
                let name = *CommandId::new().as_uuid();
                let name = name.simple().to_string();
                let faulty = Arc::new(FaultStore::new(Arc::clone(store), faults));
                let (given, refused) = (format!("in {name}"), format!("out {name}"));
                let poor = format!("{name} 2");
                let sound = Teller::new().bus(store);
                sound.execute(deposit(&poor, 5)).await.unwrap();
                let bus = Teller::new().bus(&faulty);
                let both = async || {
                    let given = bus.execute_once(key(&given), deposit(&name, 5)).await;
                    let refused = bus.execute_once(key(&refused), withdraw(&poor, 9)).await;
                    (given, refused)
                };
                let first = tokio::select! {
                    () = faulty.crashed() => None,
                    // Twice, so that what is kept is read too.
                    outcomes = async { drop(both().await); both().await } => Some(outcomes),
                };
                // Whoever was told an outcome was told the one that counts.
                let again = sound.execute_once(key(&given), deposit(&name, 5)).await;
                let receipt = again.unwrap_or_else(|error| panic!("{context}: {error:?}"));
                let again = sound.execute_once(key(&refused), withdraw(&poor, 9)).await;
                let reason = again.unwrap_err();
                assert!(reason.is_rejection(), "{context}: {reason:?}");
                assert_eq!(reason.to_string(), "there are only 5 cents", "{context}");
                if let Some((given, refused)) = first {
                    if let Ok(first) = given {
                        assert_eq!(first, receipt, "{context}");
                    }
                    let refused = refused.unwrap_err();
                    if refused.is_rejection() {
                        assert_eq!(refused.to_string(), reason.to_string(), "{context}");
                    }
                }
                for name in [&name, &poor] {
                    let account = account(store, name).await;
                    assert_eq!((account.balance, account.moves), (5, 1), "{context}");
                }
                faulty.calls(call)
            })
            .await;
        }
    }
    assert!(met >= 8 * 5 * 2, "only {met} faults were met");
    let kept = store
        .load_inbox("uno.commands", &[*CommandId::new().as_uuid()])
        .await;
    assert_eq!(kept.unwrap(), []);
}
