//! What is done around handlers is done, in order, and keeps its word.
//!
//! Long because each layer has its own small handler or authority beside its case.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use uno_core::{
    Acknowledgement, Backend, BoxError, Command, CommandId, CommandSet, Metadata,
    ProcessStore as _, Receipt,
};
use uno_cqrs::{
    Answer, Asked, Authorise, Authority, CommandBus, CommandCall, CommandHandler, CommandLayer,
    CommandNext, CommandOutcome, CommandWorker, Completion, ExecuteError, Forbidden, Invalid,
    Query, QueryBus, QueryCall, QueryError, QueryHandler, QueryLayer, QueryNext, TimeLimit, Trace,
    Validate, Verdict,
};
use uno_store_memory::MemoryStore;
use uno_uow::{CommandError, RetryPolicy, Runner, UnitOfWork};

use super::teller::{Deposit, Teller, enqueue};
use crate::support::{
    account::{put_in, slip_in},
    log,
    rest::{Running, drained},
};

/// Puts something in, and writes down what it sees.
#[derive(Command, Serialize, Deserialize, Clone, Debug)]
struct Put {
    account: String,
    cents: i64,
}

impl Validate for Put {
    fn validate(&self) -> Result<(), Invalid> {
        Invalid::none()
            .unless(!self.account.is_empty(), "account", "must have a name")
            .unless(self.cents > 0, "cents", "must be above zero")
            .into_result()
    }
}

/// Collides for ever.
#[derive(Command, Serialize, Deserialize, Clone, Debug)]
struct Collide {}

/// Never ends.
#[derive(Command, Serialize, Deserialize, Clone, Debug)]
struct Sleep {}

#[derive(CommandSet)]
enum Sent {
    Put(Put),
    Collide(Collide),
}

#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Noting(Diary, &'static str);

impl<B: Backend> CommandLayer<B> for Noting {
    async fn execute(
        &self,
        call: CommandCall,
        next: CommandNext<'_, B>,
    ) -> Result<Receipt, ExecuteError> {
        self.0.note(format!("{} in {}", self.1, call.name()));
        let result = next.run(call).await;
        self.0.note(format!("{} out {}", self.1, result.is_ok()));
        result
    }
}

impl QueryLayer for Noting {
    async fn ask(&self, call: QueryCall, next: QueryNext<'_>) -> Result<Answer, QueryError> {
        self.0.note(format!("{} in", self.1));
        let result = next.run(call).await;
        self.0.note(format!("{} out {}", self.1, result.is_ok()));
        result
    }
}

#[derive(Clone)]
struct Keeper {
    diary: Diary,
    store: Arc<MemoryStore>,
}

impl Keeper {
    fn new() -> Self {
        Self {
            diary: Diary::default(),
            store: Arc::new(MemoryStore::new()),
        }
    }

    fn builder(&self) -> uno_cqrs::CommandBusBuilder<MemoryStore> {
        CommandBus::builder(Runner::new(Arc::clone(&self.store)))
    }
}

impl<B: Backend> CommandHandler<Put, B> for Keeper {
    async fn handle(&self, command: &Put, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        self.diary.note("handler");
        put_in(uow, &command.account, command.cents).await.map(drop)
    }
}

impl<B: Backend> CommandHandler<Collide, B> for Keeper {
    async fn handle(&self, _: &Collide, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        self.diary.note("handler");
        put_in(uow, "ada", 1).await?;
        slip_in(&*self.store, "ada", 1).await;
        Ok(())
    }
}

impl<B: Backend> CommandHandler<Sleep, B> for Keeper {
    async fn handle(&self, _: &Sleep, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        put_in(uow, "ada", 1).await?;
        pending().await
    }
}

fn put(account: &str, cents: i64) -> Put {
    let account = account.to_owned();
    Put { account, cents }
}

#[tokio::test]
async fn layers_run_from_the_outside_in_once_for_each_call() {
    let keeper = Keeper::new();
    let noting = |name| Noting(keeper.diary.clone(), name);
    let retry = RetryPolicy::none().with_attempts(3);
    let bus = keeper
        .builder()
        .layer(noting("first"))
        .handler_with::<Collide, _>(keeper.clone(), |options| {
            let options = options
                .layer(noting("third"))
                .layer(Arc::new(noting("fourth")));
            options.retry_conflicts(retry)
        })
        .layer(noting("second"))
        .build()
        .unwrap();
    let error = bus.execute(Collide {}).await.unwrap_err();
    assert!(error.is_conflict());
    let expected = [
        "first in collide",
        "second in collide",
        "third in collide",
        "fourth in collide",
        "handler",
        "handler",
        "handler",
        "fourth out false",
        "third out false",
        "second out false",
        "first out false",
    ];
    assert_eq!(keeper.diary.take(), expected);
}

#[tokio::test]
async fn what_is_not_valid_names_its_fields_and_begins_nothing() {
    let keeper = Keeper::new();
    let bus = keeper
        .builder()
        .handler_with::<Put, _>(keeper.clone(), |options| {
            let options = options.validate();
            options.validate_by(|put| {
                let known = put.account != "eve";
                Invalid::none()
                    .unless(known, "account", "must be somebody else's")
                    .into_result()
            })
        })
        .build()
        .unwrap();
    for (command, fields, text) in [
        (
            put("", 0),
            &["account", "cents"][..],
            "account must have a name; cents must be above zero",
        ),
        (
            put("eve", 1),
            &["account"],
            "account must be somebody else's",
        ),
    ] {
        let error = bus.execute(command).await.unwrap_err();
        assert!(error.is_rejection() && !error.is_transient());
        assert_eq!(error.to_string(), "the command put is not valid");
        let ExecuteError::Invalid { source, .. } = error else {
            panic!("{error:?}");
        };
        assert!(source.fields().eq(fields.iter().copied()), "{source}");
        assert_eq!(source.to_string(), text);
    }
    assert!(keeper.diary.take().is_empty());
    bus.execute(put("ada", 1)).await.unwrap();

    // From a queue it is refused at once, and whoever sent it is told.
    enqueue(&keeper.store, "puts", &[("a", put("", 1))]).await;
    let worker = CommandWorker::new(bus, "puts").with_outcomes("outcomes");
    let running = Running::start(|stop| async move { worker.run(stop).await });
    drained(&*keeper.store, "puts").await;
    running.stop().await;
    let told = keeper.store.read_queue("outcomes", 0, 10).await.unwrap();
    let outcome = CommandOutcome::from_message(&told[0]).unwrap();
    let expected = "the command put is not valid: account must have a name".to_owned();
    assert_eq!(*outcome.verdict(), Verdict::Rejected(expected));
}

/// Lets tenants touch what bears their names, and looks that up.
struct Owners;

impl Authority for Owners {
    async fn check(&self, asked: &Asked<'_>) -> Result<(), Forbidden> {
        tokio::task::yield_now().await;
        let owner = match (asked.command::<Put>(), asked.query::<Wealth>()) {
            (Some(put), _) => &put.account,
            (_, Some(wealth)) => &wealth.0,
            _ => return Err(Forbidden::new(format!("{} is nobody's", asked.name()))),
        };
        if asked.metadata().tenant() == Some(owner) && asked.metadata().actor().is_some() {
            return Ok(());
        }
        Err(Forbidden::new("it is somebody else's"))
    }
}

struct Wealth(String);

impl Query for Wealth {
    type Output = i64;
}

impl QueryHandler<Wealth> for Keeper {
    async fn handle(&self, query: &Wealth) -> Result<i64, BoxError> {
        self.diary.note("handler");
        if query.0 == "slow" {
            pending::<()>().await;
        }
        Ok(7)
    }
}

#[tokio::test]
async fn an_authority_sees_the_command_and_on_whose_behalf_it_is() {
    let keeper = Keeper::new();
    let bus = keeper
        .builder()
        .layer(Authorise::new(Owners))
        .handler::<Put>(keeper.clone())
        .handler::<Collide>(keeper.clone())
        .build()
        .unwrap();
    let of = |tenant: &str| Metadata::new().with_tenant(tenant).with_actor("me");
    bus.execute_as(put("ada", 1), of("ada")).await.unwrap();
    assert_eq!(keeper.diary.take(), ["handler"]);
    for (result, reason) in [
        (
            bus.execute_as(put("ada", 1), of("bob")).await,
            "it is somebody else's",
        ),
        (bus.execute(put("ada", 1)).await, "it is somebody else's"),
        (
            bus.execute_as(Collide {}, of("ada")).await,
            "collide is nobody's",
        ),
    ] {
        let error = result.unwrap_err();
        assert!(error.is_rejection());
        let ExecuteError::Forbidden { source, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(source.reason(), reason);
    }
    // One from a queue is asked about too.
    let acknowledgement = Acknowledgement::new("queue", *CommandId::new().as_uuid());
    let completion = Completion::new(acknowledgement, None);
    let payload = r#"{"account":"ada","cents":1}"#;
    let error = bus.dispatch("put", payload, of("bob"), completion).await;
    assert!(matches!(error, Err(ExecuteError::Forbidden { .. })));
    assert!(keeper.diary.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn queries_have_layers_too() {
    let keeper = Keeper::new();
    let noting = |name| Noting(keeper.diary.clone(), name);
    let bus = QueryBus::builder()
        .layer(noting("first"))
        .layer(Trace::new())
        .layer(Authorise::new(Owners))
        .handler_with::<Wealth, _>(keeper.clone(), |options| {
            options
                .layer(TimeLimit::of(Duration::from_secs(5)))
                .layer(noting("second"))
                .validate_by(|wealth: &Wealth| {
                    let named = !wealth.0.is_empty();
                    Invalid::none()
                        .unless(named, "0", "must be a name")
                        .into_result()
                })
        })
        .build()
        .unwrap();
    let ask = async |tenant: &str, of: &str| {
        let metadata = Metadata::new().with_tenant(tenant).with_actor("me");
        bus.ask_as(Wealth(of.to_owned()), metadata).await
    };
    assert_eq!(ask("ada", "ada").await.unwrap(), 7);
    let expected = [
        "first in",
        "second in",
        "handler",
        "second out true",
        "first out true",
    ];
    assert_eq!(keeper.diary.take(), expected);
    let error = ask("ada", "bob").await.unwrap_err();
    assert!(matches!(error, QueryError::Forbidden { .. }), "{error:?}");
    let error = ask("", "").await.unwrap_err();
    let QueryError::Invalid { source, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(source.to_string(), "0 must be a name");
    assert!(!keeper.diary.take().contains(&"handler".to_owned()));
    let error = ask("slow", "slow").await.unwrap_err();
    let QueryError::TimedOut { limit, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(limit, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_dropped_with_all_it_did() {
    let keeper = Keeper::new();
    let limit = Duration::from_secs(5);
    let bus = keeper
        .builder()
        .layer(TimeLimit::of(limit))
        .handler::<Sleep>(keeper.clone())
        .handler::<Put>(keeper.clone())
        .build()
        .unwrap();
    let error = bus.execute(Sleep {}).await.unwrap_err();
    assert!(!error.is_transient() && !error.is_rejection());
    assert_eq!(
        error.to_string(),
        "the command sleep was not done within 5s"
    );
    assert!(log(&*keeper.store).await.is_empty());
    bus.execute(put("ada", 1)).await.unwrap();
}

/// Says whose commands these are, and panics when it is asked to.
struct OfTenant;

impl<B: Backend> CommandLayer<B> for OfTenant {
    async fn execute(
        &self,
        call: CommandCall,
        next: CommandNext<'_, B>,
    ) -> Result<Receipt, ExecuteError> {
        let Some(put) = call.command::<Put>() else {
            return Err(ExecuteError::layer("no such command here"));
        };
        assert_ne!(put.cents, 13, "as asked");
        let metadata = call.metadata().clone().with_tenant("shop");
        next.run(call.with_metadata(metadata)).await
    }
}

#[tokio::test]
async fn a_layer_may_change_the_metadata_fail_and_panic() {
    let keeper = Keeper::new();
    let bus = keeper
        .builder()
        .layer(OfTenant)
        .handler::<Put>(keeper.clone())
        .handler::<Collide>(keeper.clone())
        .build()
        .unwrap();
    bus.execute(put("ada", 1)).await.unwrap();
    let events = log(&*keeper.store).await;
    assert!(
        events
            .iter()
            .all(|event| event.metadata().tenant() == Some("shop"))
    );
    let error = bus.execute(Collide {}).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Layer(_)), "{error:?}");
    let error = bus.execute(put("ada", 13)).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Run(_)), "{error:?}");

    // The tenant that counts for a key is the one that the layers say.
    let key: uno_cqrs::IdempotencyKey = "a".parse().unwrap();
    let first = bus.execute_once(key.clone(), put("ada", 2)).await.unwrap();
    let of_shop = Metadata::new().with_tenant("shop");
    let again = bus.execute_once_as(key, put("ada", 2), of_shop).await;
    assert_eq!(again.unwrap(), first);
}

#[tokio::test]
async fn what_is_sent_and_has_no_handler_is_an_error_at_the_start() {
    let keeper = Keeper::new();
    let built = keeper
        .builder()
        .requires("the till", Sent::COMMANDS)
        .handler::<Put>(keeper.clone())
        .build();
    assert_eq!(
        built.unwrap_err().to_string(),
        "the command collide has no handler, and the till sends it"
    );
    let built = keeper
        .builder()
        .requires("the till", Sent::COMMANDS)
        .handler::<Put>(keeper.clone())
        .handler::<Collide>(keeper.clone())
        .build();
    assert!(built.is_ok());
    let built = QueryBus::builder().requires::<Wealth>("the page").build();
    let error = built.unwrap_err().to_string();
    assert!(
        error.ends_with("Wealth has no handler, and the page sends it"),
        "{error}"
    );
    let built = QueryBus::builder()
        .requires::<Wealth>("the page")
        .handler::<Wealth>(keeper)
        .build();
    assert!(built.unwrap().handles::<Wealth>());
}

#[tokio::test]
async fn the_end_of_each_command_is_told() {
    let told = super::told::Told::default();
    let guard = tracing::subscriber::set_default(told.clone());
    let bus = CommandBus::builder(Runner::new(Arc::new(MemoryStore::new())))
        .layer(Trace::new())
        .layer(TimeLimit::of(Duration::from_millis(1)))
        .handler::<Deposit>(Teller::new())
        .handler_with::<Put, _>(Keeper::new(), |options| options.validate())
        .handler::<Sleep>(Keeper::new())
        .build()
        .unwrap();
    let deposit = Deposit {
        account: "ada".to_owned(),
        cents: 5,
    };
    bus.execute(put("", 0)).await.unwrap_err();
    bus.execute(Sleep {}).await.unwrap_err();
    drop(Box::pin(bus.execute(deposit.clone())));
    {
        let mut dropped = Box::pin(bus.execute(Sleep {}));
        assert!(futures_util::poll!(&mut dropped).is_pending());
    }
    drop(guard);
    let expected = [
        "DEBUG uno.command.ended put invalid",
        "WARN uno.command.ended sleep timed_out",
        "DEBUG uno.command.ended sleep dropped",
    ];
    assert_eq!(told.lines(), expected);
}
