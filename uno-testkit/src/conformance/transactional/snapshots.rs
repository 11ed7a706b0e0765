//! Snapshots: the newest of a stream, as it was given.

use uno_core::{
    EventId, ExpectedVersion::NoStream, Snapshot, StreamAppend, StreamId, Transactional as _,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{HOSTILE, assert_refused, events, json, stream, version},
};

/// `load_snapshot`: none, when there is none, though the stream may exist.
pub async fn a_stream_without_a_snapshot_has_none<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    assert_eq!(t.store().load_snapshot(&stream("a")).await?, None);
    t.append(&stream("a"), NoStream, &events(2)).await?;
    save(t, taken(&stream("b"), 1, "s", "[]")).await?;
    assert_eq!(t.store().load_snapshot(&stream("a")).await?, None);
    Ok(())
}

/// Guarantee 1: a snapshot comes back equal, saved with its events.
pub async fn a_snapshot_comes_back_equal<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (notes, new) = (stream("a"), events(2));
    let snapshot = Snapshot::new(
        notes.clone(),
        version(2),
        new[1].id(),
        "order/3",
        json(r#"{ "b":1, "a":[-0.0] }"#),
    );
    t.commit(|commit| {
        commit
            .appends
            .push(StreamAppend::new(notes.clone(), NoStream, new.clone()));
        commit.snapshots.push(snapshot.clone());
    })
    .await?;
    let found = t
        .store()
        .load_snapshot(&notes)
        .await?
        .ok_or("no snapshot")?;
    assert!(found.is_intact(), "the checksum fits");
    assert_eq!(found, snapshot);
    assert_eq!(found.body().as_str(), snapshot.body().as_str());
    Ok(())
}

/// [`Commit::snapshots`](uno_core::Commit::snapshots): a newer one replaces an older one.
pub async fn a_newer_snapshot_replaces_an_older_one<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    for number in [1, 2, 10, 100] {
        let snapshot = taken(&notes, number, "s", &format!("[{number}]"));
        save(t, snapshot.clone()).await?;
        assert_eq!(t.store().load_snapshot(&notes).await?, Some(snapshot));
    }
    Ok(())
}

/// [`Commit::snapshots`](uno_core::Commit::snapshots): an older one does not replace a newer one, however late it comes.
pub async fn an_older_snapshot_does_not_replace_a_newer_one<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let notes = stream("a");
    let newest = taken(&notes, 10, "s", "[10]");
    save(t, newest.clone()).await?;
    save(t, taken(&notes, 9, "s", "[9]")).await?;
    assert_eq!(t.store().load_snapshot(&notes).await?, Some(newest));
    let newest = taken(&notes, 20, "s", "[20]");
    t.commit(|commit| {
        commit.snapshots = vec![
            taken(&notes, 11, "s", "[]"),
            newest.clone(),
            taken(&notes, 12, "s", "[]"),
        ];
    })
    .await?;
    assert_eq!(
        t.store().load_snapshot(&notes).await?,
        Some(newest),
        "of several in one commit, the newest"
    );
    Ok(())
}

/// [`Commit::snapshots`](uno_core::Commit::snapshots): at the same version, the later one stays: code of another shape took it anew.
pub async fn a_snapshot_of_the_same_version_is_replaced<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let notes = stream("a");
    save(t, taken(&notes, 5, "old shape", "[1]")).await?;
    let anew = taken(&notes, 5, "new shape", "[2]");
    save(t, anew.clone()).await?;
    assert_eq!(t.store().load_snapshot(&notes).await?, Some(anew));
    Ok(())
}

/// [`Snapshot`]: a store keeps the checksum that it is given, right or wrong, and checks nothing.
pub async fn a_snapshot_keeps_its_checksum<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for (number, checksum) in [(1, 0), (2, 1), (3, u64::MAX), (4, 1 << 63)] {
        let notes = stream("a");
        let snapshot = Snapshot::from_stored(
            notes.clone(),
            version(number),
            EventId::new(),
            "s".into(),
            checksum,
            json("[]"),
        );
        save(t, snapshot.clone()).await?;
        let found = t
            .store()
            .load_snapshot(&notes)
            .await?
            .ok_or("no snapshot")?;
        assert_eq!((found.checksum(), found.is_intact()), (checksum, false));
        assert_eq!(found, snapshot);
    }
    Ok(())
}

/// [`Snapshot::shape`]: any text, but for a NUL character.
pub async fn the_shape_of_a_snapshot_is_any_text<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    for shape in HOSTILE.into_iter().chain(["", "é", "e\u{301}"]) {
        let snapshot = taken(&notes, 1, shape, "[]");
        save(t, snapshot.clone()).await?;
        assert_eq!(
            t.store().load_snapshot(&notes).await?,
            Some(snapshot),
            "{shape:?}"
        );
    }
    let result = t
        .commit(|commit| commit.snapshots.push(taken(&notes, 2, "a\0", "[]")))
        .await;
    match result {
        Err(uno_core::CommitError::Append(error)) => {
            assert_refused::<()>(Err(error), "snapshot.shape");
        }
        other => panic!("expected a refusal, and got {other:?}"),
    }
    Ok(())
}

fn taken(notes: &StreamId, number: u64, shape: &str, body: &str) -> Snapshot {
    Snapshot::new(
        notes.clone(),
        version(number),
        EventId::new(),
        shape,
        json(body),
    )
}

async fn save<H: BackendHarness>(t: &Trial<H>, snapshot: Snapshot) -> Outcome {
    t.commit(|commit| commit.snapshots.push(snapshot)).await?;
    Ok(())
}
