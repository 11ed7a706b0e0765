//! Parking goes with the move of a checkpoint, and with everything else in its commit.

use uno_core::{
    AppendError, CheckpointWrite, CommitError, DocumentWrite,
    ExpectedVersion::{Any, NoStream},
    LeaseOwner, ParkingStore as _, ParkingWrite, Refusal, Stale, StreamAppend,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{event, events, json, stream, subscription},
    subscribing::{
        at, bare, behind, claim, count, emptied, failed, failure, fence, mail, moved, not_parked,
        off_lease, taken_off,
    },
};

/// [`CheckpointStore`](uno_core::CheckpointStore) guarantee 6: what a move parks takes effect if the move does, alone and in a commit.
pub async fn parking_happens_if_the_move_does<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let first = vec![failed("a", 5, &failure()), behind("a", 6)];
    t.save(bare(0, None, 6).parking(first)).await?;
    assert_eq!(
        (t.lane(0).await?, t.parked("a").await?),
        (Some(at(6)), vec![5, 6])
    );
    let write = bare(0, Some(6), 7).parking(vec![behind("a", 7)]);
    let append = StreamAppend::new(stream("a"), Any, events(1));
    t.commit(|commit| {
        commit.checkpoints.push(write);
        commit.appends.push(append);
    })
    .await?;
    assert_eq!(t.parked("a").await?, [5, 6, 7]);
    // Also where the checkpoint stays where it is.
    let write = bare(0, Some(7), 7).parking(vec![taken_off("a", 5)]);
    t.save(write).await?;
    assert_eq!(
        (t.lane(0).await?, t.parked("a").await?),
        (Some(at(7)), vec![6, 7])
    );

    for writes in [
        vec![failed("b", 8, &failure())],
        vec![taken_off("a", 6)],
        vec![emptied("a")],
        vec![behind("a", 8)],
    ] {
        let stale = bare(0, Some(6), 8).parking(writes);
        let alone = t.save(stale.clone()).await;
        let within = t.commit(|commit| commit.checkpoints.push(stale)).await;
        for result in [alone, within.map(drop)] {
            assert!(
                matches!(result, Err(CommitError::Stale(Stale::Checkpoint(_)))),
                "{result:?}"
            );
        }
        assert_eq!(t.parked_keys().await?, ["a"]);
        assert_eq!(t.parked("a").await?, [6, 7]);
    }
    Ok(())
}

/// [`CheckpointStore`](uno_core::CheckpointStore) guarantees 5 and 6: whoever has lost the lane parks nothing and takes nothing off.
pub async fn parking_needs_the_fence<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (dead, ada) = (LeaseOwner::new("ada"), LeaseOwner::new("ada"));
    let first = t.claim(claim(&dead).wanting(count(2))).await?;
    let old = fence(&first, 1);
    let write = moved(1, old, None, 6).parking(vec![failed("a", 5, &failure()), behind("a", 6)]);
    t.save(write).await?;
    let second = t.claim(claim(&ada).taking_over()).await?;
    for writes in [
        vec![failed("b", 8, &failure())],
        vec![taken_off("a", 5)],
        vec![emptied("a")],
        vec![behind("a", 7)],
    ] {
        let stale = moved(1, old, Some(6), 8).parking(writes.clone());
        off_lease(t.save(stale.clone()).await, 1);
        let result = t.commit(|commit| commit.checkpoints.push(stale)).await;
        off_lease(result, 1);
        let unfenced = bare(1, Some(6), 8).parking(writes);
        off_lease(t.save(unfenced).await, 1);
        assert_eq!(t.parked_keys().await?, ["a"]);
        assert_eq!(t.parked("a").await?, [5, 6]);
    }
    let write = moved(1, fence(&second, 1), Some(6), 6).parking(vec![emptied("a")]);
    t.save(write).await?;
    assert_eq!(t.parked_keys().await?, [] as [&str; 0]);
    Ok(())
}

/// Guarantees 2, 3 and 4: when something is not parked as was thought, nothing of the commit happens, before it or behind it.
pub async fn what_is_not_parked_undoes_everything<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    t.park(&mail(), vec![failed("a", 5, &failure()), behind("a", 6)])
        .await?;
    let place = t.lane(0).await?;
    for wrong in [
        behind("b", 7),
        taken_off("a", 7),
        taken_off("b", 5),
        emptied("b"),
    ] {
        let key = wrong.key().to_owned();
        let writes = vec![
            failed("c", 8, &failure()),
            taken_off("a", 5),
            wrong,
            emptied("a"),
        ];
        let write = t.parking(&mail(), writes).await?;
        let other = CheckpointWrite::new(subscription("other"), None, at(3));
        not_parked(t.save(write.clone()).await, &key);
        for order in [false, true] {
            let result = t
                .commit(|commit| {
                    commit.checkpoints = vec![write.clone(), other.clone()];
                    if order {
                        commit.checkpoints.reverse();
                    }
                    let document = DocumentWrite::put("notes", "a", json("1"));
                    commit.documents.push(document);
                    commit.work.push(t.harness().put_row("a", "1"));
                    let append = StreamAppend::new(stream("a"), Any, events(1));
                    commit.appends.push(append);
                })
                .await;
            not_parked(result, &key);
        }
        assert_eq!(t.lane(0).await?, place, "the checkpoint stays");
        assert_eq!(t.parked_keys().await?, ["a"]);
        assert_eq!(t.parked("a").await?, [5, 6]);
    }
    assert_eq!(t.document("notes", "a").await?, None);
    assert_eq!((t.row("a").await?, t.log().await?.len()), (None, 0));
    let lanes = uno_core::CheckpointStore::list_checkpoints(&**t.store()).await?;
    assert_eq!(lanes.len(), 1);
    Ok(())
}

/// [`CheckpointStore`](uno_core::CheckpointStore) guarantees 3 and 6: when the commit fails for another reason, everything is parked as
/// it was.
pub async fn a_failed_commit_parks_nothing<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    t.append(&stream("a"), NoStream, &[event()]).await?;
    t.park(&mail(), vec![failed("a", 5, &failure()), behind("a", 6)])
        .await?;
    let before = t.store().list_parked(&mail(), None, 10).await?;
    let writes = vec![
        failed("b", 8, &failure()),
        taken_off("a", 5),
        behind("a", 7),
    ];
    let write = t.parking(&mail(), writes).await?;
    let result = t
        .commit(|commit| {
            commit.checkpoints.push(write);
            let append = StreamAppend::new(stream("a"), NoStream, events(1));
            commit.appends.push(append);
        })
        .await;
    assert!(result.is_err_and(|error| error.is_conflict()));
    assert_eq!(t.store().list_parked(&mail(), None, 10).await?, before);
    assert_eq!(t.parked("a").await?, [5, 6]);
    Ok(())
}

/// [`Transactional`](uno_core::Transactional): a commit whose events are stored already parks nothing again.
pub async fn a_repeated_commit_parks_nothing_again<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let events = events(1);
    let write = bare(0, None, 6).parking(vec![failed("a", 5, &failure()), behind("a", 6)]);
    let commit = |commit: &mut uno_core::Commit<_>| {
        commit.checkpoints.push(write.clone());
        let append = StreamAppend::new(stream("a"), NoStream, events.clone());
        commit.appends.push(append);
    };
    let receipt = t.commit(commit).await?;
    t.save(bare(0, Some(6), 7).parking(vec![emptied("a")]))
        .await?;
    assert_eq!(t.commit(commit).await?, receipt);
    assert_eq!(t.parked_keys().await?, [] as [&str; 0]);
    assert_eq!(t.lane(0).await?, Some(at(7)));
    Ok(())
}

/// [`Limits::check_checkpoint`](uno_core::Limits::check_checkpoint): a key that can't be kept is refused, alone and in a commit.
pub async fn keys_that_cannot_be_kept_are_refused<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for bad in ["", "a\0b", &"x".repeat(1_025)] {
        for write in [
            failed(bad, 1, &failure()),
            behind(bad, 1),
            taken_off(bad, 1),
            emptied(bad),
        ] {
            refused(t, write).await;
        }
    }
    assert_eq!(t.lane(0).await?, None);
    Ok(())
}

async fn refused<H: BackendHarness>(t: &Trial<H>, parking: ParkingWrite) {
    let write = bare(0, None, 1).parking(vec![failed("a", 1, &failure()), parking]);
    let alone = t.save(write.clone()).await;
    let within = t.commit(|commit| commit.checkpoints.push(write)).await;
    for result in [alone, within.map(drop)] {
        match result {
            Err(CommitError::Append(AppendError::Refused(refusal))) => {
                assert_eq!(Refusal::field(&refusal), "parking.key", "{refusal}");
            }
            other => panic!("expected the key to be refused, and got {other:?}"),
        }
    }
}
