//! The number of lanes changes, and what is in a lane is for the key to say.

use std::{sync::Arc, time::Duration};

use uno_core::RecordedEvent;
use uno_events::{Replay, Subscription};

use super::{
    ledger::Ledger,
    sharing::{kill, lanes, ledger, process, scatter},
    support::*,
};

/// Processes come, go and die, want other numbers of lanes, and events flow all the time.
#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_processes_and_lanes_each_event_takes_effect_once_and_in_order() {
    for seed in 0..25 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let store = TestStore::timed();
        let consumer = Arc::new(Ledger::new(&store));
        let mut processes = Vec::new();
        let mut positions = Vec::new();
        for round in 0..rng.u32(5..25) {
            match rng.u8(0..6) {
                0..=2 => {
                    let process = process(&store);
                    let mut subscription = ledger(&store, &consumer);
                    if rng.bool() {
                        subscription = subscription.lanes(lanes(rng.u16(1..10)));
                    }
                    process.1.subscribe(subscription).unwrap();
                    process.1.start_all().await.unwrap();
                    processes.push(process);
                }
                3 if !processes.is_empty() => {
                    let process = processes.swap_remove(rng.usize(0..processes.len()));
                    process.1.stop_all().await;
                }
                4 if !processes.is_empty() => {
                    kill(processes.swap_remove(rng.usize(0..processes.len())));
                }
                _ => {}
            }
            for n in 0..rng.u32(0..60) {
                positions.push(scatter(&store, &mut rng, round * 100 + n).await);
                if rng.u8(0..4) == 0 {
                    tokio::time::sleep(Duration::from_millis(rng.u64(0..200))).await;
                }
            }
        }
        let (_, last) = process(&store);
        last.subscribe(ledger(&store, &consumer)).unwrap();
        last.start_all().await.unwrap();
        last.until_idle().await.unwrap();
        Ledger::assert_once_and_in_order(&store, &positions, &format!("seed {seed}"));
    }
}

#[tokio::test(start_paused = true)]
async fn another_number_of_lanes_is_taken_when_all_have_come_to_one_place() {
    let store = TestStore::timed();
    let consumer = Arc::new(Ledger::new(&store));
    let mut rng = fastrand::Rng::with_seed(1);
    let mut positions = Vec::new();
    for number in [3, 8, 1, 2, 1] {
        let (_, manager) = process(&store);
        manager
            .subscribe(ledger(&store, &consumer).lanes(lanes(number)))
            .unwrap();
        manager.start_all().await.unwrap();
        for n in 0..50 {
            positions.push(scatter(&store, &mut rng, n).await);
        }
        until(async || lanes_here(&manager, "a").await.len() == usize::from(number)).await;
        for n in 50..100 {
            positions.push(scatter(&store, &mut rng, n).await);
        }
        manager.until_idle().await.unwrap();
        manager.stop_all().await;
    }
    Ledger::assert_once_and_in_order(&store, &positions, "lanes changed");
}

#[tokio::test(start_paused = true)]
async fn a_key_of_ones_own_keeps_what_it_names_in_one_lane_and_in_order() {
    let store = TestStore::timed();
    let (_, manager) = process(&store);
    let seen = Seen::default();
    let handler = {
        let seen = seen.clone();
        move |event: Arc<RecordedEvent>| {
            let seen = seen.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(event.position().get() % 7)).await;
                seen.push(u32::try_from(event.position().get()).unwrap());
                Ok(())
            }
        }
    };
    let all = uno_core::EventFilter::all();
    let subscription = Subscription::recorded(name("a"), Replay::Safe, all, handler)
        .key(|event| event.stream().category().to_string())
        .lanes(lanes(8));
    manager.subscribe(subscription).unwrap();
    manager.start_all().await.unwrap();
    let mut rng = fastrand::Rng::with_seed(9);
    for n in 0..100 {
        scatter(&store, &mut rng, n).await;
    }
    manager.until_idle().await.unwrap();
    assert_eq!(
        seen.all(),
        (1..=100).collect::<Vec<_>>(),
        "all streams are of one category"
    );
}
