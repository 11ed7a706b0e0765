//! The bus as the suite drives it, with one fault at a time.
//!
//! Each fault is a mistake of a bus, made where the suite hands over what it wants or hears what came of it.
//!
//! Long because every fault is beside the one right way.

use std::{
    future::Future,
    panic::panic_any,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{sync::Semaphore, time::sleep};
use uno_core::{Category, Envelope, EventName, EventSet, EventStore, Position, RecordedEvent};
use uno_events::{
    BoundedQueue, CircuitBreaker, EventBus, GroupStatus, HandlerHandle, HandlerOptions,
    HandlerResult, Layers, Priority, Published, Retry, RetryPolicy, Topic,
};
use uno_store_memory::MemoryStore;
use uno_testkit::bus_conformance::{
    BusHandler, BusHarness, BusSettings, BusUnderTest, GroupTold, Told, Wanted, WantedPolicy,
    WantedQueue, WantedTopic,
    events::{OrderEvent, Placed},
};

/// What is wrong with a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    // Routing
    TypedGetsAll,
    SetIsItsFirstType,
    NamesMeanAll,
    NamesMeanNothing,
    PatternsMeanAll,
    PatternsAreNames,
    CategoriesMeanAll,
    CategoriesAreIgnoredEvents,
    AllMeansOneCategory,
    DeliversTwice,
    OneHandlerForEachTopic,
    KeepsTheUnsubscribed,
    // Reports
    ReportsByName,
    ForgetsTheLastInReports,
    HidesErrors,
    BlamesEveryone,
    ErrorsWithoutText,
    PanicsAreErrors,
    PanicsComeOut,
    SaysQueuedIsHandled,
    SaysStoppedIsHandled,
    SaysOneAttempt,
    UndecodableStopsAll,
    DecodesNothing,
    // Order and bounds
    DeliversLater,
    IgnoresPriorities,
    LowComesFirst,
    IgnoresOrder,
    OneLaneForAll,
    NoBound,
    OneAtATime,
    // Time
    NoTimeLimits,
    NoTimeLimitOfTheBus,
    LateOnesGoOn,
    // Trying again
    NeverRetries,
    RetriesOnceMore,
    RetriesWhatWorked,
    BreakerNeverOpens,
    BreakerOpensAtOnce,
    // Re-entrancy
    WaitsForAPlaceWithin,
    RefusesNested,
    ForgetsWhoSubscribesWithin,
    // Queues
    AwaitsQueues,
    SeveralAtATime,
    TwiceTheSpace,
    BlockDrops,
    GapsAreSilent,
    GapsAreOneShort,
    GapsBeginLate,
    GapsComeLate,
    DropIsBlock,
    SpillDrops,
    SpillDoubles,
    QueueDiesOfAnError,
    PublishesElsewhere,
    // Groups
    NoGroups,
    CountsNoMisses,
    StopsWithoutWaiting,
    SaysNobodyRuns,
    NeverStartsAgain,
    GroupsAreThoseOfNow,
    // The end
    ForgetsQueues,
    StaysOpen,
    SaysAllHasEnded,
}

use Fault::*;

/// Opens buses with a fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Harness {
    pub(crate) fault: Fault,
}

impl BusHarness for Harness {
    type Bus = Broken;

    fn open(&self, settings: BusSettings) -> Broken {
        let places = match self.fault {
            NoBound => 1000,
            OneAtATime => 1,
            WaitsForAPlaceWithin => 1000,
            _ => settings.max_concurrency,
        };
        let bus = EventBus::builder().max_concurrency(places);
        let bus = match self.fault {
            NoTimeLimits | NoTimeLimitOfTheBus => bus.no_time_limit(),
            _ => bus.time_limit(settings.time_limit),
        };
        Broken {
            bus: bus.build(),
            fault: self.fault,
            places: Arc::new(Semaphore::new(settings.max_concurrency)),
            state: Arc::default(),
        }
    }

    fn log(&self) -> Arc<dyn EventStore> {
        Arc::new(MemoryStore::new())
    }
}

/// A bus with a fault.
#[derive(Clone)]
pub(crate) struct Broken {
    bus: EventBus,
    fault: Fault,
    places: Arc<Semaphore>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    publishing: AtomicUsize,
    handles: Mutex<Vec<HandlerHandle>>,
    topics: Mutex<Vec<WantedTopic>>,
    names: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

impl BusUnderTest for Broken {
    type Handle = Option<HandlerHandle>;

    fn subscribe(&self, wanted: Wanted, handler: BusHandler) -> Self::Handle {
        let state = &*self.state;
        lock(&state.names).push(wanted.name.clone());
        if self.fault == ForgetsWhoSubscribesWithin && state.publishing.load(Ordering::SeqCst) > 0 {
            return None;
        }
        if self.fault == OneHandlerForEachTopic {
            let mut topics = lock(&state.topics);
            if topics.contains(&wanted.topic) {
                return None;
            }
            topics.push(wanted.topic.clone());
        }
        let (handler, gaps) = self.handler(&wanted, handler);
        let options = self.options(&wanted, gaps);
        let handle = self.route(&wanted, options, handler);
        lock(&state.handles).push(handle);
        Some(handle)
    }

    fn unsubscribe(&self, handle: Self::Handle) {
        if let Some(handle) = handle.filter(|_| self.fault != KeepsTheUnsubscribed) {
            self.bus.unsubscribe(handle);
        }
    }

    fn publish(&self, event: Arc<RecordedEvent>) -> impl Future<Output = Option<Vec<Told>>> + Send {
        let own = self.clone();
        async move {
            let inside = own.state.publishing.fetch_add(1, Ordering::SeqCst);
            let _leaves = Leaves(Arc::clone(&own.state));
            if own.fault == RefusesNested && inside > 0 {
                return None;
            }
            let published = match own.fault {
                DeliversLater => return Some(own.later(event)),
                PublishesElsewhere => {
                    let bus = own.bus.clone();
                    tokio::spawn(async move { bus.publish(event).await })
                        .await
                        .unwrap()
                }
                DeliversTwice => {
                    own.bus.publish(Arc::clone(&event)).await;
                    own.bus.publish(event).await
                }
                UndecodableStopsAll if event.payload().as_str().contains("many") => {
                    return Some(vec![Told {
                        name: String::from("typed"),
                        result: HandlerResult::Undecodable("all of it".into()),
                        attempts: 0,
                    }]);
                }
                _ => own.bus.publish(event).await,
            };
            own.told(&published)
        }
    }

    async fn stop_group(&self, group: &str, within: Duration) -> GroupTold {
        self.state.stopped.store(true, Ordering::SeqCst);
        let status = match self.fault {
            StopsWithoutWaiting => {
                let _stopped = self.bus.stop_group(group, within).now_or_never();
                let groups = self.bus.groups();
                let status = groups
                    .iter()
                    .find(|status| status.group().as_str() == group);
                status.cloned().unwrap()
            }
            SaysNobodyRuns => self.bus.stop_group(group, Duration::ZERO).await,
            _ => self.bus.stop_group(group, within).await,
        };
        self.group(&status)
    }

    async fn start_group(&self, group: &str) -> GroupTold {
        match self.fault {
            NeverStartsAgain => self.group(&self.bus.stop_group(group, Duration::ZERO).await),
            _ => self.group(&self.bus.start_group(group)),
        }
    }

    async fn shutdown(&self, within: Duration) -> bool {
        match self.fault {
            StaysOpen => return true,
            ForgetsQueues => {
                for handle in lock(&self.state.handles).drain(..) {
                    self.bus.unsubscribe(handle);
                }
            }
            _ => {}
        }
        let ended = self.bus.shutdown(within).await.is_complete();
        ended || self.fault == SaysAllHasEnded
    }
}

impl Broken {
    fn route(
        &self,
        wanted: &Wanted,
        options: HandlerOptions,
        handler: BusHandler,
    ) -> HandlerHandle {
        let bus = &self.bus;
        let recorded = |topic: Topic, options: HandlerOptions| {
            let handler = Arc::clone(&handler);
            let handle = move |event: Arc<RecordedEvent>| handler(event);
            bus.subscribe_recorded_with(wanted.name.as_str(), topic, options, handle)
        };
        let named = |name: &str| Topic::Name(EventName::new(name.to_owned()).unwrap());
        match (&wanted.topic, self.fault) {
            (WantedTopic::Typed, TypedGetsAll) => recorded(Topic::All, options),
            (WantedTopic::Typed | WantedTopic::Set, DecodesNothing) => {
                recorded(named("placed"), options)
            }
            (WantedTopic::Typed, _) | (WantedTopic::Set, SetIsItsFirstType) => {
                typed::<Placed>(bus, &wanted.name, options, handler)
            }
            (WantedTopic::Set, _) => typed::<OrderEvent>(bus, &wanted.name, options, handler),
            (WantedTopic::Recorded(topic), fault) => match (topic, fault) {
                (Topic::Name(_), NamesMeanAll)
                | (Topic::Pattern(_), PatternsMeanAll)
                | (Topic::Category(_), CategoriesMeanAll) => recorded(Topic::All, options),
                (Topic::Name(_), NamesMeanNothing) => recorded(named("nothing"), options),
                (Topic::Pattern(pattern), PatternsAreNames) => {
                    recorded(named(&pattern.as_str().replace('*', "")), options)
                }
                (Topic::Category(category), CategoriesAreIgnoredEvents) => {
                    recorded(named(category.as_str()), options)
                }
                (Topic::All, AllMeansOneCategory) => {
                    recorded(Topic::Category(Category::new("order").unwrap()), options)
                }
                (topic, _) => recorded(topic.clone(), options),
            },
            (other, _) => panic_any(format!("a topic that is not known here: {other:?}")),
        }
    }

    fn options(&self, wanted: &Wanted, gaps: Gaps) -> HandlerOptions {
        let fault = self.fault;
        let mut options = HandlerOptions::new().priority(match (fault, wanted.priority) {
            (IgnoresPriorities, _) => Priority::Normal,
            (LowComesFirst, Priority::Low) => Priority::High,
            (LowComesFirst, Priority::High) => Priority::Low,
            (_, priority) => priority,
        });
        let joins = fault != NoGroups
            && (fault != GroupsAreThoseOfNow || !self.state.stopped.load(Ordering::SeqCst));
        if let Some(group) = wanted.group.as_deref().filter(|_| joins) {
            options = options.group(group);
        }
        options = match (wanted.ordered_by_stream, fault) {
            (false, _) | (true, IgnoresOrder) => options,
            (true, OneLaneForAll) => options.ordered_by(|_| 0),
            (true, _) => options.ordered_by_stream(),
        };
        options = match (wanted.time_limit, fault) {
            (None, _) => options,
            (Some(_), NoTimeLimits | LateOnesGoOn) => options.no_time_limit(),
            (Some(limit), _) => options.time_limit(limit),
        };
        if let Some(queue) = wanted.queue.as_ref().filter(|_| fault != AwaitsQueues) {
            options = options.queued(self.queue(queue, gaps));
        }
        options.layers(self.layers(wanted))
    }

    fn layers(&self, wanted: &Wanted) -> Layers {
        let mut layers = Layers::new();
        let retries = match self.fault {
            NeverRetries => 0,
            RetriesOnceMore => wanted.retries + 1,
            _ => wanted.retries,
        };
        if retries > 0 {
            let policy = RetryPolicy::new().retries(retries).base(Duration::ZERO);
            layers = layers.layer(Retry::by(policy));
        }
        let failures = match (wanted.breaker, self.fault) {
            (_, BreakerNeverOpens) => None,
            (Some(_), BreakerOpensAtOnce) => Some(1),
            (failures, _) => failures,
        };
        if let Some(failures) = failures {
            layers = layers.layer(CircuitBreaker::with(failures, Duration::from_secs(3600)));
        }
        layers
    }

    fn queue(&self, wanted: &WantedQueue, gaps: Gaps) -> BoundedQueue {
        let capacity = match self.fault {
            TwiceTheSpace => 2 * wanted.capacity,
            _ => wanted.capacity,
        };
        let silent = || BoundedQueue::drop_with_gap(capacity, |_| async { Ok(()) });
        match (&wanted.policy, self.fault) {
            (WantedPolicy::Block, BlockDrops) | (WantedPolicy::SpillToLog(_), SpillDrops) => {
                silent()
            }
            (WantedPolicy::DropWithGap(_), GapsAreSilent) => silent(),
            (WantedPolicy::Block, _) | (WantedPolicy::DropWithGap(_), DropIsBlock) => {
                BoundedQueue::block(capacity)
            }
            (WantedPolicy::SpillToLog(log), _) => {
                BoundedQueue::spill_to_log(capacity, Arc::clone(log))
            }
            (WantedPolicy::DropWithGap(tell), fault) => {
                let tell = Arc::clone(tell);
                BoundedQueue::drop_with_gap(capacity, move |gap| {
                    let (first, last, events) = (gap.first(), gap.last(), gap.events());
                    match fault {
                        GapsAreOneShort => tell(first, last, events - 1),
                        GapsBeginLate => tell(last, last, events),
                        GapsComeLate => lock(&gaps).push((first, last, events)),
                        _ => tell(first, last, events),
                    }
                    async { Ok(()) }
                })
            }
            (other, _) => panic_any(format!("a policy that is not known here: {other:?}")),
        }
    }

    /// The handler with its fault, and where gaps wait that come late.
    fn handler(&self, wanted: &Wanted, handler: BusHandler) -> (BusHandler, Gaps) {
        let gaps = Gaps::default();
        let queue = wanted.queue.as_ref().map(|queue| queue.policy.clone());
        let faulty: BusHandler = match (self.fault, queue) {
            (WaitsForAPlaceWithin, None) => {
                let places = Arc::clone(&self.places);
                Arc::new(move |event| {
                    let (places, handler) = (Arc::clone(&places), Arc::clone(&handler));
                    Box::pin(async move {
                        let _place = places.acquire().await?;
                        handler(event).await
                    })
                })
            }
            (LateOnesGoOn, None) => {
                let limit = wanted.time_limit;
                Arc::new(move |event| {
                    let handling = handler(event);
                    match limit {
                        None => handling,
                        Some(limit) => Box::pin(async move {
                            // Nobody waits for it any longer, and there it is still.
                            let handling = tokio::spawn(handling);
                            sleep(limit).await;
                            drop(handling);
                            Err(Box::new(uno_events::CallError::TimedOut(limit)).into())
                        }),
                    }
                })
            }
            (RetriesWhatWorked, None) => {
                let again = wanted.retries > 0;
                Arc::new(move |event| {
                    let handler = Arc::clone(&handler);
                    Box::pin(async move {
                        handler(Arc::clone(&event)).await?;
                        if again { handler(event).await } else { Ok(()) }
                    })
                })
            }
            (SeveralAtATime, Some(_)) => Arc::new(move |event| {
                let handler = Arc::clone(&handler);
                Box::pin(async move {
                    let first = event.position() == Position::new(1)?;
                    tokio::spawn(async move {
                        if first {
                            sleep(Duration::from_millis(100)).await;
                        }
                        handler(event).await
                    });
                    Ok(())
                })
            }),
            (SpillDoubles, Some(WantedPolicy::SpillToLog(_))) => Arc::new(move |event| {
                let handler = Arc::clone(&handler);
                Box::pin(async move {
                    handler(Arc::clone(&event)).await?;
                    handler(event).await
                })
            }),
            (QueueDiesOfAnError, Some(_)) => {
                let dead = Arc::new(AtomicBool::new(false));
                Arc::new(move |event| {
                    let (handler, dead) = (Arc::clone(&handler), Arc::clone(&dead));
                    Box::pin(async move {
                        if dead.load(Ordering::SeqCst) {
                            return Ok(());
                        }
                        let result = handler(event).await;
                        dead.store(result.is_err(), Ordering::SeqCst);
                        result
                    })
                })
            }
            (GapsComeLate, Some(WantedPolicy::DropWithGap(tell))) => {
                let late = Arc::clone(&gaps);
                Arc::new(move |event| {
                    let handling = handler(event);
                    for (first, last, events) in lock(&late).drain(..) {
                        tell(first, last, events);
                    }
                    handling
                })
            }
            _ => handler,
        };
        (faulty, gaps)
    }

    /// Tells of what has not happened yet.
    fn later(&self, event: Arc<RecordedEvent>) -> Vec<Told> {
        let bus = self.bus.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(50)).await;
            bus.publish(event).await;
        });
        let handled = |name: &String| Told {
            name: name.clone(),
            result: HandlerResult::Handled,
            attempts: 1,
        };
        lock(&self.state.names).iter().map(handled).collect()
    }

    fn told(&self, published: &Published) -> Option<Vec<Told>> {
        if published.is_refused() {
            return None;
        }
        let outcomes = published.outcomes();
        let mut told: Vec<_> = outcomes
            .map(|outcome| Told {
                name: outcome.name().to_owned(),
                result: self.result(outcome.result()),
                attempts: match self.fault {
                    SaysOneAttempt => outcome.attempts().min(1),
                    _ => outcome.attempts(),
                },
            })
            .collect();
        match self.fault {
            ReportsByName => told.sort_by(|one, other| one.name.cmp(&other.name)),
            ForgetsTheLastInReports => drop(told.pop()),
            BlamesEveryone if !published.is_ok() => {
                let worst = told
                    .iter()
                    .find(|told| told.result != HandlerResult::Handled);
                if let Some(worst) = worst.map(|told| told.result.clone()) {
                    told.iter_mut().for_each(|told| told.result = worst.clone());
                }
            }
            _ => {}
        }
        Some(told)
    }

    fn result(&self, result: &HandlerResult) -> HandlerResult {
        match (self.fault, result) {
            (HidesErrors, HandlerResult::Failed(_) | HandlerResult::Panicked(_))
            | (SaysQueuedIsHandled, HandlerResult::Queued)
            | (SaysStoppedIsHandled, HandlerResult::Stopped) => HandlerResult::Handled,
            (ErrorsWithoutText, HandlerResult::Failed(_)) => HandlerResult::Failed("failed".into()),
            (PanicsAreErrors, HandlerResult::Panicked(text)) => HandlerResult::Failed(text.clone()),
            (PanicsComeOut, HandlerResult::Panicked(text)) => panic_any(text.to_string()),
            _ => result.clone(),
        }
    }

    fn group(&self, status: &GroupStatus) -> GroupTold {
        GroupTold {
            started: status.is_started(),
            handlers: status.handlers(),
            running: match self.fault {
                SaysNobodyRuns => 0,
                _ => status.running(),
            },
            missed: match self.fault {
                CountsNoMisses => 0,
                _ => status.missed(),
            },
        }
    }
}

type Gaps = Arc<Mutex<Vec<(Position, Position, u64)>>>;

fn typed<E: EventSet>(
    bus: &EventBus,
    name: &str,
    options: HandlerOptions,
    handler: BusHandler,
) -> HandlerHandle {
    let handle = move |event: Arc<Envelope<E>>| handler(Arc::clone(event.record()));
    bus.subscribe_with(name, options, handle)
}

struct Leaves(Arc<State>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.publishing.fetch_sub(1, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
