//! Moving checkpoints, alone and within a commit.

use std::sync::Arc;

use tokio::sync::Barrier;
use uno_core::{
    Checkpoint, CheckpointStore as _, CheckpointWrite, Commit, CommitError, DocumentWrite, EventId,
    EventStore as _, ExpectedVersion::Any, Lane, Position, Stale, StoreEpoch, StreamAppend,
    SubscriptionName, Transactional as _,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{event, events, json, stream, subscription},
    together::{drop_after, finish, start},
};

/// Guarantee 1: a checkpoint moves from where it is expected, first from nowhere.
pub async fn a_checkpoint_moves_from_where_it_is_expected<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let name = subscription("mail");
    let mut before = None;
    for number in [0, 1, 5, 6, 1 << 40] {
        let there = at(number);
        t.store()
            .save_checkpoint(CheckpointWrite::new(name.clone(), before, there))
            .await?;
        assert_eq!(
            t.store().load_checkpoint(&name, Lane::FIRST).await?,
            Some(there)
        );
        before = Some(there.position());
    }
    Ok(())
}

/// Guarantee 1: a checkpoint that is elsewhere does not move, and the error says whose it is.
pub async fn a_checkpoint_that_is_elsewhere_does_not_move<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let (name, there) = (subscription("mail"), at(5));
    t.store()
        .save_checkpoint(CheckpointWrite::new(name.clone(), None, there))
        .await?;
    for wrong in [
        None,
        Some(at(4).position()),
        Some(at(6).position()),
        Some(Position::START),
        Some(Position::MAX),
    ] {
        stale(
            t.store()
                .save_checkpoint(CheckpointWrite::new(name.clone(), wrong, at(9)))
                .await,
            &name,
        );
        assert_eq!(
            t.store().load_checkpoint(&name, Lane::FIRST).await?,
            Some(there),
            "expected at {wrong:?}"
        );
    }
    Ok(())
}

/// Guarantee 1: a checkpoint that does not exist is not anywhere, not even at the start.
pub async fn a_missing_checkpoint_is_nowhere<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let name = subscription("mail");
    t.store()
        .save_checkpoint(CheckpointWrite::new(subscription("other"), None, at(3)))
        .await?;
    for wrong in [Position::START, at(3).position(), Position::MAX] {
        stale(
            t.store()
                .save_checkpoint(CheckpointWrite::new(name.clone(), Some(wrong), at(9)))
                .await,
            &name,
        );
    }
    assert_eq!(t.store().load_checkpoint(&name, Lane::FIRST).await?, None);
    Ok(())
}

/// Guarantee 1: what is expected decides, not what comes after what: a rebuild goes back.
pub async fn a_checkpoint_may_go_back<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (name, start) = (subscription("mail"), Checkpoint::start(StoreEpoch::new()));
    t.store()
        .save_checkpoint(CheckpointWrite::new(name.clone(), None, at(7)))
        .await?;
    t.store()
        .save_checkpoint(CheckpointWrite::new(
            name.clone(),
            Some(at(7).position()),
            start,
        ))
        .await?;
    assert_eq!(
        t.store().load_checkpoint(&name, Lane::FIRST).await?,
        Some(start)
    );
    t.store()
        .save_checkpoint(CheckpointWrite::new(
            name.clone(),
            Some(Position::START),
            at(7),
        ))
        .await?;
    Ok(())
}

/// Guarantee 1: of many who move it at once, exactly one wins, and where it goes is where the winner put it.
pub async fn of_many_who_move_it_one_wins<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let name = subscription("mail");
    let mut before = None;
    for round in 0..8 {
        let barrier = Arc::new(Barrier::new(12));
        let tasks = start(12, |number| {
            let (store, barrier, name) =
                (Arc::clone(t.store()), Arc::clone(&barrier), name.clone());
            let there = at(round * 100 + number as u64 + 1);
            async move {
                barrier.wait().await;
                (
                    there,
                    store
                        .save_checkpoint(CheckpointWrite::new(name, before, there))
                        .await,
                )
            }
        });
        let mut won = Vec::new();
        for (there, result) in finish(tasks).await? {
            match result {
                Ok(()) => won.push(there),
                Err(error) => stale(Err(error), &name),
            }
        }
        let [winner] = won.as_slice() else {
            panic!("round {round} had {} winners", won.len())
        };
        assert_eq!(
            t.store().load_checkpoint(&name, Lane::FIRST).await?,
            Some(*winner)
        );
        before = Some(winner.position());
    }
    Ok(())
}

/// Guarantee 3: within a commit, the checkpoint moves with everything else.
pub async fn a_checkpoint_moves_with_its_commit<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (a, b) = (subscription("a"), subscription("b"));
    t.commit(|commit| {
        commit
            .checkpoints
            .push(CheckpointWrite::new(a.clone(), None, at(1)));
        commit
            .checkpoints
            .push(CheckpointWrite::new(b.clone(), None, at(2)));
        commit
            .documents
            .push(DocumentWrite::put("notes", "a", json("1")));
    })
    .await?;
    assert_eq!(
        t.store().load_checkpoint(&a, Lane::FIRST).await?,
        Some(at(1))
    );
    assert_eq!(
        t.store().load_checkpoint(&b, Lane::FIRST).await?,
        Some(at(2))
    );
    let result = t
        .commit(|commit| {
            commit.checkpoints.push(CheckpointWrite::new(
                a.clone(),
                Some(at(1).position()),
                at(5),
            ));
            commit.checkpoints.push(CheckpointWrite::new(
                b.clone(),
                Some(at(1).position()),
                at(5),
            ));
            commit
                .documents
                .push(DocumentWrite::put("notes", "a", json("2")));
        })
        .await;
    stale(result.map(drop), &b);
    assert_eq!(
        t.store().load_checkpoint(&a, Lane::FIRST).await?,
        Some(at(1)),
        "the other one stays too"
    );
    assert_eq!(t.document("notes", "a").await?, Some(json("1")));
    Ok(())
}

/// Guarantee 3: effects that are written with the checkpoint happen once, however many carry them out at once.
pub async fn effects_beside_a_checkpoint_happen_once<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let name = subscription("counter");
    let tasks = start(6, |_| {
        let (store, name) = (Arc::clone(t.store()), name.clone());
        async move {
            let mut won = 0_u32;
            loop {
                let before = store
                    .load_checkpoint(&name, Lane::FIRST)
                    .await?
                    .map(|checkpoint| checkpoint.position());
                let number = before.map_or(0, Position::get);
                if number == 40 {
                    return Ok::<_, uno_core::BoxError>(won);
                }
                let mut commit = Commit::new();
                commit
                    .checkpoints
                    .push(CheckpointWrite::new(name.clone(), before, at(number + 1)));
                commit
                    .appends
                    .push(StreamAppend::new(stream("effects"), Any, vec![event()]));
                match store.commit(commit).await {
                    Ok(_) => won += 1,
                    Err(CommitError::Stale(Stale::Checkpoint(_))) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    });
    let won: u32 = crate::conformance::together::succeed(tasks)
        .await?
        .into_iter()
        .sum();
    assert_eq!((won, t.stream(&stream("effects")).await?.len()), (40, 40));
    Ok(())
}

/// Guarantee 3: a checkpoint does not move when the events beside it could not be appended.
pub async fn a_checkpoint_stays_when_its_events_conflict<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let name = subscription("mail");
    t.append(&stream("a"), Any, &events(2)).await?;
    t.store()
        .save_checkpoint(CheckpointWrite::new(name.clone(), None, at(1)))
        .await?;
    let result = t
        .commit(|commit| {
            commit.checkpoints.push(CheckpointWrite::new(
                name.clone(),
                Some(at(1).position()),
                at(2),
            ));
            commit.appends.push(StreamAppend::new(
                stream("a"),
                uno_core::ExpectedVersion::NoStream,
                events(1),
            ));
        })
        .await;
    assert!(
        result.is_err_and(|error| error.is_conflict()),
        "the stream is there"
    );
    assert_eq!(
        t.store().load_checkpoint(&name, Lane::FIRST).await?,
        Some(at(1))
    );
    Ok(())
}

/// [`EventStore`](uno_core::EventStore) guarantee 10: a move that is dropped after any number of polls happens or does not.
pub async fn a_dropped_move_happens_or_does_not<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for polls in 0..32 {
        let name = subscription(&format!("{polls}"));
        let _done = drop_after(
            polls,
            t.store()
                .save_checkpoint(CheckpointWrite::new(name.clone(), None, at(1))),
        )
        .await;
        // Settles it, whether or not the first is under way still: one of the two has moved it to here.
        match t
            .store()
            .save_checkpoint(CheckpointWrite::new(name.clone(), None, at(1)))
            .await
        {
            Ok(()) => {}
            Err(error) => stale(Err(error), &name),
        }
        assert_eq!(
            t.store().load_checkpoint(&name, Lane::FIRST).await?,
            Some(at(1))
        );
        t.store()
            .save_checkpoint(CheckpointWrite::new(
                name.clone(),
                Some(at(1).position()),
                at(2),
            ))
            .await?;
        assert_eq!(
            t.store().load_checkpoint(&name, Lane::FIRST).await?,
            Some(at(2))
        );
    }
    assert_eq!(t.store().head().await?.last(), None);
    Ok(())
}

/// The same checkpoint for the same number.
fn at(number: u64) -> Checkpoint {
    let id = uuid::Uuid::from_u128(u128::from(number) << 64 | 7);
    let position = Position::new(number).unwrap_or(Position::MAX);
    Checkpoint::after(
        StoreEpoch::from_uuid(uuid::Uuid::from_u128(9)),
        position,
        EventId::from_uuid(id),
    )
}

#[track_caller]
fn stale(result: Result<(), CommitError>, name: &SubscriptionName) {
    match result {
        Err(CommitError::Stale(Stale::Checkpoint(found))) => assert_eq!(found, *name),
        other => panic!("expected the checkpoint of {name} to be stale, and got {other:?}"),
    }
}
