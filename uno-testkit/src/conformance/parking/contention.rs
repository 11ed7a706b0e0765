//! Many who park, take off and ask at once.

use std::sync::Arc;

use tokio::sync::Barrier;
use uno_core::{
    CheckpointStore as _, Commit, CommitError, ExpectedVersion::Any, ParkingRequest,
    ParkingStore as _, Stale, StoreError, StreamAppend, Transactional as _,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{event, stream},
    subscribing::{bare, behind, emptied, failed, failure, mail, taken_off},
    together::{finish, start, succeed},
};

/// Guarantee 3: an event is taken off with effect once, however many try.
pub async fn an_event_is_taken_off_once_however_many_try<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    for round in 1..=6_u64 {
        t.park(
            &mail(),
            vec![failed("a", round, &failure()), behind("a", 100)],
        )
        .await?;
        let barrier = Arc::new(Barrier::new(8));
        let tasks = start(8, |number| {
            let (store, barrier) = (Arc::clone(t.store()), Arc::clone(&barrier));
            async move {
                // Of another lane each, so that nothing but the event is in the way.
                let lane = u16::try_from(number + 1).unwrap_or(1);
                let from = store
                    .load_checkpoint(&mail(), uno_core::Lane::new(lane))
                    .await?
                    .map(|there| there.position().get());
                let mut commit = Commit::new();
                let write = bare(lane, from, from.unwrap_or(0) + 1);
                commit
                    .checkpoints
                    .push(write.parking(vec![taken_off("a", round)]));
                let append = StreamAppend::new(stream("effects"), Any, vec![event()]);
                commit.appends.push(append);
                barrier.wait().await;
                store.commit(commit).await
            }
        });
        let mut handled = 0;
        for result in finish(tasks).await? {
            match result {
                Ok(_) => handled += 1,
                Err(CommitError::Stale(Stale::Parked { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let effects = t.stream(&stream("effects")).await?.len() as u64;
        assert_eq!((handled, effects), (1, round));
        assert_eq!(t.parked("a").await?, [100]);
        assert_eq!(t.store().count_parked(&mail()).await?, 1);
    }
    Ok(())
}

/// [`CheckpointStore`](uno_core::CheckpointStore) guarantee 6: moves that park and take off the same keys in whatever order, and people who
/// ask for them meanwhile, all come to their end, and what is counted is what is there.
pub async fn moves_and_requests_do_not_deadlock<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let all = KEYS.map(|key| failed(key, 1, &failure()));
    t.park(&mail(), all.to_vec()).await?;
    let movers = start(5, |number| {
        let store = Arc::clone(t.store());
        async move {
            let lane = u16::try_from(number + 1).unwrap_or(1);
            let mut from = None;
            for round in 0..10_u64 {
                let mut keys = KEYS.to_vec();
                keys.rotate_left((number + usize::from(lane)) % KEYS.len());
                if number % 2 == 0 {
                    keys.reverse();
                }
                // Events of its own, put behind the first and then taken off, but for the last.
                let own = 1_000 * u64::from(lane) + round;
                let mut writes: Vec<_> = keys.iter().map(|key| behind(key, own)).collect();
                if round > 0 {
                    writes.extend(keys.iter().map(|key| taken_off(key, own - 1)));
                }
                let write = bare(lane, from, round + 1).parking(writes);
                if round % 3 == 2 {
                    // One that waits, alone, for whoever has the keys.
                    let mut commit = Commit::new();
                    commit.checkpoints.push(write);
                    commit.work.push(Box::new(|_| Box::pin(async { Ok(()) })));
                    store.commit(commit).await?;
                } else {
                    store.save_checkpoint(write).await?;
                }
                from = Some(round + 1);
            }
            Ok::<_, CommitError>(())
        }
    });
    let askers = start(2, |number| {
        let store = Arc::clone(t.store());
        async move {
            let request = [ParkingRequest::Retry, ParkingRequest::Skip][number];
            for round in 0..20 {
                if round % 2 == 0 {
                    let print = failure();
                    let found = store
                        .request_all(&mail(), print.fingerprint(), request)
                        .await?;
                    assert_eq!(found, 6);
                } else {
                    let key = KEYS[(round + number) % 6];
                    assert!(store.request(&mail(), key, request).await?);
                }
                tokio::task::yield_now().await;
            }
            Ok::<_, StoreError>(())
        }
    });
    succeed(movers).await?;
    succeed(askers).await?;
    for key in KEYS {
        let left: Vec<_> = (1..=5).map(|lane| lane * 1_000 + 9).collect();
        assert_eq!(t.parked(key).await?, [vec![1], left].concat(), "{key}");
        let parked = t.store().parked_key(&mail(), key).await?.ok_or("gone")?;
        assert_eq!(parked.events(), 6);
        assert!(parked.request().is_some());
    }
    assert_eq!(t.store().count_parked(&mail()).await?, 36);
    t.park(&mail(), KEYS.map(emptied).to_vec()).await?;
    assert_eq!(t.store().count_parked(&mail()).await?, 0);
    Ok(())
}
