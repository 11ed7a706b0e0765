//! What collections and keys may be called: the same in every store.

use uno_core::{CommitError, DocumentStore as _, DocumentWrite};

use crate::conformance::{
    DocumentCommit, DocumentHarness, DocumentTrial, Outcome,
    fixture::{HOSTILE, assert_refused, json},
};

/// Guarantee 2: hostile texts as collections and keys are nothing but texts.
pub async fn hostile_names_are_nothing_but_names<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
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
pub async fn names_of_every_length_are_kept<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
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
/// refused, and the refusal names it.
pub async fn names_that_cannot_be_kept_are_refused<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
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
    }
    Ok(())
}

/// `load_documents`, `scan_documents`: names that nothing can have are names of nothing.
pub async fn names_that_nothing_can_have_find_nothing<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
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

async fn refused<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
    field: &str,
    bad: impl FnOnce(&mut DocumentCommit) + Send,
) -> Outcome {
    let mut commit = DocumentCommit::new();
    commit
        .documents
        .push(DocumentWrite::put("beside", "it", json("1")));
    bad(&mut commit);
    match H::commit(t.store(), commit).await {
        Err(CommitError::Append(error)) => assert_refused::<()>(Err(error), field),
        other => panic!("expected {field} to be refused, and got {other:?}"),
    }
    assert_eq!(t.document("beside", "it").await?, None);
    Ok(())
}
