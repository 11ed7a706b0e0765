//! The command bus.

use std::sync::{Arc, OnceLock};

use uno_core::{
    Acknowledgement, Backend, Command, CommandId, CorrelationId, Metadata, NewMessage, Payload,
    ProcessStore, Stale,
};
use uno_cqrs::{CommandBus, CommandHandler, CommandOutcome, Completion, ExecuteError, Verdict};
use uno_store_memory::MemoryStore;
use uno_testkit::conformance::{BackendHarness, Harness};
use uno_uow::{CommandError, RunError, Runner, UnitOfWork};

use super::teller::{Deposit, How, Misbehave, Teller, Withdraw, enqueue};
use crate::support::{account::account, log, names};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

fn deposit(account: &str, cents: i64) -> Deposit {
    Deposit {
        account: account.to_owned(),
        cents,
    }
}

#[tokio::test]
async fn a_command_that_nobody_handles_is_an_error() {
    let runner = Runner::new(Arc::new(MemoryStore::new()));
    let bus = CommandBus::builder(runner)
        .handler::<Deposit>(Teller::new())
        .build()
        .unwrap();
    assert!(bus.handles(Deposit::DESCRIPTOR) && !bus.handles(Withdraw::DESCRIPTOR));
    assert_eq!(bus.commands().collect::<Vec<_>>(), ["deposit"]);
    let withdraw = Withdraw {
        account: "ada".to_owned(),
        cents: 1,
    };
    let error = bus.execute(withdraw).await.unwrap_err();
    assert!(
        matches!(error, ExecuteError::UnknownCommand(_)),
        "{error:?}"
    );
    assert_eq!(error.to_string(), "the command withdraw has no handler");
}

#[tokio::test]
async fn a_command_has_one_handler() {
    let runner = Runner::new(Arc::new(MemoryStore::new()));
    let built = CommandBus::builder(runner)
        .handler::<Deposit>(Teller::new())
        .handler::<Withdraw>(Teller::new())
        .handler::<Deposit>(Arc::new(Teller::new()))
        .build();
    assert_eq!(
        built.unwrap_err().to_string(),
        "the command deposit has two handlers"
    );
}

pub(super) async fn a_command_is_carried_out_by_its_handler<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let bus = Teller::new().bus(store);
    let receipt = bus.execute(deposit("ada", 5)).await.unwrap();
    assert_eq!(receipt.streams()[0].last().get(), 2);
    let withdraw = Withdraw {
        account: "ada".to_owned(),
        cents: 2,
    };
    bus.execute(withdraw).await.unwrap();
    assert_eq!(account(store, "ada").await.balance, 3);
}

pub(super) async fn a_refused_command_has_no_effect<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let bus = Teller::new().bus(store);
    bus.execute(deposit("ada", 5)).await.unwrap();
    let withdraw = Withdraw {
        account: "ada".to_owned(),
        cents: 6,
    };
    let error = bus.execute(withdraw).await.unwrap_err();
    assert!(error.is_rejection() && !error.is_conflict() && !error.is_transient());
    assert_eq!(error.to_string(), "there are only 5 cents");
    assert_eq!(names(&**store, "account-ada").await, ["opened", "moved"]);
}

pub(super) async fn panics_are_the_commands_own_affair<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let bus = Teller::new().bus(store);
    for how in [
        How::PanicAtOnce,
        How::PanicLater,
        How::PanicInApply,
        How::PanicInWork,
    ] {
        let error = bus
            .execute(Misbehave { how: how.clone() })
            .await
            .unwrap_err();
        let failed = matches!(
            &error,
            ExecuteError::Run(RunError::Command(CommandError::Failed(_)) | RunError::Commit(_))
        );
        assert!(
            failed && !error.is_rejection() && !error.is_transient(),
            "{how:?}: {error:?}"
        );
        // The next one on this task is not taken for nested, and nothing is locked.
        bus.execute(deposit("ada", 1)).await.unwrap();
    }
    assert_eq!(account(store, "ada").await.balance, 4);
    assert_eq!(account(store, "misbehaved").await.balance, 0);

    let completion = Completion::new(Acknowledgement::new("q", *CommandId::new().as_uuid()), None);
    let payload = r#"{"how":"PanicInDecode"}"#;
    let dispatched = bus
        .dispatch("misbehave", payload, Metadata::new(), completion)
        .await;
    let error = dispatched.unwrap_err();
    assert!(matches!(error, ExecuteError::Malformed { .. }), "{error:?}");
}

pub(super) async fn metadata_goes_from_the_command_to_its_events<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let teller = Teller::new();
    let bus = teller.bus(store);
    let correlation = CorrelationId::new();
    let given = Metadata::new()
        .with_correlation_id(correlation)
        .with_causation_id(*CommandId::new().as_uuid())
        .with_actor("ada")
        .with_tenant("acme")
        .with_traceparent(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
                .parse()
                .unwrap(),
        )
        .with_header("channel", "web");
    bus.execute_as(deposit("ada", 1), given.clone())
        .await
        .unwrap();
    bus.execute(deposit("ada", 1)).await.unwrap();
    let ids = teller.ids.lock().unwrap().clone();
    let events = log(&**store).await;
    // The command is the cause; everything else is handed on.
    let expected = given.with_causation_id(ids[0].unwrap());
    assert_eq!(
        (events[0].metadata(), events[1].metadata()),
        (&expected, &expected)
    );
    // A command that nothing else set off is where it starts.
    let alone = events[2].metadata();
    assert_eq!(alone.causation_id(), ids[1]);
    assert_eq!(alone.correlation_id().map(|id| *id.as_uuid()), ids[1]);
    assert_ne!(ids[0], ids[1]);
}

/// Sends another command from within its own.
struct Meddler<B: Backend>(Arc<OnceLock<CommandBus<B>>>);

impl<B: Backend> CommandHandler<Withdraw, B> for Meddler<B> {
    async fn handle(&self, _: &Withdraw, _: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        let bus = self.0.get().unwrap();
        match bus.execute(deposit("grace", 1)).await {
            Err(ExecuteError::Run(RunError::Nested)) => Err(CommandError::rejected("nested")),
            other => Err(CommandError::failed(format!("{other:?}"))),
        }
    }
}

pub(super) async fn commands_do_not_nest<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let itself = Arc::new(OnceLock::new());
    let bus = CommandBus::builder(Runner::new(Arc::clone(store)))
        .handler::<Deposit>(Teller::new())
        .handler::<Withdraw>(Meddler(Arc::clone(&itself)))
        .build()
        .unwrap();
    assert!(itself.set(bus.clone()).is_ok());
    let withdraw = Withdraw {
        account: "ada".to_owned(),
        cents: 1,
    };
    let error = bus.execute(withdraw).await.unwrap_err();
    assert_eq!(error.to_string(), "nested");
    assert_eq!(log(&**store).await, []);
}

pub(super) async fn an_encoded_command_is_settled_with_its_effects<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let bus = Teller::new().bus(store);
    let ids = enqueue(store, "q", &[("ada", deposit("ada", 5))]).await;
    let acknowledgement = Acknowledgement::new("q", *ids[0].as_uuid());
    let outcome = CommandOutcome::new(ids[0], "deposit", Verdict::Succeeded);
    let message = outcome
        .to_message("outcomes", "ada", Metadata::new())
        .unwrap();
    let completion = Completion::new(acknowledgement, Some(message));
    let metadata = Metadata::new()
        .with_correlation_id(CorrelationId::new())
        .with_actor("ada");
    let dispatch = |name: &'static str, payload: &'static str| {
        bus.dispatch(name, payload, metadata.clone(), completion.clone())
    };

    let error = dispatch("deposit", r#"{"account":7}"#).await.unwrap_err();
    assert_eq!(error.to_string(), "the command deposit is malformed");
    let error = dispatch("nobody_knows", "{}").await.unwrap_err();
    assert_eq!(error.to_string(), "the command nobody_knows has no handler");
    assert_eq!(store.queue_depth("q").await.unwrap().0, 1);

    let payload = r#"{"account":"ada","cents":5}"#;
    dispatch("deposit", payload).await.unwrap();
    assert_eq!(store.queue_depth("q").await.unwrap().0, 0);
    let told = store.read_queue("outcomes", 0, 10).await.unwrap();
    assert_eq!(CommandOutcome::from_message(&told[0]).unwrap(), outcome);
    let events = log(&**store).await;
    assert!(events.iter().all(|event| *event.metadata() == metadata));

    let again = dispatch("deposit", payload).await.unwrap_err();
    let gone = matches!(&again, ExecuteError::Run(RunError::Stale(Stale::Message { id, .. })) if *id == *ids[0].as_uuid());
    assert!(gone, "{again:?}");
    assert_eq!(account(store, "ada").await.balance, 5);
}

#[tokio::test]
async fn a_message_that_is_no_outcome_is_an_error() {
    let payload = Payload::from_json(r#"{"command":7}"#).unwrap();
    let id = *CommandId::new().as_uuid();
    let message = NewMessage::new("q", id, "k", "command_outcome", payload, Metadata::new());
    let queued = uno_core::QueuedMessage::new(1, message, chrono::DateTime::UNIX_EPOCH);
    assert!(CommandOutcome::from_message(&queued).is_err());
}
