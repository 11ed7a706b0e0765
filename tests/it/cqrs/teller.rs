//! Commands about accounts and what carries them out.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use tokio::sync::Barrier;
use uno_core::{Acknowledgement, Backend, Command, CommandId, Metadata};
use uno_cqrs::{CommandBus, CommandHandler};
use uno_uow::{CommandError, RetryPolicy, Runner, UnitOfWork};
use uuid::Uuid;

use crate::support::account::{Account, put_in};

/// Puts money in.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) struct Deposit {
    pub(super) account: String,
    pub(super) cents: i64,
}

/// Takes money out, if there is enough.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) struct Withdraw {
    pub(super) account: String,
    pub(super) cents: i64,
}

/// Puts a cent in and behaves badly in some way.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) struct Misbehave {
    pub(super) how: How,
}

#[derive(Serialize, Clone, Debug, PartialEq)]
pub(super) enum How {
    PanicAtOnce,
    PanicLater,
    PanicInApply,
    PanicInWork,
    Fail,
    /// So many times, then it behaves.
    FailTimes(u32),
    /// The first time, for ever.
    Hang,
    /// Waits for the others at the barrier.
    Meet,
    /// Acknowledges a message that is not its own.
    Acknowledge(Uuid),
}

/// A misbehaving way to be decoded.
impl<'de> Deserialize<'de> for How {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(from)?;
        match (value.as_str(), value.as_object()) {
            (Some("PanicInDecode"), _) => panic!("as asked"),
            (Some("Fail"), _) => Ok(Self::Fail),
            (Some("PanicInWork"), _) => Ok(Self::PanicInWork),
            (Some("PanicLater"), _) => Ok(Self::PanicLater),
            (Some("Hang"), _) => Ok(Self::Hang),
            (Some("Meet"), _) => Ok(Self::Meet),
            (_, Some(map)) if map.contains_key("FailTimes") => {
                let times = map["FailTimes"].as_u64().unwrap_or_default();
                Ok(Self::FailTimes(u32::try_from(times).unwrap()))
            }
            (_, Some(map)) if map.contains_key("Acknowledge") => {
                let id = map["Acknowledge"].as_str().unwrap_or_default();
                Ok(Self::Acknowledge(id.parse().map_err(D::Error::custom)?))
            }
            _ => Err(D::Error::custom("no such way")),
        }
    }
}

/// Carries out all of them, and remembers what it was asked for.
#[derive(Clone)]
pub(super) struct Teller {
    pub(super) asked: Arc<Mutex<Vec<String>>>,
    pub(super) tries: Arc<AtomicU32>,
    pub(super) ids: Arc<Mutex<Vec<Option<Uuid>>>>,
    pub(super) barrier: Arc<Barrier>,
}

impl Teller {
    pub(super) fn new() -> Self {
        Self {
            asked: Arc::default(),
            tries: Arc::default(),
            ids: Arc::default(),
            barrier: Arc::new(Barrier::new(2)),
        }
    }

    /// A bus on which it carries out everything.
    pub(super) fn bus<B: Backend>(&self, store: &Arc<B>) -> CommandBus<B> {
        let retry = RetryPolicy::default().with_attempts(1000);
        CommandBus::builder(Runner::new(Arc::clone(store)).with_retry(retry))
            .handler::<Deposit>(self.clone())
            .handler::<Withdraw>(self.clone())
            .handler::<Misbehave>(self.clone())
            .build()
            .unwrap()
    }

    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }
}

impl<B: Backend> CommandHandler<Deposit, B> for Teller {
    async fn handle(&self, command: &Deposit, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        self.note(format!("{} {}", command.account, command.cents));
        self.ids.lock().unwrap().push(uow.metadata().causation_id());
        put_in(uow, &command.account, command.cents).await?;
        Ok(())
    }
}

impl<B: Backend> CommandHandler<Withdraw, B> for Teller {
    async fn handle(
        &self,
        command: &Withdraw,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        self.note(format!("{} -{}", command.account, command.cents));
        let mut account = uow.load::<Account>(&command.account).await?;
        account.decide(|account| account.take(command.cents))?;
        Ok(())
    }
}

impl<B: Backend> CommandHandler<Misbehave, B> for Teller {
    fn handle(
        &self,
        command: &Misbehave,
        uow: &mut UnitOfWork<B>,
    ) -> impl Future<Output = Result<(), CommandError>> + Send {
        let tries = self.tries.fetch_add(1, Ordering::Relaxed);
        assert_ne!(command.how, How::PanicAtOnce, "as asked");
        async move {
            put_in(uow, "misbehaved", 1).await?;
            match command.how {
                How::PanicAtOnce => Ok(()),
                How::PanicLater => panic!("as asked"),
                How::PanicInApply => put_in(uow, "misbehaved", 666).await.map(drop),
                How::PanicInWork => {
                    uow.work(|_| Box::pin(async { panic!("as asked") }));
                    Ok(())
                }
                How::Fail => Err(CommandError::failed("the printer is on fire")),
                How::FailTimes(times) if tries < times => Err(CommandError::failed("not yet")),
                How::FailTimes(_) => Ok(()),
                How::Hang if tries == 0 => pending().await,
                How::Hang => Ok(()),
                How::Meet => {
                    self.barrier.wait().await;
                    self.barrier.wait().await;
                    Ok(())
                }
                How::Acknowledge(id) => {
                    uow.acknowledge(Acknowledgement::new("elsewhere", id));
                    Ok(())
                }
            }
        }
    }
}

/// Puts commands into a queue, one after the other; their ids.
pub(super) async fn enqueue<B: Backend, C: Command>(
    store: &Arc<B>,
    queue: &str,
    commands: &[(&str, C)],
) -> Vec<CommandId> {
    enqueue_as(store, queue, commands, Metadata::new()).await
}

/// The same, on behalf of somebody.
pub(super) async fn enqueue_as<B: Backend, C: Command>(
    store: &Arc<B>,
    queue: &str,
    commands: &[(&str, C)],
    metadata: Metadata,
) -> Vec<CommandId> {
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(metadata);
    let mut ids = Vec::new();
    for (key, command) in commands {
        let id = CommandId::new();
        uow.send(queue, *id.as_uuid(), key, command).unwrap();
        ids.push(id);
    }
    runner.commit(uow).await.unwrap();
    ids
}
