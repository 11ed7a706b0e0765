//! Processes die of an event, of something else, and end in order in between: the event runs as often as the policy says, and no more.

use std::{sync::atomic::Ordering, time::Duration};

use uno_core::{BoxError, Envelope, ParkedKey, ParkingStore as _};
use uno_events::{EventHandler, Replay, Subscription, SubscriptionManager};

use super::support::*;

/// How one process ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Of an event that kills it; which one, and for the how-manieth time, is looked at afterwards.
    Killed,
    /// Of something else, while it handles this event.
    DiesAt(u32),
    /// Of something else, with nothing to do.
    DiesIdle,
    /// In order, after this event.
    StopsAfter(u32),
    /// In order, with nothing left to do.
    Stops,
}

/// A store, and what its processes did.
struct Lives {
    store: TestStore,
    /// Every call of the handler.
    calls: Seen,
    handled: Seen,
    /// Events that kill, each so often, or for ever.
    deadly: Vec<(u32, usize)>,
}

const FOR_EVER: usize = usize::MAX;
/// How often the policy of these tests has an event tried.
const ATTEMPTS: usize = 4;

impl Lives {
    async fn of(events: impl IntoIterator<Item = u32>, deadly: &[(u32, usize)]) -> Self {
        let lives = Self {
            store: TestStore::timed(),
            calls: Seen::default(),
            handled: Seen::default(),
            deadly: deadly.to_vec(),
        };
        lives.append(events).await;
        lives
    }

    /// Each to a stream of its own.
    async fn append(&self, events: impl IntoIterator<Item = u32>) {
        for n in events {
            note_in(&self.store, &format!("thing-{n}"), n).await;
        }
    }

    /// One process after the other.
    async fn live(&self, ends: impl IntoIterator<Item = End>) {
        for end in ends {
            self.live_once(end).await;
        }
    }

    /// Processes that die of what they handle, until one has nothing left to do.
    async fn live_on(&self) {
        while self.live_once(End::Killed).await {}
    }

    /// Whether it was killed by an event.
    async fn live_once(&self, end: End) -> bool {
        let process = self.store.elsewhere();
        let manager = SubscriptionManager::builder(process.events(), process.checkpoints())
            .instance("worker")
            .build();
        let body = Body {
            calls: self.calls.clone(),
            handled: self.handled.clone(),
            deadly: self.deadly.clone(),
            halts_at: match end {
                End::DiesAt(n) | End::StopsAfter(n) => Some(n),
                _ => None,
            },
            killed: Gate::closed(),
            halted: Gate::closed(),
        };
        let (killed, halted) = (body.killed.clone(), body.halted.clone());
        let subscription = Subscription::handler(name("a"), Replay::Safe, body)
            .retry(quick())
            .batch_size(10)
            .no_time_limit();
        manager.subscribe(subscription).unwrap();
        manager.start_all().await.unwrap();
        let cut_off = || process.faults().cut_off.store(true, Ordering::Relaxed);
        let came = tokio::select! {
            biased;
            () = killed.entered() => Came::Killer,
            () = halted.entered() => Came::Halt,
            idle = manager.until_idle() => {
                idle.unwrap();
                Came::Rest
            }
        };
        match (came, end) {
            (Came::Killer, End::Killed) | (Came::Halt, End::DiesAt(_)) => cut_off(),
            (Came::Rest, End::DiesIdle) => cut_off(),
            (Came::Rest, End::Killed | End::Stops) => manager.stop_all().await,
            (Came::Halt, End::StopsAfter(_)) => {
                let stopping = manager.stop_all();
                let opening = async {
                    // Time goes on once nobody has anything to do: the lane has been told to stop.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    halted.open();
                };
                tokio::join!(stopping, opening);
            }
            (came, end) => panic!("{came:?} instead of {end:?}: {:?}", self.calls.all()),
        }
        matches!(came, Came::Killer)
    }

    fn runs(&self, event: u32) -> usize {
        self.calls.all().iter().filter(|n| **n == event).count()
    }

    /// What is parked, each with the attempts that are told.
    async fn parked(&self) -> Vec<(String, u32)> {
        let parked = self.store.memory().list_parked(&name("a"), None, 100).await;
        let attempts = |key: &ParkedKey| (key.key().to_owned(), key.failure().attempts());
        parked.unwrap().iter().map(attempts).collect()
    }

    /// Only these are parked, after as many attempts as the policy says, and all else was handled.
    async fn assert_parked(&self, events: &[u32]) {
        let expected: Vec<_> = events.iter().map(|n| (format!("thing-{n}"), 4)).collect();
        assert_eq!(self.parked().await, expected, "{:?}", self.calls.all());
        let (calls, handled) = (self.calls.all(), self.handled.all());
        for n in calls.iter().filter(|n| !events.contains(n)) {
            assert!(handled.contains(n), "{n}: {calls:?}");
        }
    }
}

/// What a process comes to.
#[derive(Clone, Copy, Debug)]
enum Came {
    Killer,
    Halt,
    Rest,
}

struct Body {
    calls: Seen,
    handled: Seen,
    deadly: Vec<(u32, usize)>,
    halts_at: Option<u32>,
    killed: Gate,
    halted: Gate,
}

impl EventHandler<Noted> for Body {
    async fn handle(&self, event: &Envelope<Noted>) -> Result<(), BoxError> {
        let n = event.event().n;
        self.calls.push(n);
        let runs = self.calls.all().iter().filter(|call| **call == n).count();
        if self
            .deadly
            .iter()
            .any(|(deadly, times)| *deadly == n && runs <= *times)
        {
            self.killed.pass().await;
        }
        if self.halts_at == Some(n) {
            self.halted.pass().await;
        }
        self.handled.push(n);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_death_is_remembered_by_who_gives_the_lane_back() {
    for stops in 1..=3 {
        let lives = Lives::of(1..=9, &[(7, FOR_EVER)]).await;
        let ends = (1..=stops).map(End::StopsAfter);
        lives.live([End::Killed]).await;
        lives.live(ends).await;
        lives.live_on().await;
        assert_eq!(lives.runs(7), ATTEMPTS, "{:?}", lives.calls.all());
        lives.assert_parked(&[7]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_death_is_remembered_by_who_dies_of_something_else() {
    for ends in [
        vec![End::DiesAt(1)],
        vec![End::DiesAt(1), End::DiesAt(1)],
        vec![End::DiesAt(2), End::DiesAt(3), End::DiesAt(6)],
        vec![End::DiesAt(2), End::StopsAfter(2), End::DiesAt(3)],
        vec![End::StopsAfter(1), End::DiesAt(5), End::StopsAfter(6)],
    ] {
        let lives = Lives::of(1..=9, &[(7, FOR_EVER)]).await;
        lives.live([End::Killed]).await;
        lives.live(ends.clone()).await;
        lives.live_on().await;
        let calls = lives.calls.all();
        assert_eq!(lives.runs(7), ATTEMPTS, "{ends:?}: {calls:?}");
        lives.assert_parked(&[7]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn deaths_between_attempts_change_nothing() {
    let lives = Lives::of(1..=9, &[(7, FOR_EVER)]).await;
    let ends = [
        End::Killed,
        End::DiesAt(3),
        End::Killed,
        End::Killed,
        End::Killed,
    ];
    lives.live(ends).await;
    lives.live_on().await;
    assert_eq!(lives.runs(7), ATTEMPTS, "{:?}", lives.calls.all());
    lives.assert_parked(&[7]).await;
}

/// The death of the first is not put down to the second, once the first was found to kill.
#[tokio::test(start_paused = true)]
async fn of_two_that_kill_in_one_batch_each_has_all_its_attempts() {
    for ends in [vec![], vec![End::StopsAfter(1)], vec![End::DiesAt(2)]] {
        let lives = Lives::of(1..=9, &[(3, FOR_EVER), (7, FOR_EVER)]).await;
        lives.live([End::Killed]).await;
        lives.live(ends.clone()).await;
        lives.live_on().await;
        let runs = (lives.runs(3), lives.runs(7));
        let calls = lives.calls.all();
        assert_eq!(runs, (ATTEMPTS, ATTEMPTS), "{ends:?}: {calls:?}");
        lives.assert_parked(&[3, 7]).await;
    }
}

/// Nobody can know that the first death was not the second event's: it has one attempt less, and none more.
#[tokio::test(start_paused = true)]
async fn a_death_of_an_event_that_is_handled_after_all_is_put_down_to_one_behind_it() {
    for times in 1..=2 {
        let lives = Lives::of(1..=9, &[(3, times), (7, FOR_EVER)]).await;
        lives.live_on().await;
        let calls = lives.calls.all();
        assert_eq!(lives.runs(7), ATTEMPTS - 1, "{calls:?}");
        lives.assert_parked(&[7]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_death_with_nothing_to_do_is_put_down_to_nothing_that_comes_later() {
    for ends in [
        vec![End::Stops],
        vec![End::DiesIdle, End::DiesIdle, End::DiesIdle, End::Stops],
    ] {
        let lives = Lives::of(1..=3, &[(7, FOR_EVER)]).await;
        lives.live([End::DiesIdle]).await;
        lives.live(ends.clone()).await;
        lives.append(4..=9).await;
        lives.live_on().await;
        let calls = lives.calls.all();
        assert_eq!(lives.runs(7), ATTEMPTS, "{ends:?}: {calls:?}");
        lives.assert_parked(&[7]).await;
    }
}

/// Of a batch that was in hand at a death, nothing is suspected any more once it is past.
#[tokio::test(start_paused = true)]
async fn a_death_is_not_put_down_to_what_comes_after_the_batch() {
    let lives = Lives::of(1..=30, &[(2, 1), (25, FOR_EVER)]).await;
    lives.live([End::Killed, End::StopsAfter(15)]).await;
    lives.live_on().await;
    assert_eq!(lives.runs(25), ATTEMPTS, "{:?}", lives.calls.all());
    lives.assert_parked(&[25]).await;
}

/// The first death comes with a batch in hand; the event is parked only if each process after that dies while it is tried by itself.
#[tokio::test(start_paused = true)]
async fn an_innocent_event_is_parked_when_all_its_attempts_meet_a_death() {
    for deaths in 1..=ATTEMPTS {
        let lives = Lives::of(1..=9, &[]).await;
        lives.live(vec![End::DiesAt(2); deaths]).await;
        lives.live([End::Stops]).await;
        let parked: &[u32] = if deaths < ATTEMPTS { &[] } else { &[2] };
        lives.assert_parked(parked).await;
        let runs = ATTEMPTS.min(deaths + 1);
        assert_eq!(lives.runs(2), runs, "{:?}", lives.calls.all());
    }
}
