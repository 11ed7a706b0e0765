//! Putting and removing documents within a commit.

use std::sync::Arc;

use uno_core::{CommitError, DocumentStore as _, DocumentWrite};

use crate::conformance::{
    DocumentCommit, DocumentHarness, DocumentTrial, Outcome,
    fixture::json,
    together::{start, succeed},
};

/// Guarantee 1: a document that is put is there, and one that is put again is replaced.
pub async fn a_document_is_put_and_replaced<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    assert_eq!(t.document("notes", "a").await?, None);
    for body in ["1", "[2]", "{\"three\":3}", "null", "1"] {
        t.commit(|commit| {
            commit
                .documents
                .push(DocumentWrite::put("notes", "a", json(body)));
        })
        .await?;
        assert_eq!(t.document("notes", "a").await?, Some(json(body)));
    }
    assert_eq!(t.store().scan_documents("notes", None, 10).await?.len(), 1);
    Ok(())
}

/// Guarantee 1: a document that is removed is gone, can be removed again, and can be put again.
pub async fn a_document_is_removed<H: DocumentHarness>(t: &DocumentTrial<'_, H>) -> Outcome {
    t.commit(|commit| {
        commit
            .documents
            .push(DocumentWrite::put("notes", "a", json("1")));
        commit
            .documents
            .push(DocumentWrite::put("notes", "b", json("2")));
    })
    .await?;
    for _ in 0..2 {
        t.commit(|commit| commit.documents.push(DocumentWrite::remove("notes", "a")))
            .await?;
        assert_eq!(
            (
                t.document("notes", "a").await?,
                t.document("notes", "b").await?
            ),
            (None, Some(json("2")))
        );
    }
    assert_eq!(t.store().scan_documents("notes", None, 10).await?.len(), 1);
    t.commit(|commit| {
        commit
            .documents
            .push(DocumentWrite::put("notes", "a", json("3")));
    })
    .await?;
    assert_eq!(t.document("notes", "a").await?, Some(json("3")));
    Ok(())
}

/// Guarantee 1: the writes of a commit take effect one after the other.
pub async fn writes_of_one_commit_take_effect_in_order<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    t.commit(|commit| {
        commit.documents = vec![
            DocumentWrite::put("notes", "twice", json("1")),
            DocumentWrite::put("notes", "gone", json("1")),
            DocumentWrite::remove("notes", "back"),
            DocumentWrite::put("notes", "twice", json("2")),
            DocumentWrite::remove("notes", "gone"),
            DocumentWrite::put("notes", "back", json("1")),
            DocumentWrite::put("notes", "thrice", json("1")),
            DocumentWrite::remove("notes", "thrice"),
            DocumentWrite::put("notes", "thrice", json("3")),
        ];
    })
    .await?;
    for (key, body) in [
        ("twice", Some("2")),
        ("gone", None),
        ("back", Some("1")),
        ("thrice", Some("3")),
    ] {
        assert_eq!(t.document("notes", key).await?, body.map(json), "{key}");
    }
    Ok(())
}

/// Guarantee 1: when the commit fails, neither what it would have put nor what it would have removed has changed.
pub async fn a_failed_commit_leaves_documents_as_they_were<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    t.commit(|commit| {
        commit
            .documents
            .push(DocumentWrite::put("notes", "a", json("1")));
    })
    .await?;
    t.commit(|commit| {
        commit
            .documents
            .push(DocumentWrite::put("notes", "b", json("1")));
    })
    .await?;
    let result = t
        .commit(|commit| {
            commit.documents = vec![
                DocumentWrite::put("notes", "a", json("2")),
                DocumentWrite::remove("notes", "b"),
                DocumentWrite::put("notes", "c", json("2")),
                DocumentWrite::keep("notes", "d", 5),
            ];
        })
        .await;
    assert!(
        result.is_err_and(|error| error.is_conflict()),
        "the last one does not exist"
    );
    for (key, body) in [("a", Some("1")), ("b", Some("1")), ("c", None)] {
        assert_eq!(t.document("notes", key).await?, body.map(json), "{key}");
    }
    Ok(())
}

/// Guarantee 2: a document comes back to the byte.
pub async fn a_document_comes_back_to_the_byte<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let bodies = [
        " { \"b\" : 1 ,\n\"a\": [ -0.0, 1E2, 18446744073709551615 ] } ",
        r#"{"a":1,"a":2}"#,
        "\"\\u0001 é e\u{301} \u{10ffff}\"",
        &format!("\"{}\"", "x".repeat(1 << 20)),
    ];
    for (number, body) in bodies.into_iter().enumerate() {
        let key = format!("{number}");
        t.commit(|commit| {
            commit
                .documents
                .push(DocumentWrite::put("notes", key.as_str(), json(body)));
        })
        .await?;
        let found = t.document("notes", &key).await?.ok_or("no document")?;
        assert!(found.as_str() == body, "document {number} has changed");
    }
    Ok(())
}

/// Guarantee 1: a thousand writes in one commit.
pub async fn a_thousand_writes_in_one_commit<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let keys: Vec<_> = (0..1000).map(|number| format!("{number:04}")).collect();
    t.commit(|commit| {
        commit.documents = keys
            .iter()
            .map(|key| DocumentWrite::put("notes", key.as_str(), json(&format!("{key:?}"))))
            .collect();
    })
    .await?;
    let found = t.store().scan_documents("notes", None, 2000).await?;
    assert!(
        found.iter().map(uno_core::Document::key).eq(keys.iter()),
        "every key, in order"
    );
    assert_eq!(t.store().load_documents("notes", &keys).await?.len(), 1000);
    t.commit(|commit| {
        commit.documents = keys
            .iter()
            .map(|key| DocumentWrite::remove("notes", key.as_str()))
            .collect();
    })
    .await?;
    assert_eq!(t.store().scan_documents("notes", None, 2000).await?, []);
    Ok(())
}

/// Guarantee 1: documents that many write at once are what one of them wrote.
pub async fn documents_that_many_write_are_what_one_wrote<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let tasks = start(8, |number| {
        let store = Arc::clone(t.store());
        async move {
            for round in 0..8 {
                let mut commit = DocumentCommit::new();
                let body = json(&format!("[{number},{round}]"));
                commit
                    .documents
                    .push(DocumentWrite::put("notes", "a", body.clone()));
                commit
                    .documents
                    .push(DocumentWrite::put("notes", "b", body));
                H::commit(&store, commit).await?;
                let both = store
                    .load_documents("notes", &["a".to_owned(), "b".to_owned()])
                    .await?;
                assert_eq!(both.len(), 2);
                assert_eq!(
                    both[0].body(),
                    both[1].body(),
                    "two documents of one commit, read in one go"
                );
            }
            Ok::<_, CommitError>(())
        }
    });
    succeed(tasks).await?;
    Ok(())
}
