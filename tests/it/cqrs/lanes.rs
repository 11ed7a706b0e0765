//! Commands on one stream wait for one another instead of colliding.
//!
//! Long because the commands and the desk that carries them out are used by every case.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinSet,
};
use uno_core::{Backend, Command};
use uno_cqrs::{
    Busy, CommandBus, CommandHandler, CommandWorker, ExecuteError, LaneLimits, TimeLimit,
};
use uno_domain::Aggregate as _;
use uno_store_memory::MemoryStore;
use uno_testkit::{
    conformance::{BackendHarness, Harness},
    faults::{Call, Fault, FaultStore, Faults},
};
use uno_uow::{CommandError, RetryPolicy, RunError, Runner, UnitOfWork};

use super::teller::enqueue;
use crate::support::{
    account::{Account, account, put_in},
    log,
    rest::{Running, drained, in_time, until},
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// Puts money in.
#[derive(Command, Serialize, Deserialize, Clone)]
struct PayIn {
    account: String,
    cents: i64,
}

/// Takes it from one and gives it to the other.
#[derive(Command, Serialize, Deserialize, Clone)]
struct Transfer {
    from: String,
    to: String,
    cents: i64,
}

/// Waits, in the lane, until there is a permit.
#[derive(Command, Serialize, Deserialize, Clone)]
struct Dawdle {
    account: String,
}

/// Pays in by another command, within its own.
#[derive(Command, Serialize, Deserialize, Clone)]
struct Detour {
    account: String,
    on_a_task: bool,
}

struct Desk<B: Backend> {
    runs: Arc<AtomicU32>,
    permits: Arc<Semaphore>,
    bus: Arc<Mutex<Option<CommandBus<B>>>>,
}

impl<B: Backend> Clone for Desk<B> {
    fn clone(&self) -> Self {
        Self {
            runs: Arc::clone(&self.runs),
            permits: Arc::clone(&self.permits),
            bus: Arc::clone(&self.bus),
        }
    }
}

impl<B: Backend> Desk<B> {
    fn new() -> Self {
        Self {
            runs: Arc::default(),
            permits: Arc::new(Semaphore::new(0)),
            bus: Arc::default(),
        }
    }

    /// A bus on which no conflict is tried again: whoever collides has failed.
    fn bus(&self, store: &Arc<B>, limits: LaneLimits) -> CommandBus<B> {
        let runner = Runner::new(Arc::clone(store)).with_retry(RetryPolicy::none());
        let bus = CommandBus::builder(runner)
            .handler_with::<PayIn, _>(self.clone(), |options| {
                let options = options.lane_limits(limits);
                options.one_at_a_time::<Account>(|command| command.account.clone())
            })
            .handler_with::<Dawdle, _>(self.clone(), |options| {
                options
                    .layer(TimeLimit::of(Duration::from_secs(3600)))
                    .one_at_a_time::<Account>(|command| command.account.clone())
            })
            .handler_with::<Detour, _>(self.clone(), |options| {
                options.one_at_a_time::<Account>(|command| command.account.clone())
            })
            .handler_with::<Transfer, _>(self.clone(), |options| {
                options.one_at_a_time_on(|command| {
                    let both = [&command.from, &command.to];
                    let streams = both.map(|id| Account::stream_id(id).unwrap());
                    streams.to_vec()
                })
            })
            .build()
            .unwrap();
        *self.bus.lock().unwrap() = Some(bus.clone());
        bus
    }
}

impl<B: Backend> CommandHandler<PayIn, B> for Desk<B> {
    async fn handle(&self, command: &PayIn, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        put_in(uow, &command.account, command.cents).await.map(drop)
    }
}

impl<B: Backend> CommandHandler<Transfer, B> for Desk<B> {
    async fn handle(
        &self,
        command: &Transfer,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        put_in(uow, &command.from, -command.cents).await?;
        put_in(uow, &command.to, command.cents).await.map(drop)
    }
}

impl<B: Backend> CommandHandler<Dawdle, B> for Desk<B> {
    async fn handle(&self, command: &Dawdle, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        let permit = self.permits.acquire().await;
        permit.map_err(CommandError::failed)?.forget();
        put_in(uow, &command.account, 1).await.map(drop)
    }
}

impl<B: Backend> CommandHandler<Detour, B> for Desk<B> {
    async fn handle(&self, command: &Detour, _: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        let bus = self.bus.lock().unwrap().clone().unwrap();
        let pay = pay_in(&command.account, 1);
        let result = if command.on_a_task {
            tokio::spawn(async move { bus.execute(pay).await })
                .await
                .unwrap()
        } else {
            bus.execute(pay).await
        };
        match result {
            Err(ExecuteError::Run(RunError::Nested)) => Err(CommandError::rejected("nested")),
            Err(ExecuteError::Busy { source, .. }) => {
                Err(CommandError::rejected(source.to_string()))
            }
            other => Err(CommandError::failed(format!("{other:?}"))),
        }
    }
}

fn pay_in(account: &str, cents: i64) -> PayIn {
    let account = account.to_owned();
    PayIn { account, cents }
}

fn dawdle() -> Dawdle {
    let account = "ada".to_owned();
    Dawdle { account }
}

/// Starts a command, and returns when it has its place in the lane.
async fn begin<C: Command, B: Backend>(
    bus: &CommandBus<B>,
    command: C,
) -> tokio::task::JoinHandle<Result<uno_core::Receipt, ExecuteError>> {
    let (bus, (started, is_started)) = (bus.clone(), oneshot::channel());
    let task = tokio::spawn(async move {
        let mut executing = Box::pin(bus.execute(command));
        // One look at it puts it into the lane.
        let first = futures_util::poll!(&mut executing);
        started.send(()).unwrap();
        match first {
            std::task::Poll::Ready(result) => result,
            std::task::Poll::Pending => executing.await,
        }
    });
    is_started.await.unwrap();
    task
}

pub(super) async fn those_of_one_stream_do_not_collide<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let desk = Desk::new();
    let bus = desk.bus(store, LaneLimits::default());
    let first = begin(&bus, dawdle()).await;
    let mut tasks = Vec::new();
    for cents in 1..=40 {
        tasks.push(begin(&bus, pay_in("ada", cents)).await);
    }
    assert_eq!((bus.lanes(), desk.runs.load(Ordering::Relaxed)), (1, 0));
    desk.permits.add_permits(1);
    in_time(first).await.unwrap().unwrap();
    for task in tasks {
        in_time(task).await.unwrap().unwrap();
    }
    assert!(desk.runs.load(Ordering::Relaxed) >= 40);
    let mut moved: Vec<i64> = log(&**store)
        .await
        .iter()
        .filter(|event| event.name().as_str() == "moved")
        .map(|event| {
            let payload: serde_json::Value =
                serde_json::from_str(event.payload().as_str()).unwrap();
            payload["cents"].as_i64().unwrap()
        })
        .collect();
    moved.sort_unstable();
    let expected: Vec<i64> = [1].into_iter().chain(1..=40).collect();
    assert_eq!(moved, expected);
    // Also by the snapshots that were made of aggregates that were handed on.
    let account = account(store, "ada").await;
    assert_eq!((account.balance, account.moves), (821, 41));
    assert_eq!(bus.lanes(), 0);
}

pub(super) async fn transfers_both_ways_keep_the_sum<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let bus = Desk::new().bus(store, LaneLimits::default());
    let names = ["ada", "bob", "cyd"];
    let mut running = JoinSet::new();
    for number in 0..60_usize {
        let bus = bus.clone();
        let (from, to) = (names[number % 3], names[(number + 1 + number % 2) % 3]);
        let (from, to) = (from.to_owned(), to.to_owned());
        running.spawn(async move { bus.execute(Transfer { from, to, cents: 1 }).await });
    }
    for result in in_time(running.join_all()).await {
        result.unwrap();
    }
    let (mut sum, mut moves) = (0, 0);
    for name in names {
        let account = account(store, name).await;
        (sum, moves) = (sum + account.balance, moves + account.moves);
    }
    assert_eq!((sum, moves, bus.lanes()), (0, 120, 0));
}

/// Two processes, each with lanes, one stream: what is handed on is proven, and what was wrong is decided again.
pub(super) async fn other_processes_are_noticed<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let (desk, mut running) = (Desk::new(), JoinSet::new());
    for _ in 0..2 {
        let runner = Runner::new(Arc::clone(store))
            .with_retry(RetryPolicy::default().with_attempts(1000))
            .with_retry_budget(uno_uow::RetryBudget::unlimited());
        let bus = CommandBus::builder(runner)
            .handler_with::<PayIn, _>(desk.clone(), |options| {
                options.one_at_a_time::<Account>(|command| command.account.clone())
            })
            .build()
            .unwrap();
        for _ in 0..20 {
            let bus = bus.clone();
            running.spawn(async move { bus.execute(pay_in("ada", 1)).await });
        }
    }
    for result in in_time(running.join_all()).await {
        result.unwrap();
    }
    let account = account(store, "ada").await;
    assert_eq!((account.balance, account.moves), (40, 40));
}

/// Where nothing fails, nothing is decided twice, and nothing is read but at the beginning.
#[tokio::test]
async fn they_come_in_order_and_nobody_decides_twice() {
    let inner = Arc::new(MemoryStore::new());
    let store = Arc::new(FaultStore::new(Arc::clone(&inner), Faults::none()));
    let desk = Desk::new();
    let bus = desk.bus(&store, LaneLimits::default());
    let mut tasks = vec![begin(&bus, dawdle()).await];
    for cents in 1..=40 {
        tasks.push(begin(&bus, pay_in("ada", cents)).await);
    }
    desk.permits.add_permits(1);
    for task in tasks {
        in_time(task).await.unwrap().unwrap();
    }
    assert_eq!(desk.runs.load(Ordering::Relaxed), 40);
    assert_eq!(store.calls(Call::ReadStream), 1);
    let stream = log(&*inner).await;
    let moved = stream
        .iter()
        .filter(|event| event.name().as_str() == "moved");
    let payloads: Vec<_> = moved
        .map(|event| event.payload().as_str().to_owned())
        .collect();
    let expected = [1].into_iter().chain(1..=40);
    let expected: Vec<_> = expected
        .map(|cents: i64| format!(r#"{{"cents":{cents}}}"#))
        .collect();
    assert_eq!(payloads, expected);
}

/// Some commits fail while the next commands rely on them, which decide again: none is lost, none is done twice.
#[tokio::test]
async fn what_relied_on_a_commit_that_failed_is_decided_again() {
    for number in 1..=12 {
        for fault in [
            Fault::Unavailable,
            Fault::UnknownLost,
            Fault::Conflict,
            Fault::Delay(Duration::from_millis(3)),
        ] {
            let inner = Arc::new(MemoryStore::new());
            let faults = Faults::none().nth(Call::Commit, number, fault);
            let store = Arc::new(FaultStore::new(Arc::clone(&inner), faults));
            let bus = Desk::new().bus(&store, LaneLimits::default());
            let mut tasks = Vec::new();
            for cents in 1..=10 {
                tasks.push((cents, begin(&bus, pay_in("ada", cents)).await));
            }
            let mut paid = 0;
            for (cents, task) in tasks {
                if in_time(task).await.unwrap().is_ok() {
                    paid += cents;
                }
            }
            let balance = account(&inner, "ada").await.balance;
            assert_eq!(balance, paid, "{fault:?} at commit {number}");
            assert!(paid >= 45, "{fault:?} at commit {number}: only {paid}");
            assert_eq!(bus.lanes(), 0);
        }
    }
}

#[tokio::test]
async fn a_caller_who_goes_away_keeps_nobody_waiting() {
    let store = Arc::new(MemoryStore::new());
    let desk = Desk::new();
    let bus = desk.bus(&store, LaneLimits::default());
    // The one that has its turn, and one that waits.
    let (holds, waits) = (
        begin(&bus, dawdle()).await,
        begin(&bus, pay_in("ada", 10)).await,
    );
    let stays = begin(&bus, pay_in("ada", 100)).await;
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    holds.abort();
    assert!(holds.await.unwrap_err().is_cancelled());
    in_time(stays).await.unwrap().unwrap();
    assert_eq!(account(&store, "ada").await.balance, 100);
    assert_eq!(bus.lanes(), 0);
}

#[tokio::test]
async fn a_full_lane_is_busy() {
    let store = Arc::new(MemoryStore::new());
    let desk = Desk::new();
    let bus = desk.bus(&store, LaneLimits::default().with_waiting(2));
    let mut tasks = vec![begin(&bus, dawdle()).await];
    for _ in 0..2 {
        tasks.push(begin(&bus, pay_in("ada", 1)).await);
    }
    let error = bus.execute(pay_in("ada", 1)).await.unwrap_err();
    assert!(error.is_transient() && !error.is_rejection() && !error.is_conflict());
    let ExecuteError::Busy { name, source } = &error else {
        panic!("{error:?}");
    };
    let lane = "account-ada".parse().unwrap();
    assert_eq!(name, "pay_in");
    assert_eq!(*source, Busy::Full { lane, waiting: 2 });
    // Other streams are not concerned.
    bus.execute(pay_in("bob", 1)).await.unwrap();
    desk.permits.add_permits(1);
    for task in tasks {
        in_time(task).await.unwrap().unwrap();
    }
    bus.execute(pay_in("ada", 1)).await.unwrap();
}

#[tokio::test]
async fn a_queued_command_waits_for_a_busy_lane() {
    let store = Arc::new(MemoryStore::new());
    let desk = Desk::new();
    let bus = desk.bus(&store, LaneLimits::default().with_waiting(0));
    let holds = begin(&bus, dawdle()).await;
    enqueue(&store, "payments", &[("a", pay_in("ada", 5))]).await;
    // One attempt: if being busy were a failure, it would give up.
    let worker = CommandWorker::new(bus, "payments").with_retry(RetryPolicy::none());
    let running = Running::start({
        let worker = worker.clone();
        |stop| async move { worker.run(stop).await }
    });
    until(&*store, || async { worker.status().retried > 0 }).await;
    desk.permits.add_permits(1);
    in_time(holds).await.unwrap().unwrap();
    drained(&*store, "payments").await;
    running.stop().await;
    assert_eq!(account(&store, "ada").await.balance, 6);
    assert_eq!(worker.status().gave_up, 0);
}

#[tokio::test(start_paused = true)]
async fn a_command_within_a_command_is_refused_and_never_a_deadlock() {
    let store = Arc::new(MemoryStore::new());
    let limits = LaneLimits::default().with_patience(Duration::from_secs(2));
    let bus = Desk::new().bus(&store, limits);
    for (on_a_task, expected) in [
        (false, "nested"),
        (true, "its turn for account-ada did not come within 2s"),
    ] {
        let account = "ada".to_owned();
        let detour = bus.execute(Detour { account, on_a_task }).await;
        assert_eq!(detour.unwrap_err().to_string(), expected);
    }
    assert_eq!(bus.lanes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_times_out_leaves_the_lane() {
    let store = Arc::new(MemoryStore::new());
    let desk = Desk::new();
    let bus = desk.bus(&store, LaneLimits::default().with_patience(Duration::MAX));
    let holds = begin(&bus, dawdle()).await;
    let waits = begin(&bus, pay_in("ada", 1)).await;
    let error = holds.await.unwrap().unwrap_err();
    assert!(matches!(error, ExecuteError::TimedOut { .. }), "{error:?}");
    waits.await.unwrap().unwrap();
    assert_eq!(account(&store, "ada").await.balance, 1);
}
