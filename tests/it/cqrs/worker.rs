//! Queued commands and the worker that carries them out.

use std::{sync::Arc, time::Duration};

use uno_core::{Backend, CommandId, CorrelationId, Metadata, NewMessage, Payload, ProcessStore};
use uno_cqrs::{CommandOutcome, CommandWorker, Verdict};
use uno_testkit::conformance::{BackendHarness, Harness};
use uno_uow::{RetryPolicy, Runner};

use super::teller::{Deposit, How, Misbehave, Teller, Withdraw, enqueue, enqueue_as};
use crate::support::{
    account::{account, slip_in},
    faulty::{Fault, Faulty},
    log,
    rest::{Running, drained, in_time, until},
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

fn deposit(account: &str, cents: i64) -> Deposit {
    Deposit {
        account: account.to_owned(),
        cents,
    }
}

const QUICK: RetryPolicy = RetryPolicy::none()
    .with_attempts(3)
    .with_pauses(Duration::from_micros(10), Duration::from_millis(1));

fn worker<B: Backend>(teller: &Teller, store: &Arc<B>) -> CommandWorker<B> {
    CommandWorker::new(teller.bus(store), "q")
        .with_outcomes("outcomes")
        .with_retry(QUICK)
}

fn run<B: Backend>(worker: &CommandWorker<B>) -> Running {
    let worker = worker.clone();
    Running::start(|stop| async move { worker.run(stop).await })
}

/// What became of each command, by its key.
async fn outcomes<B: Backend>(store: &B) -> Vec<(String, CommandOutcome)> {
    let told = store.read_queue("outcomes", 0, 10_000).await.unwrap();
    let outcome = |queued| CommandOutcome::from_message(queued).unwrap();
    told.iter()
        .map(|queued| (queued.message().key().to_owned(), outcome(queued)))
        .collect()
}

pub(super) async fn commands_with_one_key_are_carried_out_in_order<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let teller = Teller::new();
    let worker = worker(&teller, store);
    // One that fails at first keeps those behind it waiting.
    let how = How::FailTimes(2);
    enqueue(store, "q", &[("a", Misbehave { how })]).await;
    let mut expected = Vec::new();
    for round in 1..=20 {
        for key in ["a", "b", "c"] {
            enqueue(store, "q", &[(key, deposit(key, round))]).await;
            expected.push(format!("{key} {round}"));
        }
    }
    let running = run(&worker);
    drained(&**store, "q").await;
    running.stop().await;
    let asked = teller.asked.lock().unwrap().clone();
    for key in ["a", "b", "c"] {
        let of_key = |all: &[String]| -> Vec<String> {
            all.iter()
                .filter(|text| text.starts_with(key))
                .cloned()
                .collect()
        };
        assert_eq!(of_key(&asked), of_key(&expected));
        assert_eq!(account(store, key).await.balance, 210);
    }
    assert_eq!(
        (worker.status().succeeded, worker.status().retried),
        (61, 2)
    );
}

pub(super) async fn commands_with_other_keys_do_not_wait<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let teller = Teller::new();
    enqueue(store, "q", &[("a", Misbehave { how: How::Meet })]).await;
    enqueue(
        store,
        "q",
        &[("a", deposit("a", 1)), ("b", deposit("b", 1))],
    )
    .await;
    let running = run(&worker(&teller, store));
    in_time(teller.barrier.wait()).await;
    // The first of key a is under way; b is carried out, and what is behind a is not.
    until(&**store, || async {
        store.queue_depth("q").await.unwrap().0 == 2
    })
    .await;
    assert_eq!(*teller.asked.lock().unwrap(), ["b 1"]);
    in_time(teller.barrier.wait()).await;
    drained(&**store, "q").await;
    running.stop().await;
    assert_eq!(*teller.asked.lock().unwrap(), ["b 1", "a 1"]);
}

pub(super) async fn each_command_has_an_outcome<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let teller = Teller::new();
    let worker = worker(&teller, store);
    let withdraw = Withdraw {
        account: "ada".to_owned(),
        cents: 700,
    };
    let mut ids = enqueue(store, "q", &[("k", deposit("ada", 5))]).await;
    ids.extend(enqueue(store, "q", &[("k", withdraw)]).await);
    ids.extend(enqueue(store, "q", &[("k", Misbehave { how: How::Fail })]).await);
    let how = How::PanicLater;
    ids.extend(enqueue(store, "q", &[("k", Misbehave { how })]).await);
    let how = How::PanicInWork;
    ids.extend(enqueue(store, "q", &[("k", Misbehave { how })]).await);
    let running = run(&worker);
    drained(&**store, "q").await;
    running.stop().await;
    let told = outcomes(&**store).await;
    let rejected = Verdict::Rejected("there are only 5 cents".to_owned());
    let failed = Verdict::GaveUp("the command failed: the printer is on fire".to_owned());
    let of = |n: usize| &told[n].1;
    let check = |n: usize, command, verdict, attempts| {
        let (first, last) = (of(n).first_attempt_at(), of(n).last_attempt_at());
        assert!(first.is_some() && first <= last, "{told:?}");
        let expected = CommandOutcome::new(ids[n], command, verdict);
        let expected = expected.with_attempts(attempts, first.unwrap(), last.unwrap());
        assert_eq!(*of(n), expected);
    };
    check(0, "deposit", Verdict::Succeeded, 1);
    check(1, "withdraw", rejected, 1);
    // As often as the policy says.
    check(2, "misbehave", failed, 3);
    for n in [3, 4] {
        let panicked = matches!(of(n).verdict(), Verdict::GaveUp(_));
        assert!(panicked && of(n).command_id() == ids[n], "{told:?}");
    }
    assert!(told.iter().all(|(key, _)| key == "k"));
    assert_eq!(told.len(), 5);
    let status = worker.status();
    assert_eq!(
        (
            status.succeeded,
            status.rejected,
            status.gave_up,
            status.retried
        ),
        (1, 1, 3, 6)
    );
    assert!(status.last_error.is_some());
}

pub(super) async fn what_nobody_understands_gives_up_at_once<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    for (name, payload) in [
        ("unheard_of", "{}"),
        ("deposit", r#"{"account":7}"#),
        ("misbehave", r#"{"how":"PanicInDecode"}"#),
    ] {
        let id = *CommandId::new().as_uuid();
        let payload = Payload::from_json(payload).unwrap();
        uow.enqueue(NewMessage::new(
            "q",
            id,
            "k",
            name,
            payload,
            Metadata::new(),
        ));
    }
    runner.commit(uow).await.unwrap();
    let worker = worker(&Teller::new(), store);
    let running = run(&worker);
    drained(&**store, "q").await;
    running.stop().await;
    let told = outcomes(&**store).await;
    let reasons: Vec<_> = told
        .iter()
        .map(|(_, outcome)| match outcome.verdict() {
            Verdict::GaveUp(reason) => reason.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(reasons[0], "the command unheard_of has no handler");
    assert!(
        reasons[1].starts_with("the command deposit is malformed: invalid type"),
        "{reasons:?}"
    );
    assert_eq!(
        reasons[2],
        "the command misbehave is malformed: decoding it panicked"
    );
    assert_eq!((worker.status().gave_up, worker.status().retried), (3, 0));
}

pub(super) async fn a_store_that_is_away_costs_no_attempt<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    enqueue(store, "q", &[("a", deposit("a", 1))]).await;
    enqueue(store, "q", &[("a", Misbehave { how: How::Fail })]).await;
    // The first three commits and some reads fail: of the effects, and of the outcome of what gave up.
    let faulty = Faulty::new(store, |number| match number {
        1 | 4 => Some(Fault::Unavailable),
        2 => Some(Fault::UnknownLost),
        5 => Some(Fault::UnknownDone),
        _ => None,
    });
    faulty.fail_reads(4);
    let worker = worker(&Teller::new(), &faulty).with_retry(RetryPolicy::none());
    let running = run(&worker);
    drained(&**store, "q").await;
    running.stop().await;
    assert_eq!(account(store, "a").await.balance, 1);
    let told = outcomes(&**store).await;
    let verdicts: Vec<_> = told
        .iter()
        .map(|(_, outcome)| outcome.verdict().clone())
        .collect();
    assert!(
        matches!(&verdicts[..], [Verdict::Succeeded, Verdict::GaveUp(_)]),
        "{verdicts:?}"
    );
}

pub(super) async fn stopping_does_not_wait_for_the_next_attempt<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    // The next attempt would come in hours; and a store that is away for good is waited for.
    let hours = Duration::from_secs(7200);
    let retry = RetryPolicy::none()
        .with_attempts(9)
        .with_pauses(hours, hours);
    let teller = Teller::new();
    enqueue(store, "q", &[("a", Misbehave { how: How::Fail })]).await;
    enqueue(
        store,
        "q",
        &[("a", deposit("a", 1)), ("b", deposit("b", 1))],
    )
    .await;
    let faulty = Faulty::new(store, |_| Some(Fault::Unavailable));
    let worker = worker(&teller, &faulty).with_retry(retry);
    let running = run(&worker);
    until(&**store, || async { worker.status().retried >= 6 }).await;
    running.stop().await;
    // Nothing is lost, and after the next start it goes on in order.
    assert_eq!(store.queue_depth("q").await.unwrap().0, 3);
    assert_eq!(outcomes(&**store).await, []);
    teller.tries.store(0, std::sync::atomic::Ordering::Relaxed);
    let worker = self::worker(&teller, store);
    let running = run(&worker);
    drained(&**store, "q").await;
    running.stop().await;
    assert_eq!(
        account(store, "a").await.balance + account(store, "b").await.balance,
        2
    );
}

pub(super) async fn stopping_waits_for_the_attempt_in_hand<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let teller = Teller::new();
    enqueue(store, "q", &[("a", Misbehave { how: How::Meet })]).await;
    enqueue(store, "q", &[("a", deposit("a", 1))]).await;
    let running = run(&worker(&teller, store));
    in_time(teller.barrier.wait()).await;
    tokio::join!(running.stop(), async {
        in_time(teller.barrier.wait()).await;
    });
    assert_eq!(account(store, "misbehaved").await.balance, 1);
    // What was behind it is left.
    assert_eq!(store.queue_depth("q").await.unwrap().0, 1);
    assert_eq!(account(store, "a").await.balance, 0);
}

pub(super) async fn an_attempt_that_hangs_is_dropped<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let teller = Teller::new();
    enqueue(store, "q", &[("a", Misbehave { how: How::Hang })]).await;
    let worker = worker(&teller, store).with_time_limit(Duration::from_millis(500));
    let running = run(&worker);
    drained(&**store, "q").await;
    running.stop().await;
    assert_eq!(account(store, "misbehaved").await.balance, 1);
    // On a busy machine the next attempt may take too long as well: then it is dropped, and its commit counts once.
    let status = worker.status();
    assert!(status.retried >= 1 && status.gave_up == 0, "{status:?}");
    assert_eq!(
        status.last_error.as_deref(),
        Some("did not finish within 500ms")
    );
}

pub(super) async fn two_workers_share_a_queue<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let keys = ["a", "b", "c", "d"];
    let mut expected = 0;
    for round in 1..=10_i64 {
        for key in keys {
            // Each takes out what the last one has put in, so a wrong order is refused.
            let withdraw = Withdraw {
                account: key.to_owned(),
                cents: 2 * round - 1,
            };
            enqueue(store, "q", &[(key, deposit(key, 2 * round))]).await;
            enqueue(store, "q", &[(key, withdraw)]).await;
        }
        expected += 1;
    }
    let workers = [(); 2].map(|()| worker(&Teller::new(), store));
    let running = workers.each_ref().map(run);
    drained(&**store, "q").await;
    for running in running {
        running.stop().await;
    }
    for key in keys {
        assert_eq!(account(store, key).await.balance, expected);
    }
    let told = outcomes(&**store).await;
    assert_eq!(told.len(), 80);
    assert!(told.iter().all(|(_, outcome)| outcome.is_success()));
    let succeeded: u64 = workers.iter().map(|worker| worker.status().succeeded).sum();
    assert_eq!(succeeded, 80);
}

pub(super) async fn another_message_that_is_gone_settles_nothing<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    // The handler acknowledges a message that is not there: that is not this one being gone.
    let how = How::Acknowledge(*CommandId::new().as_uuid());
    enqueue(store, "q", &[("a", Misbehave { how })]).await;
    enqueue(store, "q", &[("a", deposit("a", 1))]).await;
    let running = run(&worker(&Teller::new(), store));
    drained(&**store, "q").await;
    running.stop().await;
    let told = outcomes(&**store).await;
    assert!(
        matches!(told[0].1.verdict(), Verdict::GaveUp(_)),
        "{told:?}"
    );
    assert!(told[1].1.is_success());
}

pub(super) async fn an_outcome_that_is_refused_closes_no_lane<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    // There is an outcome of this command already, as when somebody sends a command again under its id.
    let ids = enqueue(
        store,
        "q",
        &[("a", deposit("a", 5)), ("a", deposit("b", 1))],
    )
    .await;
    let outcome = CommandOutcome::new(ids[0], "deposit", Verdict::Succeeded);
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    uow.enqueue(
        outcome
            .to_message("outcomes", "a", Metadata::new())
            .unwrap(),
    );
    runner.commit(uow).await.unwrap();
    let running = run(&worker(&Teller::new(), store));
    drained(&**store, "q").await;
    running.stop().await;
    assert_eq!(account(store, "a").await.balance, 0);
    assert_eq!(account(store, "b").await.balance, 1);
    assert_eq!(outcomes(&**store).await.len(), 2);
}

pub(super) async fn metadata_goes_from_the_queue_to_events_and_outcome<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let metadata = Metadata::new()
        .with_correlation_id(CorrelationId::new())
        .with_causation_id(*CommandId::new().as_uuid())
        .with_actor("ada")
        .with_tenant("acme")
        .with_header("channel", "web");
    let ids = enqueue_as(store, "q", &[("a", deposit("a", 1))], metadata.clone()).await;
    let running = run(&worker(&Teller::new(), store));
    drained(&**store, "q").await;
    running.stop().await;
    let expected = metadata.with_causation_id(*ids[0].as_uuid());
    assert!(
        log(&**store)
            .await
            .iter()
            .all(|event| *event.metadata() == expected)
    );
    let told = store.read_queue("outcomes", 0, 10).await.unwrap();
    assert_eq!(*told[0].message().metadata(), expected);
}

pub(super) async fn more_commands_than_are_kept_in_memory<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    // One key has more than fit, and keeps nobody waiting for ever.
    let mut commands: Vec<_> = (0..1300).map(|_| ("a", deposit("a", 1))).collect();
    commands.push(("b", deposit("b", 1)));
    enqueue(store, "q", &commands).await;
    slip_in(&**store, "a", 1).await;
    let worker = worker(&Teller::new(), store).with_concurrency(2);
    let running = run(&worker);
    drained(&**store, "q").await;
    running.stop().await;
    assert_eq!(account(store, "a").await.balance, 1301);
    assert_eq!(account(store, "b").await.balance, 1);
    assert_eq!(worker.status().succeeded, 1301);
}
