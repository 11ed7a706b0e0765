//! A saga in an application: its verbs, and what its status counts.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Semaphore;
use uno::{App, SagaStatus, Uno};
use uno_core::{Backend, ProcessStatus};
use uno_cqrs::CommandHandler;
use uno_saga::SagaCounts;
use uno_store_memory::MemoryStore;
use uno_uow::{CommandError, UnitOfWork};

use super::trip::{Book, How, MENDED, PARKS, Trip, Unbook, Want, person, say};
use crate::support::rest::{in_time, until};

/// Books when it is let, and unbooks when it is open.
#[derive(Clone)]
struct Agency {
    gate: Arc<Semaphore>,
    open: Arc<AtomicBool>,
}

impl<B: Backend> CommandHandler<Book, B> for Agency {
    async fn handle(&self, _: &Book, _: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        let let_in = self.gate.acquire().await.map_err(CommandError::failed)?;
        let_in.forget();
        Ok(())
    }
}

impl<B: Backend> CommandHandler<Unbook, B> for Agency {
    async fn handle(&self, _: &Unbook, _: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        match self.open.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(CommandError::rejected("closed")),
        }
    }
}

async fn status(app: &App<MemoryStore>) -> SagaStatus {
    let mut sagas = app.status().await.sagas;
    assert_eq!(sagas.len(), 1);
    sagas.remove(0)
}

async fn counts(app: &App<MemoryStore>) -> SagaCounts {
    status(app).await.counts.unwrap()
}

#[tokio::test]
async fn an_application_tells_what_waits_for_whom_and_helps() {
    let agency = Agency {
        gate: Arc::new(Semaphore::new(0)),
        open: Arc::new(AtomicBool::new(false)),
    };
    let store = Arc::new(MemoryStore::new());
    let builder = Uno::builder(store.clone())
        .command::<Book>(agency.clone())
        .command::<Unbook>(agency.clone());
    let uno = builder.saga::<Trip<PARKS>>().build().unwrap();
    uno.migrate().await.unwrap();
    let app = uno.start().await.unwrap();
    let saga = app.saga::<Trip<PARKS>>().unwrap();
    // Of the same name, but another one.
    assert!(app.saga::<Trip<MENDED>>().is_none());
    assert_eq!(status(&app).await.name, "trip");
    assert_eq!(counts(&app).await, SagaCounts::default());

    // A command that is not carried out: it is told that it waits, and since when.
    let wants = [Want::Book(1), Want::Compensate];
    say(&*store, "stuck", How::Start, &wants).await;
    until(&*store, || async { counts(&app).await.commands == 1 }).await;
    let since = counts(&app).await.commands_since.unwrap();
    say(&*store, "later", How::Start, &[Want::Book(1)]).await;
    until(&*store, || async { counts(&app).await.commands == 2 }).await;
    assert_eq!(
        counts(&app).await.commands_since,
        Some(since),
        "the oldest one"
    );
    let queued = uno_core::ProcessStore::read_queue(&*store, saga.queues().0, 0, 10).await;
    let queued = queued.unwrap();
    assert_eq!(queued[0].enqueued_at(), since);

    // It is, and its compensation is not.
    agency.gate.add_permits(2);
    until(&*store, || async { counts(&app).await.stuck == 1 }).await;
    in_time(app.until_idle()).await.unwrap();
    let told = counts(&app).await;
    assert_eq!(
        (told.commands, told.commands_since, told.parked),
        (0, None, 0)
    );
    let stuck = saga.instance("stuck").await.unwrap().unwrap();
    assert_eq!(stuck.stuck(), Some("compensation unbook failed: closed"));
    let listed = saga.list(&[ProcessStatus::Stuck], None, 10).await.unwrap();
    assert_eq!(
        listed.iter().map(|found| &*found.key).collect::<Vec<_>>(),
        ["stuck"]
    );

    // One that is parked, and one behind it.
    say(&*store, "parked", How::Start, &[]).await;
    say(&*store, "parked", How::Continue, &[Want::Panic]).await;
    say(&*store, "parked", How::Continue, &[]).await;
    in_time(app.until_idle()).await.unwrap();
    let told = counts(&app).await;
    assert_eq!((told.parked, told.parked_inputs, told.stuck), (1, 2, 1));
    let first = saga.parked(None, 10).await.unwrap().remove(0);
    assert_eq!((told.parked_since, first.inputs), (first.since, 2));
    assert!(told.parked_since.is_some());
    assert_eq!(status(&app).await.outcomes.parked, 2);

    // A person helps both.
    saga.skip_parked("parked", &person()).await.unwrap();
    let retried = saga.retry_parked("parked", &person()).await.unwrap();
    assert_eq!((retried.handled, retried.parked_again), (1, None));
    agency.open.store(true, Ordering::Relaxed);
    saga.retry("stuck", &person()).await.unwrap();
    in_time(app.until_idle()).await.unwrap();
    let ended = saga.instance("stuck").await.unwrap().unwrap();
    assert_eq!(
        (ended.status(), ended.stuck()),
        (ProcessStatus::Compensated, None)
    );
    assert_eq!(counts(&app).await, SagaCounts::default());
    let status = status(&app).await;
    assert_eq!(
        (status.commands.succeeded, status.commands.rejected),
        (3, 1)
    );
    assert_eq!(
        (status.outcomes.outcomes, status.outcomes.failing),
        (4, None)
    );
    app.stop().await;
}
