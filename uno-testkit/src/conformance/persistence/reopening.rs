//! Opening a store again, as another process would, or the same one after a restart.

use std::time::Duration;

use uno_core::{
    Acknowledgement, Checkpoint, CheckpointStore as _, CheckpointWrite, CommitError,
    DocumentStore as _, Due, EventStore as _,
    ExpectedVersion::{Any, NoStream},
    InboxStore as _, InboxWrite, Lane, LaneAttempt, LeaseOwner, LeaseStore as _, Metadata,
    NewTimer, ParkingRequest, ParkingStore as _, Position, ProcessStatus, ProcessStore as _,
    ProcessWrite, ReadLog, ReadStream, Stale, TimerStore as _, TimerWrite, Transactional as _,
};

use crate::conformance::{
    Outcome, PersistentHarness, Trial,
    fixture::{assert_conflict, event, events, exact, ids, json, new_uuid, stream, subscription},
    subscribing::{
        behind, claim, count, emptied, failed, failure, fence, held, leaving, mail, moved, position,
    },
};

/// [`EventStore`](uno_core::EventStore) guarantees 8 and 12: events are there, equal, and it is the same life of the store.
pub async fn events_survive_reopening<H: PersistentHarness>(t: &Trial<H>) -> Outcome {
    t.append(&stream("a"), Any, &events(5)).await?;
    t.append(&stream("b"), Any, &events(2)).await?;
    let (log, head) = (t.log().await?, t.store().head().await?);
    let again = t.reopen().await?;
    assert_eq!(again.head().await?, head);
    assert_eq!(
        again
            .read_log(ReadLog::after(Position::START))
            .await?
            .events(),
        log
    );
    assert_eq!(
        again.read_stream(ReadStream::forward(stream("a"))).await?,
        log[..5]
    );
    again.migrate().await?;
    assert_eq!(
        again.head().await?,
        head,
        "and migrating does not begin another"
    );
    Ok(())
}

/// [`EventStore`](uno_core::EventStore) guarantees 3 and 4: versions and positions go on where they were.
pub async fn versions_and_positions_go_on_after_reopening<H: PersistentHarness>(
    t: &Trial<H>,
) -> Outcome {
    let notes = stream("a");
    let first = t.append(&notes, Any, &events(3)).await?;
    let again = t.reopen().await?;
    let append = |expected| {
        vec![uno_core::StreamAppend::new(
            notes.clone(),
            expected,
            vec![event()],
        )]
    };
    assert_conflict(again.append(append(NoStream)).await, &notes, NoStream, 3);
    let second = again.append(append(exact(3))).await?;
    assert!(second.position() > first.position(), "positions rise");
    assert!(
        t.append(&notes, exact(3), &[event()])
            .await
            .is_err_and(|error| error.is_conflict()),
        "the first handle sees it"
    );
    assert_eq!(t.stream(&notes).await?.len(), 4);
    Ok(())
}

/// [`EventStore`](uno_core::EventStore) guarantee 5: an append is known to be a repeat.
pub async fn a_repeat_is_known_after_reopening<H: PersistentHarness>(t: &Trial<H>) -> Outcome {
    let (notes, new) = (stream("a"), events(3));
    let receipt = t.append(&notes, NoStream, &new).await?;
    let again = t.reopen().await?;
    let append = uno_core::StreamAppend::new(notes.clone(), NoStream, new.clone());
    assert_eq!(again.append(vec![append]).await?, receipt);
    assert_eq!(
        ids(&again.read_stream(ReadStream::forward(notes)).await?),
        new.iter().map(uno_core::NewEvent::id).collect::<Vec<_>>()
    );
    Ok(())
}

/// [`CheckpointStore`](uno_core::CheckpointStore) guarantee 2: a checkpoint is loaded back equal.
pub async fn checkpoints_survive_reopening<H: PersistentHarness>(t: &Trial<H>) -> Outcome {
    t.append(&stream("a"), Any, &events(2)).await?;
    let head = t.store().head().await?;
    let (position, id) = head.last().ok_or("no event")?;
    let checkpoint = Checkpoint::after(head.epoch(), position, id);
    t.store()
        .save_checkpoint(CheckpointWrite::new(subscription("a"), None, checkpoint))
        .await?;
    let again = t.reopen().await?;
    assert_eq!(
        again
            .load_checkpoint(&subscription("a"), Lane::FIRST)
            .await?,
        Some(checkpoint)
    );
    assert!(
        again
            .save_checkpoint(CheckpointWrite::new(subscription("a"), None, checkpoint))
            .await
            .is_err(),
        "it is there"
    );
    Ok(())
}

/// [`Transactional`](uno_core::Transactional) guarantee 1: documents, snapshots and the caller's own rows are there.
pub async fn read_models_survive_reopening<H: PersistentHarness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    let snapshot = uno_core::Snapshot::new(
        notes.clone(),
        crate::conformance::fixture::version(1),
        event().id(),
        "s",
        json("[1]"),
    );
    t.commit(|commit| {
        let document = uno_core::DocumentWrite::put("notes", "a", json("[1]"));
        let value = uno_core::FieldValue::of("blue");
        commit.documents.push(document.with_field("colour", value));
        commit.snapshots.push(snapshot.clone());
        commit.work.push(t.harness().put_row("a", "1"));
    })
    .await?;
    let again = t.reopen().await?;
    assert_eq!(again.scan_documents("notes", None, 10).await?.len(), 1);
    let blue =
        uno_core::FindDocuments::new("notes", "colour").within(uno_core::FieldRange::equal("blue"));
    assert_eq!(again.find_documents(blue).await?.len(), 1);
    assert_eq!(again.load_snapshot(&notes).await?, Some(snapshot));
    assert_eq!(
        t.harness().row(&again, t.guard(), "a").await?.as_deref(),
        Some("1")
    );
    Ok(())
}

/// [`ProcessStore`](uno_core::ProcessStore) guarantees 1 and 2: instances and waiting messages are there, and numbers go on where they were.
pub async fn processes_and_queues_survive_reopening<H: PersistentHarness>(t: &Trial<H>) -> Outcome {
    let message = |id| uno_core::NewMessage::new("mail", id, "k", "n", json("{}"), Metadata::new());
    let (first, second) = (new_uuid(), new_uuid());
    t.commit(|commit| {
        commit.processes.push(ProcessWrite::new(
            "order",
            "a",
            0,
            ProcessStatus::Compensating,
            json("[1]"),
        ));
        commit.messages.push(message(first));
    })
    .await?;
    let before = t.store().read_queue("mail", 0, 10).await?;
    t.commit(|commit| {
        commit
            .acknowledgements
            .push(Acknowledgement::new("mail", first));
    })
    .await?;
    let again = t.reopen().await?;
    assert_eq!(again.queue_depth("mail").await?, (0, None));
    let mut commit = uno_core::Commit::new();
    commit.processes.push(ProcessWrite::new(
        "order",
        "a",
        1,
        ProcessStatus::Compensated,
        json("[2]"),
    ));
    commit.messages.push(message(second));
    again.commit(commit).await?;
    assert_eq!(
        t.store().load_processes("order", &["a".to_owned()]).await?[0].revision(),
        2
    );
    let after = t.store().read_queue("mail", before[0].number(), 10).await?;
    assert_eq!(
        after.len(),
        1,
        "the new message comes behind the old one, which is gone"
    );
    Ok(())
}

/// [`TimerStore`](uno_core::TimerStore) guarantee 1, [`InboxStore`](uno_core::InboxStore) guarantee 2 and
/// [`ProcessStore`](uno_core::ProcessStore) guarantee 5: timers, what was handled, and histories are there.
pub async fn timers_histories_and_inboxes_survive_reopening<H: PersistentHarness>(
    t: &Trial<H>,
) -> Outcome {
    let (due, later, handled) = (new_uuid(), new_uuid(), new_uuid());
    let timer = |id, due| NewTimer::new("order", "a", id, due, json("[1]"), Metadata::new());
    t.commit(|commit| {
        commit.timers = vec![
            TimerWrite::Set(timer(due, Due::After(Duration::ZERO))),
            TimerWrite::Set(timer(later, Due::After(Duration::from_secs(3600)))),
        ];
        let write = ProcessWrite::new("order", "a", 0, ProcessStatus::Parked, json("{}"));
        commit
            .processes
            .push(write.with_history(1, vec![json("[1]")]));
        commit
            .inbox
            .push(InboxWrite::new("mailer", handled, json("[1]")));
    })
    .await?;
    let (store, again) = (t.store(), t.reopen().await?);
    let listed = again.list_timers("order", "a").await?;
    assert_eq!(listed, store.list_timers("order", "a").await?);
    assert_eq!(listed.len(), 2);
    assert_eq!(again.due_timers("order", 10).await?.timers(), &listed[..1]);
    let history = again.read_history("order", "a", 0, 10).await?;
    assert_eq!(history, store.read_history("order", "a", 0, 10).await?);
    assert_eq!(history.len(), 1);
    let found = again.load_inbox("mailer", &[handled]).await?;
    assert_eq!(found, store.load_inbox("mailer", &[handled]).await?);
    assert_eq!(found.len(), 1);
    let fire = || {
        let (process, id) = ("order".to_owned(), due);
        let mut commit = uno_core::Commit::new();
        commit.timers.push(TimerWrite::Fire { process, id });
        commit
    };
    again.commit(fire()).await?;
    let twice = store.commit(fire()).await;
    assert!(
        matches!(twice, Err(CommitError::Stale(Stale::Timer { .. }))),
        "the first handle sees that it was fired: {twice:?}"
    );
    assert_eq!(store.list_timers("order", "a").await?, listed[1..]);
    Ok(())
}

/// [`LeaseStore`](uno_core::LeaseStore) guarantees 1, 2 and 9, [`ParkingStore`](uno_core::ParkingStore) guarantees 1 and 6: leases, attempts,
/// parked keys and requests are there, for the owner and for everybody else.
pub async fn leases_and_parked_keys_survive_reopening<H: PersistentHarness>(
    t: &Trial<H>,
) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let grant = t.claim(claim(&ada).wanting(count(2))).await?;
    let own = fence(&grant, 1);
    let parking = vec![failed("a", 5, &failure()), behind("a", 6)];
    t.save(moved(1, own, None, 6).parking(parking)).await?;
    let attempt = LaneAttempt::new(mail(), Lane::new(1), own, position(7), 2);
    t.store().note_attempt(attempt).await?;
    t.store()
        .request(&mail(), "a", ParkingRequest::Skip)
        .await?;
    let key = t.store().parked_key(&mail(), "a").await?;

    let again = t.reopen().await?;
    let other = again.claim_lanes(claim(&bob)).await?;
    assert_eq!(held(&other), [] as [u16; 0], "they are held");
    let kept = again.claim_lanes(claim(&ada)).await?;
    assert_eq!((held(&kept), fence(&kept, 1)), (vec![0, 1], own));
    assert_eq!(kept.held()[1].attempt(), Some((position(7), 2)));
    assert!(key.is_some());
    assert_eq!(again.parked_key(&mail(), "a").await?, key);
    assert_eq!(again.list_requests(&mail(), 9).await?.len(), 1);
    let write = moved(1, own, Some(6), 7).parking(vec![emptied("a")]);
    again.save_checkpoint(write).await?;
    // The first handle sees it.
    assert_eq!(t.store().count_parked(&mail()).await?, 0);
    t.release(leaving(&ada)).await?;
    let taken = again.claim_lanes(claim(&bob)).await?;
    assert_eq!(held(&taken), [0, 1]);
    assert!(fence(&taken, 1) > own, "fences go on where they were");
    Ok(())
}

/// Guarantee 2 of [`EventStore`](uno_core::EventStore): two handles at once are one store: of two who append at a version, one wins.
pub async fn two_handles_are_one_store<H: PersistentHarness>(t: &Trial<H>) -> Outcome {
    let (notes, again) = (stream("a"), t.reopen().await?);
    for round in 0..10 {
        let append = || {
            vec![uno_core::StreamAppend::new(
                notes.clone(),
                exact(round),
                vec![event()],
            )]
        };
        let (one, two) = tokio::join!(t.store().append(append()), again.append(append()));
        let won = [&one, &two]
            .into_iter()
            .filter(|result| result.is_ok())
            .count();
        assert_eq!(won, 1, "round {round}: {one:?} and {two:?}");
        assert!(
            one.err()
                .or(two.err())
                .is_some_and(|error| error.is_conflict()),
            "the other conflicts"
        );
    }
    assert_eq!(again.head().await?, t.store().head().await?);
    assert_eq!(t.stream(&notes).await?.len(), 10);
    Ok(())
}
