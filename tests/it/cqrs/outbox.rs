//! Messages on their way out and in: in order per key, at least once out, once in.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use uno_core::{
    Backend, BoxError, Commit, Metadata, NewMessage, Payload, ProcessStore, QueuedMessage,
    Transactional,
};
use uno_cqrs::{Handled, Inbox, InboxError, MessageRelay, RelayOptions, Transport};
use uno_testkit::conformance::{BackendHarness, Harness};
use uno_uow::{CommandError, Runner};
use uuid::Uuid;

use crate::support::{
    faulty::{Fault, Faulty},
    rest::{Running, drained, in_time, until},
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// A receiver that fails for some keys.
#[derive(Clone, Default)]
struct Broker {
    /// What arrived, by key.
    arrived: Arc<Mutex<HashMap<String, Vec<Uuid>>>>,
    /// How often each key still fails.
    failing: Arc<Mutex<HashMap<String, u32>>>,
}

impl Broker {
    fn fails(&self, key: &str, times: u32) {
        self.failing.lock().unwrap().insert(key.to_owned(), times);
    }

    /// What arrived under a key, each message once, in the order of its first arrival.
    fn of(&self, key: &str) -> Vec<Uuid> {
        let mut seen = Vec::new();
        for id in self.arrived.lock().unwrap().get(key).into_iter().flatten() {
            if !seen.contains(id) {
                seen.push(*id);
            }
        }
        seen
    }
}

impl Transport for Broker {
    async fn deliver(&self, message: &QueuedMessage) -> Result<(), BoxError> {
        tokio::task::yield_now().await;
        let (key, id) = (message.message().key().to_owned(), message.message().id());
        let left = self
            .failing
            .lock()
            .unwrap()
            .get_mut(&key)
            .map_or(0, |left| {
                let before = *left;
                *left = before.saturating_sub(1);
                before
            });
        assert!(left != 3, "as asked");
        if left > 0 {
            return Err("as asked".into());
        }
        self.arrived
            .lock()
            .unwrap()
            .entry(key)
            .or_default()
            .push(id);
        Ok(())
    }
}

fn relay<B: Backend>(store: &Arc<B>, broker: &Broker) -> MessageRelay<B, Broker> {
    let quick = RelayOptions::new()
        .concurrency(4)
        .poll_interval(Duration::from_millis(5))
        .pauses(Duration::from_micros(10), Duration::from_millis(1));
    MessageRelay::with_options(Arc::clone(store), "outbox", broker.clone(), quick)
}

fn run<B: Backend>(relay: &MessageRelay<B, Broker>) -> Running {
    let relay = relay.clone();
    Running::start(|stop| async move { relay.run(stop).await })
}

/// Adds this many messages under each key, alternating; their ids by key.
async fn post<B: Backend>(store: &B, keys: &[&str], each: usize) -> HashMap<String, Vec<Uuid>> {
    let mut posted: HashMap<String, Vec<Uuid>> = HashMap::new();
    let mut commit = Commit::new();
    for _ in 0..each {
        for key in keys {
            let id = *uno_core::CommandId::new().as_uuid();
            posted.entry((*key).to_owned()).or_default().push(id);
            commit.messages.push(message(id, key));
        }
    }
    store.commit(commit).await.unwrap();
    posted
}

fn message(id: Uuid, key: &str) -> NewMessage {
    let payload = Payload::from_json("{}").unwrap();
    NewMessage::new("outbox", id, key, "note", payload, Metadata::new())
}

pub(super) async fn messages_go_out_in_order_per_key_and_one_that_fails_keeps_no_other_waiting<
    H: BackendHarness,
>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let broker = Broker::default();
    broker.fails("dead", u32::MAX);
    broker.fails("slow", 5);
    // More for the dead receiver than are kept in memory.
    let dead = post(&**store, &["dead"], 1500).await;
    let posted = post(&**store, &["a", "slow", "b"], 600).await;
    let relay = relay(store, &broker);
    let running = run(&relay);
    until(&**store, || async {
        store.queue_depth("outbox").await.unwrap().0 == 1500
    })
    .await;
    for (key, ids) in &posted {
        assert_eq!(broker.of(key), *ids, "{key}");
    }
    let status = relay.status().await.unwrap();
    assert_eq!(status.depth, 1500);
    assert!(status.oldest.is_some() && status.failed > 5, "{status:?}");
    assert!(status.last_error.is_some(), "{status:?}");
    // It recovers, and so do those that came meanwhile.
    let later = post(&**store, &["dead", "a"], 300).await;
    broker.fails("dead", 0);
    in_time(drained(&**store, "outbox")).await;
    running.stop().await;
    let all: Vec<Uuid> = [&dead["dead"][..], &later["dead"]].concat();
    assert_eq!(broker.of("dead"), all);
    let status = relay.status().await.unwrap();
    assert_eq!((status.depth, status.oldest, status.resting), (0, None, 0));
}

pub(super) async fn what_is_delivered_is_delivered_in_order_whatever_the_store_says<
    H: BackendHarness,
>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for fault in Fault::ALL {
        for number in 1..=3 {
            let broker = Broker::default();
            let posted = post(&**store, &["a", "b", "c"], 40).await;
            let faulty = Faulty::at(store, number, fault);
            let running = run(&relay(&faulty, &broker));
            tokio::select! {
                biased;
                () = faulty.died() => {}
                () = drained(&**store, "outbox") => {}
            }
            running.crash().await;
            faulty.catch_up().await;
            // A new process.
            let running = run(&relay(store, &broker));
            drained(&**store, "outbox").await;
            running.stop().await;
            for (key, ids) in &posted {
                assert_eq!(broker.of(key), *ids, "{key} after {fault:?} at {number}");
            }
        }
    }
}

/// Handles a message: counts, and tells the outside.
async fn receive<B: Backend>(
    inbox: &Inbox<B>,
    id: Uuid,
    reply: Uuid,
    runs: &Arc<Mutex<u32>>,
) -> Result<Handled, InboxError> {
    let runs = Arc::clone(runs);
    let handling = inbox.handle(id, Metadata::new(), move |uow| {
        *runs.lock().unwrap() += 1;
        Box::pin(async move {
            uow.put_document("received", &id.to_string(), &1)
                .map_err(CommandError::failed)?;
            uow.enqueue(message(reply, "k"));
            let payload = Payload::from_json("{}").unwrap();
            let command = NewMessage::new("commands", reply, "k", "do", payload, Metadata::new());
            uow.enqueue(command);
            Ok(())
        })
    });
    handling.await
}

async fn depth<B: Backend>(store: &B, queue: &str) -> u64 {
    store.queue_depth(queue).await.unwrap().0
}

pub(super) async fn a_message_that_comes_again_is_recognised_and_its_outputs_go_out_again<
    H: BackendHarness,
>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let inbox = Inbox::new(Runner::new(Arc::clone(store)), "desk", ["outbox"]);
    let runs = Arc::default();
    let (id, reply) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let first = receive(&inbox, id, reply, &runs).await.unwrap();
    assert!(matches!(first, Handled::Now(_)), "{first:?}");
    // Still in its queue: it is left there.
    let again = receive(&inbox, id, reply, &runs).await.unwrap();
    assert_eq!(again, Handled::Before { dispatched: 0 });
    assert_eq!(
        (
            depth(&**store, "outbox").await,
            depth(&**store, "commands").await
        ),
        (1, 1)
    );
    // Delivered, and then it comes again: the message goes out again under its id, the command does not.
    let mut commit = Commit::new();
    for queue in ["outbox", "commands"] {
        let taken = uno_core::Acknowledgement::new(queue, reply);
        commit.acknowledgements.push(taken);
    }
    store.commit(commit).await.unwrap();
    let again = receive(&inbox, id, reply, &runs).await.unwrap();
    assert_eq!(again, Handled::Before { dispatched: 1 });
    let out = store.read_queue("outbox", 0, 10).await.unwrap();
    assert_eq!(out[0].message(), &message(reply, "k"));
    assert_eq!(depth(&**store, "commands").await, 0);
    assert_eq!(*runs.lock().unwrap(), 1);
    // Consumers are apart.
    let other = Inbox::new(Runner::new(Arc::clone(store)), "other", ["outbox"]);
    let fresh = receive(&other, id, Uuid::from_u128(3), &runs)
        .await
        .unwrap();
    assert!(matches!(fresh, Handled::Now(_)), "{fresh:?}");
    // Not older than an hour.
    assert_eq!(inbox.prune(Duration::from_secs(3600)).await.unwrap(), 0);
    assert_eq!(inbox.prune(Duration::ZERO).await.unwrap(), 1);
}

pub(super) async fn a_message_takes_effect_once_whatever_the_store_says<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for (n, fault) in (0_u128..).zip(Fault::ALL) {
        let faulty = Faulty::at(store, 1, fault);
        let (id, reply) = (Uuid::from_u128(100 + n), Uuid::from_u128(200 + n));
        let runs = Arc::default();
        let inbox = Inbox::new(Runner::new(Arc::clone(&faulty)), "desk", ["outbox"]);
        tokio::select! {
            biased;
            () = faulty.died() => {}
            _ = receive(&inbox, id, reply, &runs) => {}
        }
        faulty.catch_up().await;
        // Delivered again, twice at once, to a new process.
        let inbox = Inbox::new(Runner::new(Arc::clone(store)), "desk", ["outbox"]);
        let (a, b) = tokio::join!(
            receive(&inbox, id, reply, &runs),
            receive(&inbox, id, reply, &runs)
        );
        a.unwrap();
        b.unwrap();
        let out = store.read_queue("outbox", 0, 100).await.unwrap();
        let here = out.iter().filter(|queued| queued.message().id() == reply);
        assert_eq!(here.count(), 1, "{fault:?}");
    }
}
