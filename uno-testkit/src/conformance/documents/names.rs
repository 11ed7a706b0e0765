//! What collections and keys may be called, and what everything else in a commit may: the same in every store.

use uno_core::{
    Acknowledgement, Commit, CommitError, DocumentStore as _, DocumentWrite, Metadata, NewMessage,
    ProcessStatus, ProcessWrite, Transactional as _,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial, TxOf,
    fixture::{HOSTILE, assert_refused, json, new_uuid},
};

/// Guarantee 2: hostile texts as collections and keys are nothing but texts.
pub async fn hostile_names_are_nothing_but_names<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for (number, name) in HOSTILE.into_iter().enumerate() {
        let body = json(&format!("{number}"));
        t.commit(|commit| {
            commit
                .documents
                .push(DocumentWrite::put(name, "key", body.clone()));
            commit
                .documents
                .push(DocumentWrite::put("hostile", name, body.clone()));
        })
        .await?;
        assert_eq!(
            t.document(name, "key").await?,
            Some(body.clone()),
            "{name:?}"
        );
        assert_eq!(t.document("hostile", name).await?, Some(body), "{name:?}");
    }
    let mut keys = HOSTILE.map(str::to_owned);
    keys.sort_unstable();
    let found = t.store().scan_documents("hostile", None, 100).await?;
    assert!(
        found.iter().map(uno_core::Document::key).eq(keys.iter()),
        "every one of them, once"
    );
    t.commit(|commit| {
        commit.documents = keys
            .iter()
            .map(|key| DocumentWrite::remove("hostile", key.as_str()))
            .collect();
    })
    .await?;
    assert_eq!(t.store().scan_documents("hostile", None, 100).await?, []);
    Ok(())
}

/// [`Limits::check_commit`](uno_core::Limits::check_commit): names of 1 to 512 bytes.
pub async fn names_of_every_length_are_kept<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    // Letters that no compression makes small, as an index could do with repeated ones.
    let mut random = fastrand::Rng::with_seed(3);
    let long: String = std::iter::repeat_with(|| random.alphanumeric())
        .take(512)
        .collect();
    for name in ["x", "é", &long, &"é".repeat(256)] {
        t.commit(|commit| {
            commit
                .documents
                .push(DocumentWrite::put(name, name, json("1")));
        })
        .await?;
        assert_eq!(t.document(name, name).await?, Some(json("1")));
        assert_eq!(t.store().scan_documents(name, None, 2).await?.len(), 1);
    }
    Ok(())
}

/// [`Limits::check_commit`](uno_core::Limits::check_commit): an empty name, one that is too long, and one with a NUL character are
/// refused in every place, and the refusal names it.
pub async fn names_that_cannot_be_kept_are_refused<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for bad in ["", "a\0b", &"x".repeat(513)] {
        refused(t, "document.collection", |commit| {
            commit
                .documents
                .push(DocumentWrite::put(bad, "a", json("1")));
        })
        .await?;
        refused(t, "document.key", |commit| {
            commit
                .documents
                .push(DocumentWrite::put("a", bad, json("1")));
        })
        .await?;
        refused(t, "document.key", |commit| {
            commit.documents.push(DocumentWrite::remove("a", bad));
        })
        .await?;
        let process =
            |process, key| ProcessWrite::new(process, key, 0, ProcessStatus::Running, json("1"));
        refused(t, "process.process", |commit| {
            commit.processes.push(process(bad, "a"));
        })
        .await?;
        refused(t, "process.key", |commit| {
            commit.processes.push(process("a", bad));
        })
        .await?;
        let message = |queue, key, name| {
            NewMessage::new(queue, new_uuid(), key, name, json("1"), Metadata::new())
        };
        refused(t, "message.queue", |commit| {
            commit.messages.push(message(bad, "a", "a"));
        })
        .await?;
        refused(t, "message.key", |commit| {
            commit.messages.push(message("a", bad, "a"));
        })
        .await?;
        refused(t, "message.name", |commit| {
            commit.messages.push(message("a", "a", bad));
        })
        .await?;
        let acknowledgement = Acknowledgement::new(bad, new_uuid());
        refused(t, "acknowledgement.queue", |commit| {
            commit.acknowledgements.push(acknowledgement);
        })
        .await?;
    }
    let metadata = Metadata::new().with_actor("\0");
    let message = NewMessage::new("a", new_uuid(), "a", "a", json("1"), metadata);
    refused(t, "metadata.actor", |commit| commit.messages.push(message)).await
}

/// `load_documents`, `scan_documents`: names that nothing can have are names of nothing.
pub async fn names_that_nothing_can_have_find_nothing<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    t.commit(|commit| {
        commit
            .documents
            .push(DocumentWrite::put("notes", "a", json("1")));
    })
    .await?;
    for bad in ["", &"x".repeat(513)] {
        assert_eq!(
            (t.document(bad, "a").await?, t.document("notes", bad).await?),
            (None, None)
        );
        assert_eq!(t.store().scan_documents(bad, None, 10).await?, []);
    }
    let after = "x".repeat(513);
    assert_eq!(
        t.store().scan_documents("notes", Some(&after), 10).await?,
        []
    );
    Ok(())
}

async fn refused<H: BackendHarness>(
    t: &Trial<H>,
    field: &str,
    bad: impl FnOnce(&mut Commit<TxOf<H>>) + Send,
) -> Outcome {
    let mut commit = Commit::new();
    commit
        .documents
        .push(DocumentWrite::put("beside", "it", json("1")));
    bad(&mut commit);
    match t.store().commit(commit).await {
        Err(CommitError::Append(error)) => assert_refused::<()>(Err(error), field),
        other => panic!("expected {field} to be refused, and got {other:?}"),
    }
    assert_eq!(t.document("beside", "it").await?, None);
    Ok(())
}
