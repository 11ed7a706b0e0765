//! The lanes of a subscription, each with a checkpoint of its own.

use uno_core::{
    CheckpointStore as _, CheckpointWrite, Commit, CommitError, DocumentWrite, Lane, LeaseOwner,
    Stale,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{json, subscription},
    subscribing::{at, bare, claim, count, fence, mail, moved, off_lease},
};

/// Guarantee 4: lanes move by themselves, whatever others of the subscription do.
pub async fn lanes_have_checkpoints_of_their_own<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let lanes = [0, 1, 2, 10, 255, 256, Lane::MOST - 1];
    for (lane, number) in lanes.into_iter().zip(1..) {
        assert_eq!(t.lane(lane).await?, None, "lane {lane}");
        t.save(bare(lane, None, number)).await?;
    }
    for (lane, number) in lanes.into_iter().zip(1..) {
        assert_eq!(t.lane(lane).await?, Some(at(number)), "lane {lane}");
    }
    match t.save(bare(2, Some(2), 9)).await {
        Err(CommitError::Stale(Stale::Checkpoint(name))) => assert_eq!(name, mail()),
        other => panic!("expected lane 2 to be stale, and got {other:?}"),
    }
    t.save(bare(2, Some(3), 9)).await?;
    for (lane, number) in [(0, 1), (1, 2), (2, 9), (10, 4)] {
        assert_eq!(t.lane(lane).await?, Some(at(number)), "lane {lane}");
    }
    let other = subscription("Mail");
    let load = t.store().load_checkpoint(&other, Lane::new(2)).await?;
    assert_eq!(load, None, "of another subscription");
    Ok(())
}

/// `list_checkpoints`: by name and then by the number of the lane; those that never saved are left out.
pub async fn checkpoints_are_listed_by_name_and_lane<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let written = [("b", 2), ("a", 10), ("b", 0), ("a", 9), ("a", 100)];
    for ((name, lane), number) in written.into_iter().zip(1..) {
        let write = CheckpointWrite::new(subscription(name), None, at(number));
        t.save(write.lane(Lane::new(lane))).await?;
    }
    let ada = LeaseOwner::new("ada");
    let grant = t.claim(claim(&ada).wanting(count(3))).await?;
    t.save(moved(1, fence(&grant, 1), None, 6)).await?;
    let listed = t.store().list_checkpoints().await?;
    let listed: Vec<_> = listed
        .iter()
        .map(|(name, lane, checkpoint)| (name.as_str(), lane.get(), *checkpoint))
        .collect();
    assert_eq!(
        listed,
        [
            ("a", 9, at(4)),
            ("a", 10, at(2)),
            ("a", 100, at(5)),
            ("b", 0, at(3)),
            ("b", 2, at(1)),
            ("mail", 1, at(6)),
        ]
    );
    Ok(())
}

/// Guarantees 3 and 4: a commit may move several lanes, and moves all of them or none.
pub async fn a_commit_moves_several_lanes<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let ada = LeaseOwner::new("ada");
    let grant = t.claim(claim(&ada).wanting(count(3))).await?;
    let fences: Vec<_> = (0..3).map(|lane| fence(&grant, lane)).collect();
    let all = |from, to: [u64; 3]| {
        let lanes = (0..3).zip(fences.clone()).zip(to);
        let writes = lanes.map(move |((lane, fence), to)| moved(lane, fence, from, to));
        move |commit: &mut Commit<_>| {
            commit.checkpoints = writes.collect();
            let document = DocumentWrite::put("notes", "a", json(&format!("{to:?}")));
            commit.documents.push(document);
        }
    };
    t.commit(all(None, [5, 5, 6])).await?;
    assert_eq!(t.places().await?, [5, 5, 6].map(|number| Some(at(number))));
    let result = t.commit(all(Some(5), [7, 7, 7])).await;
    assert!(
        matches!(result, Err(CommitError::Stale(Stale::Checkpoint(_)))),
        "{result:?}"
    );
    assert_eq!(t.places().await?, [5, 5, 6].map(|number| Some(at(number))));
    assert_eq!(t.document("notes", "a").await?, Some(json("[5, 5, 6]")));
    Ok(())
}

/// Guarantee 5: a subscription that was claimed has the lanes that it has: no other can be written to.
pub async fn a_lane_that_is_not_there_is_not_written_to<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let ada = LeaseOwner::new("ada");
    let grant = t.claim(claim(&ada).wanting(count(2))).await?;
    for lane in [2, 3, Lane::MOST - 1] {
        off_lease(t.save(bare(lane, None, 9)).await, lane);
        off_lease(t.save(moved(lane, fence(&grant, 0), None, 9)).await, lane);
        assert_eq!(t.lane(lane).await?, None);
    }
    let again = t.claim(claim(&ada)).await?;
    assert_eq!((again.lanes().get(), again.drain_to()), (2, None));
    assert_eq!(t.store().list_checkpoints().await?, []);
    Ok(())
}
