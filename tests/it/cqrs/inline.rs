//! Documents that are kept in the commit of the events: seen at once, folded once, whoever else writes and whatever is rebuilt.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use uno_core::{
    Backend, Commit, Decoder, DocumentWrite, ExpectedVersion, Metadata, NewEvent, Payload,
    Position, StreamAppend, Transactional as _,
};
use uno_cqrs::{Documents, GenerationState, InlineDocuments, LiveDocuments, ReadModel};
use uno_events::SubscriptionManager;
use uno_testkit::{
    GivenProjection,
    conformance::{BackendHarness, Harness},
};
use uno_uow::{BeforeCommit, RetryPolicy, RunError, Runner};

use super::{
    statements::{Statement, Statements, folded, stored, texts},
    tally::Tallies,
};
use crate::support::{
    account::{AccountEvent, Moved, put_in, slip_in},
    log,
    rest::in_time,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// A process that keeps statements inline.
struct Process<B: Backend> {
    model: Arc<ReadModel<B>>,
    manager: Arc<SubscriptionManager>,
    runner: Runner<B>,
    documents: Documents<Statements>,
}

impl<B: Backend> Process<B> {
    async fn started(store: &Arc<B>) -> Self {
        let manager = SubscriptionManager::builder(Arc::clone(store) as _, Arc::clone(store) as _)
            .poll_interval(Duration::from_millis(5))
            .build();
        let (manager, statements) = (Arc::new(manager), Statements::<1>);
        let (log, backend, feeder) = (
            Arc::clone(store) as _,
            Arc::clone(store),
            Arc::clone(&manager),
        );
        let model = ReadModel::documents(statements, log, backend, feeder, Decoder::new());
        let model = model.unwrap().rebuild_batch(50);
        let model = model.subscription(|subscription| subscription.batch_size(20));
        model.start().await.unwrap();
        let inline = InlineDocuments::new(statements, Decoder::new()).unwrap();
        let patient = RetryPolicy::default()
            .with_attempts(10_000)
            .with_time_limit(Duration::from_secs(60));
        let runner = Runner::new(Arc::clone(store))
            .with_retry(patient)
            .with_retry_budget(uno_uow::RetryBudget::unlimited())
            .with_before_commit(Arc::new(inline));
        Self {
            model: Arc::new(model),
            manager,
            runner,
            documents: Documents::new(Arc::clone(store) as _),
        }
    }

    async fn put_in(&self, account: &str, cents: i64) -> u64 {
        let account = account.to_owned();
        let put = self.runner.run(Metadata::new(), |uow| {
            let account = account.clone();
            Box::pin(async move { put_in(uow, &account, cents).await })
        });
        let (_, receipt) = in_time(put).await.unwrap();
        receipt.streams()[0].last().get()
    }

    async fn get(&self, account: &str) -> Option<Statement> {
        self.documents.get(account).await.unwrap()
    }
}

async fn head<B: Backend>(store: &B) -> Position {
    store.head().await.unwrap().position()
}

pub(super) async fn what_a_command_did_is_read_at_once<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let process = Process::started(store).await;
    // Nobody else brings it.
    process.manager.stop_all().await;
    for (account, cents, expected) in [
        ("ada", 5, Some(5)),
        ("ada", 2, Some(7)),
        ("grace", 1, Some(1)),
        ("ada", -7, None),
        ("ada", 3, Some(3)),
    ] {
        let version = process.put_in(account, cents).await;
        let found = process.get(account).await;
        assert_eq!(found.as_ref().map(|found| found.cents), expected);
        let live = LiveDocuments::new(Statements::<1>, Arc::clone(store) as _, Decoder::new());
        assert_eq!(live.unwrap().get(account).await.unwrap(), found);
        assert!(version > 0);
    }
    // The subscription then finds it done, once.
    process.manager.start_all().await.unwrap();
    in_time(process.manager.until_idle()).await.unwrap();
    let all = folded(Statements::<1>, &**store, head(&**store).await).await;
    let serving = process.model.serving().generation().await.unwrap();
    assert_eq!(stored(&**store, serving).await, all);
    process.manager.stop_all().await;
}

pub(super) async fn what_others_append_is_caught_up_with<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in(&**store, "before", 4).await;
    let process = Process::started(store).await;
    process.manager.stop_all().await;
    for _ in 0..3 {
        slip_in(&**store, "ada", 1).await;
    }
    process.put_in("ada", 10).await;
    let ada = process.get("ada").await.unwrap();
    assert_eq!((ada.cents, ada.events), (13, 5), "with its opening");
    slip_in(&**store, "ada", 1).await;
    assert_eq!(
        process.get("ada").await.unwrap().cents,
        13,
        "as ever, later"
    );
    // An append that expects nothing is as good.
    let inline = InlineDocuments::new(Statements::<1>, Decoder::new()).unwrap();
    for (account, cents) in [("ada", 20), ("new", 6)] {
        let moved = NewEvent::encode(&AccountEvent::Moved(Moved { cents })).unwrap();
        let stream = format!("account-{account}").parse().unwrap();
        let mut commit = Commit::new();
        let append = StreamAppend::new(stream, ExpectedVersion::Any, vec![moved]);
        commit.appends.push(append);
        inline.complete(&**store, &mut commit).await.unwrap();
        store.commit(commit).await.unwrap();
    }
    assert_eq!(process.get("ada").await.unwrap().cents, 34);
    assert_eq!(process.get("new").await.unwrap().cents, 6);
    process.manager.start_all().await.unwrap();
    in_time(process.manager.until_idle()).await.unwrap();
    let all = folded(Statements::<1>, &**store, head(&**store).await).await;
    let serving = process.model.serving().generation().await.unwrap();
    assert_eq!(stored(&**store, serving).await, all);
    process.manager.stop_all().await;
}

pub(super) async fn a_document_that_can_not_be_folded_fails_the_command<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let process = Process::started(store).await;
    process.manager.stop_all().await;
    process.put_in("ada", 1).await;
    let before = log(&**store).await.len();
    let mut commit = Commit::new();
    let body = Payload::from_json("7").unwrap();
    let put = DocumentWrite::put("statements", "ada", body);
    commit.documents.push(put);
    store.commit(commit).await.unwrap();
    let failed = process.runner.run(Metadata::new(), |uow| {
        Box::pin(async move { put_in(uow, "ada", 1).await })
    });
    let error = failed.await.unwrap_err();
    assert!(matches!(error, RunError::Command(_)), "{error:?}");
    assert_eq!(log(&**store).await.len(), before);
    // Others are not concerned.
    process.put_in("grace", 1).await;
    assert_eq!(process.get("grace").await.unwrap().cents, 1);
}

/// Writers that read after each command, others that append behind their backs, and rebuilds, swaps and ways back all the while.
pub(super) async fn writers_read_their_own_while_it_is_rebuilt<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let process = Arc::new(Process::started(store).await);
    // So many commands may be sent; when it is closed, that was all.
    let allowed = Arc::new(Semaphore::new(0));
    let mut writers = Vec::new();
    for number in 0..3_usize {
        let (process, store) = (Arc::clone(&process), Arc::clone(store));
        let allowed = Arc::clone(&allowed);
        writers.push(tokio::spawn(async move {
            let mut turn = number;
            while let Ok(permit) = allowed.acquire().await {
                permit.forget();
                turn += 1;
                let account = format!("a{}", turn % 4);
                let version = process.put_in(&account, 1).await;
                let found = process.get(&account).await.unwrap();
                // Every event counts one, but for the opening, which leaves nothing: so it has come at least as far as this command.
                assert!(
                    found.events + 1 >= version,
                    "{account} at {version}: {found:?}"
                );
                if turn.is_multiple_of(5) {
                    slip_in(&*store, &account, 1).await;
                }
                tokio::task::yield_now().await;
            }
        }));
    }
    for round in 0..4 {
        // They are at it while it is rebuilt, and a few of them are before that.
        allowed.add_permits(40);
        process.put_in("a0", 1).await;
        let switched = in_time(process.model.rebuild()).await.unwrap();
        if round % 2 == 1 {
            in_time(process.model.roll_back()).await.unwrap();
            in_time(process.model.drop_generation(switched.to()))
                .await
                .unwrap();
        } else {
            in_time(process.model.drop_generation(switched.from()))
                .await
                .unwrap();
        }
    }
    allowed.close();
    for writer in writers {
        in_time(writer).await.unwrap();
    }
    in_time(process.manager.until_idle()).await.unwrap();
    let all = folded(Statements::<1>, &**store, head(&**store).await).await;
    let status = process.model.status().await.unwrap();
    assert!(!status.generations.is_empty());
    for (generation, status) in status.generations {
        assert_ne!(status.state, GenerationState::Building);
        assert_eq!(stored(&**store, generation).await, all, "{generation}");
    }
    let read = process.documents.scan(None, 100).await.unwrap();
    assert_eq!(texts(&read.into_iter().collect()), all);
    process.manager.stop_all().await;
}

pub(super) async fn the_kit_compares_all_ways<H: BackendHarness>(
    harness: &Arc<H>,
    _: &Store<H>,
    _: &Guard<H>,
) {
    let moved = |cents| AccountEvent::Moved(Moved { cents });
    let guards = std::sync::Mutex::new(Vec::new());
    let open = || async {
        let (store, guard) = harness.open().await.unwrap();
        guards.lock().unwrap().push(guard);
        store
    };
    let given = GivenProjection::of(Statements::<1>)
        .event("account-ada", moved(5))
        .event("account-grace", moved(3))
        .event("account-ada", moved(-5))
        .event("account-ada", moved(2))
        .event("order-ada", moved(9))
        .event("account-grace", moved(1));
    given.then_the_same_in_every_way(open).await;
    assert_eq!(given.documents()["ada"].cents, 2);
    let given = GivenProjection::of(Tallies::<1>)
        .event("account-ada", moved(5))
        .event("account-grace", moved(3))
        .event("account-ada", moved(2));
    given.then_the_same_live(open).await;
    let guards = std::mem::take(&mut *guards.lock().unwrap());
    for guard in guards {
        harness.close(guard).await;
    }
}
