//! [`deliver_twice`]: a command that is carried out again by a worker that does not know that it was.

use uno_core::{
    Acknowledgement, Backend, Command, CommandId, Commit, Metadata, NewMessage, Payload, Receipt,
};
use uno_cqrs::{CommandBus, Completion, ExecuteError};

/// Has a command carried out twice under one id, as happens when a worker dies, or two have read the same message: the handler runs
/// twice, and in the store there is effect once, since the commit of the second finds the message gone.
///
/// What a handler does *outside* the store it must do once by itself, by the id that both runs have as their causation: assert that
/// afterwards, of whatever stands in for the world outside.
///
/// ```
/// # use std::{collections::HashSet, sync::{Arc, Mutex}};
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Backend, Command};
/// # use uno_cqrs::{CommandBus, CommandHandler};
/// # use uno_store_memory::MemoryStore;
/// # use uno_uow::{CommandError, Runner, UnitOfWork};
/// # use uuid::Uuid;
/// #[derive(Command, Serialize, Deserialize)]
/// struct Charge { cents: u32 }
///
/// /// Charges by way of a bank that knows a charge by its id.
/// struct Till { bank: Arc<Mutex<HashSet<Uuid>>> }
///
/// impl<B: Backend> CommandHandler<Charge, B> for Till {
///     async fn handle(&self, _: &Charge, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
///         let id = uow.metadata().causation_id().ok_or_else(|| CommandError::rejected("no id"))?;
///         self.bank.lock().map_err(|_| CommandError::rejected("the bank is down"))?.insert(id);
///         uow.put_document("charges", &id.to_string(), &"done")?;
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bank = Arc::new(Mutex::new(HashSet::new()));
/// let bus = CommandBus::builder(Runner::new(Arc::new(MemoryStore::new())))
///     .handler::<Charge>(Till { bank: bank.clone() })
///     .build()?;
/// uno_testkit::deliver_twice(&bus, &Charge { cents: 7 }).await?;
/// assert_eq!(bank.lock().map_or(0, |charges| charges.len()), 1);
/// # Ok(()) }
/// ```
///
/// # Errors
/// When the first run is refused or fails; there is no second one then.
///
/// # Panics
/// When the command can't be put into a queue, or the second run is committed.
pub async fn deliver_twice<C: Command, B: Backend>(
    bus: &CommandBus<B>,
    command: &C,
) -> Result<Receipt, ExecuteError> {
    let (queue, id) = ("uno.testkit.twice", *CommandId::new().as_uuid());
    let backend = bus.runner().backend();
    let payload = match Payload::encode(command) {
        Ok(payload) => payload,
        Err(error) => panic!("{} can't be encoded: {error}", C::NAME),
    };
    let metadata = Metadata::new().with_causation_id(id);
    let mut commit = Commit::new();
    let message = NewMessage::new(
        queue,
        id,
        "twice",
        C::NAME,
        payload.clone(),
        metadata.clone(),
    );
    commit.messages.push(message);
    if let Err(error) = backend.commit(commit).await {
        panic!("{} can't be put into a queue: {error}", C::NAME);
    }
    let completion = || Completion::new(Acknowledgement::new(queue, id), None);
    let first = bus.dispatch(C::NAME, payload.as_str(), metadata.clone(), completion());
    let receipt = first.await?;
    let second = bus.dispatch(C::NAME, payload.as_str(), metadata, completion());
    assert!(
        second.await.is_err(),
        "{} was committed a second time",
        C::NAME
    );
    Ok(receipt)
}
