//! [`World`]: one process that runs a saga.

use std::{collections::HashSet, sync::Arc, time::Duration};

use uno_core::{Backend, Decoder, EventStore, ProcessStore, SubscriptionName};
use uno_events::{Replay, RetryPolicy, Subscription, SubscriptionManager};
use uno_saga::SagaRunner;

use super::fulfil::{Clerk, Fulfil, PLANS};
use crate::support::{
    faulty::Faulty,
    log,
    rest::{Running, in_time},
};

const POLL: Duration = Duration::from_millis(5);

/// One process: the saga's subscription, its worker, and the handling of its outcomes.
pub(super) struct World<B: Backend> {
    pub(super) store: Arc<Faulty<B>>,
    pub(super) saga: SagaRunner<Fulfil, Faulty<B>>,
    manager: SubscriptionManager,
    worker: Running,
    outcomes: Running,
}

/// The saga on a store.
pub(super) fn saga<B: Backend>(store: &Arc<B>) -> SagaRunner<Fulfil, B> {
    SagaRunner::new(Arc::clone(store), Decoder::new()).unwrap()
}

/// Its subscription, which has not been started.
pub(super) fn subscribe<B: Backend>(
    store: &Arc<B>,
    saga: &SagaRunner<Fulfil, B>,
) -> SubscriptionManager {
    // More than a process dies in any test: an event that is tried at each death is taken for what kills.
    let quick = RetryPolicy::new()
        .retries(10)
        .base(Duration::from_micros(10));
    let subscription = Subscription::new(name(), Replay::Safe, Arc::new(saga.clone())).retry(quick);
    let (log, checkpoints) = (Arc::clone(store), Arc::clone(store));
    let manager = SubscriptionManager::builder(log, checkpoints)
        .instance("world")
        .poll_interval(POLL)
        .build();
    manager.subscribe(subscription).unwrap();
    manager
}

pub(super) fn name() -> SubscriptionName {
    SubscriptionName::new("saga.fulfil").unwrap()
}

impl<B: Backend> World<B> {
    pub(super) async fn start(store: &Arc<Faulty<B>>, clerk: &Clerk) -> Self {
        let saga = saga(store);
        let quick = uno_uow::RetryPolicy::none()
            .with_attempts(2)
            .with_pauses(Duration::from_micros(10), Duration::from_millis(1));
        let worker = saga
            .worker(clerk.bus(store))
            .with_retry(quick)
            .with_poll_interval(POLL);
        let manager = subscribe(store, &saga);
        // A process may die while it starts.
        tokio::select! {
            started = manager.start_all() => started.unwrap(),
            () = store.died() => {}
        }
        let outcomes = saga.clone();
        Self {
            store: Arc::clone(store),
            saga,
            manager,
            worker: Running::start(|stop| async move { worker.run(stop).await }),
            outcomes: Running::start(|stop| async move { outcomes.run_outcomes(POLL, stop).await }),
        }
    }

    /// Returns once everything has come to rest, or the process has died; whether it lives.
    pub(super) async fn rest(&self) -> bool {
        tokio::select! {
            biased;
            () = self.store.died() => false,
            () = in_time(self.at_rest()) => true,
        }
    }

    async fn at_rest(&self) {
        let (commands, outcomes) = self.saga.queues();
        loop {
            // When nothing was committed from before the first look to after the last one, all looks are of one moment.
            let mark = self.store.change();
            self.manager.until_idle().await.unwrap();
            let waiting = async |queue| self.store.queue_depth(queue).await.unwrap().0;
            if waiting(commands).await == 0
                && waiting(outcomes).await == 0
                && self.store.change() == mark
            {
                return;
            }
            tokio::select! {
                () = self.store.changed(mark) => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    pub(super) async fn stop(self) {
        self.manager.stop_all().await;
        self.worker.stop().await;
        self.outcomes.stop().await;
        self.store.catch_up().await;
    }

    /// Ends wherever it is.
    pub(super) async fn crash(self) {
        drop(self.manager);
        self.worker.crash().await;
        self.outcomes.crash().await;
        self.store.catch_up().await;
    }
}

/// The name of the order of a batch with this plan.
pub(super) fn name_of(batch: &str, plan: &str) -> String {
    format!("{batch}, {plan}")
}

/// Takes in one order of each plan.
pub(super) async fn order_all<B: Backend>(store: &B, batch: &str) {
    for (plan, _, _) in PLANS {
        super::fulfil::order(store, &name_of(batch, plan), plan).await;
    }
}

/// Every order of the batch has come to what its plan says, each command took effect once, and the money is where it
/// should be.
pub(super) async fn assert_ended<B: Backend>(store: &Arc<B>, clerk: &Clerk, batch: &str) {
    let events = log(&**store).await;
    let saga = saga(store);
    for (plan, steps, status) in PLANS {
        let order = name_of(batch, plan);
        let instance = saga.instance(&order).await.unwrap().unwrap();
        let here = events.iter().filter(|event| event.stream().key() == order);
        let done: Vec<_> = here
            .filter(|event| event.name().as_str() == "done")
            .collect();
        let found: Vec<String> = done
            .iter()
            .map(|event| {
                let payload: serde_json::Value =
                    serde_json::from_str(event.payload().as_str()).unwrap();
                payload["step"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(found, steps, "what was done in {order}: {instance:?}");
        assert_eq!(instance.status().as_str(), status, "{order}: {instance:?}");
        assert_eq!(instance.in_flight(), [], "{order}");
        let commands: HashSet<_> = done
            .iter()
            .map(|event| event.metadata().causation_id())
            .collect();
        assert_eq!(commands.len(), done.len(), "the commands of {order}");
        let kept = i64::from(matches!(status, "completed" | "stuck"));
        assert_eq!(clerk.charged(&order), kept, "the money of {order}");
        if status == "stuck" {
            assert_eq!(instance.to_undo(), ["refund"]);
            let why = instance.stuck().unwrap();
            assert!(why.starts_with("compensation refund failed: "), "{why}");
        }
    }
    for queue in [saga.queues().0, saga.queues().1] {
        assert_eq!(
            store.queue_depth(queue).await.unwrap().0,
            0,
            "{queue} after {batch}"
        );
    }
}
