//! Stops the process at every call to the store, one after the other, and lets another go on.

use std::{iter, sync::Arc};

use sagas::{
    approval::Approval,
    dispatch::Dispatch,
    fulfilment::Fulfilment,
    reminder::Reminder,
    stage::{Story, play},
    trip::Trip,
    world::World,
};
use uno::{
    core::ReadLog,
    prelude::*,
    saga::SagaRunner,
    testkit::faults::{Call, Fault, FaultStore, Faults},
};

/// What must be the same each time: the instances, the events, and what was done outside, in order for each instance.
#[derive(Debug, PartialEq)]
struct Ending {
    instances: Vec<String>,
    events: Vec<String>,
    outside: Vec<String>,
}

#[test]
fn fulfilment_ends_alike_wherever_the_process_stops() {
    stop_everywhere::<Fulfilment>();
}

#[test]
fn reminder_ends_alike_wherever_the_process_stops() {
    stop_everywhere::<Reminder>();
}

#[test]
fn trip_ends_alike_wherever_the_process_stops() {
    stop_everywhere::<Trip>();
}

#[test]
fn dispatch_ends_alike_wherever_the_process_stops() {
    stop_everywhere::<Stepwise<Dispatch>>();
}

#[test]
fn approval_ends_alike_wherever_the_process_stops() {
    stop_everywhere::<Approval>();
}

/// What the tests above compare would show it if commands had other ids the second time, or the ids were not handed on.
#[test]
fn with_a_bank_that_forgets_keys_a_crash_is_seen() {
    let calm = Run::<Fulfilment>::new(World::forgetful()).to_the_end();
    assert!(
        (1..)
            .map_while(|number| crashed_at(
                World::forgetful(),
                Call::Commit,
                number,
                Fault::CrashBefore
            ))
            .any(|run: Run<Fulfilment>| run.to_the_end() != calm),
        "charged twice, and nobody has noticed"
    );
}

/// Every kind of call, the first of its kind, the second, and so on until a run passes undisturbed. A process that dies before a
/// call is carried out and one that dies before it hears the answer.
fn stop_everywhere<S: Story>() {
    let calm = Run::<S>::new(World::silent()).to_the_end();
    assert!(
        !calm.instances.is_empty() && !calm.outside.is_empty(),
        "{calm:?}"
    );
    let mut stopped = 0;
    for call in Call::ALL {
        // A process that dies when it has read something has done no more than one that dies before.
        let writes = matches!(call, Call::Append | Call::Commit | Call::SaveCheckpoint);
        let after = writes.then_some(Fault::CrashAfter);
        for fault in iter::once(Fault::CrashBefore).chain(after) {
            let runs =
                (1..).map_while(|number| crashed_at::<S>(World::silent(), call, number, fault));
            for (number, run) in (1..).zip(runs) {
                assert_eq!(
                    run.to_the_end(),
                    calm,
                    "{fault:?} at {call:?} number {number}"
                );
                stopped += 1;
            }
        }
    }
    println!("{}: stopped {stopped} times", S::NAME);
    assert!(stopped > 100, "stopped only {stopped} times");
}

/// A run whose first process has died at this call; `None` when it came to the end before.
fn crashed_at<S: Story>(world: World, call: Call, number: u64, fault: Fault) -> Option<Run<S>> {
    let run = Run::new(world);
    let store = FaultStore::new(
        Arc::clone(&run.store),
        Faults::none().nth(call, number, fault),
    );
    let crashed = run.process(async |world| {
        tokio::select! {
            biased;
            () = store.crashed() => true,
            played = play::<S, _>(Arc::new(store.clone()), world) => { played.unwrap(); false }
        }
    });
    crashed.then_some(run)
}

/// What outlives a process: the store, and the world around it.
struct Run<S> {
    store: Arc<MemoryStore>,
    world: World,
    story: std::marker::PhantomData<S>,
}

impl<S: Story> Run<S> {
    fn new(world: World) -> Self {
        let store = MemoryStore::builder().clock(world.clock.clone()).build();
        Self {
            store: Arc::new(store),
            world,
            story: std::marker::PhantomData,
        }
    }

    /// A process: its tasks are gone when it ends, wherever they are.
    fn process<T>(&self, main: impl AsyncFnOnce(&World) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(main(&self.world))
    }

    fn to_the_end(&self) -> Ending {
        self.process(async |world| {
            play::<S, _>(Arc::clone(&self.store), world).await.unwrap();
            let saga = SagaRunner::<S, _>::new(Arc::clone(&self.store), Decoder::new()).unwrap();
            let instances = saga.instances(&[], None, 1000).await.unwrap();
            let instances = instances.iter().map(|instance| {
                assert!(instance.in_flight().is_empty() && instance.timeouts().is_empty());
                format!(
                    "{} {} {:?}",
                    instance.key(),
                    instance.status(),
                    instance.state()
                )
            });
            let log = self
                .store
                .read_log(ReadLog::after(Position::START))
                .await
                .unwrap();
            let name = |event: &Arc<RecordedEvent>| format!("{} {}", event.stream(), event.name());
            let mut events: Vec<String> = log.events().iter().map(name).collect();
            let mut outside = world.ledger.entries();
            // Instances go on side by side, so only what concerns the same one is in order: these sorts keep it.
            events.sort_by_key(|event| number(event));
            outside.sort_by_key(|entry| number(entry));
            Ending {
                instances: instances.collect(),
                events,
                outside,
            }
        })
    }
}

/// The order, invoice or trip that a line is about: the last number in it.
fn number(line: &str) -> Option<u32> {
    let numbers = line.split(|sign: char| !sign.is_ascii_digit());
    numbers.filter_map(|number| number.parse().ok()).next_back()
}
