//! Loading documents by key, and going through them in order.

use uno_core::{BoxError, DocumentStore as _, DocumentWrite};

use crate::conformance::{DocumentHarness, DocumentTrial, Outcome, fixture::json};

/// Guarantee 2: the documents that exist, each once, whatever is asked for and how often.
pub async fn documents_that_exist_are_loaded_once_each<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    put(t, "notes", &["a", "b", "c"]).await?;
    for (asked, found) in [
        (vec!["c", "a"], vec!["a", "c"]),
        (vec!["a", "missing", "a", "a"], vec!["a"]),
        (vec!["missing"], vec![]),
        (vec![], vec![]),
        (vec!["A", "a ", ""], vec![]),
    ] {
        let asked: Vec<_> = asked.into_iter().map(str::to_owned).collect();
        let mut keys: Vec<_> = t
            .store()
            .load_documents("notes", &asked)
            .await?
            .iter()
            .map(|document| document.key().to_owned())
            .collect();
        keys.sort_unstable();
        assert_eq!(keys, found, "of {asked:?}");
    }
    Ok(())
}

/// [`DocumentWrite`]: collections are apart, and one that nobody wrote to is empty.
pub async fn collections_are_apart<H: DocumentHarness>(t: &DocumentTrial<'_, H>) -> Outcome {
    put(t, "notes", &["a", "b"]).await?;
    put(t, "Notes", &["a"]).await?;
    t.commit(|commit| {
        commit
            .documents
            .push(DocumentWrite::put("notes", "a", json("0")));
    })
    .await?;
    assert_eq!(t.document("Notes", "a").await?, Some(json("1")));
    t.commit(|commit| commit.documents.push(DocumentWrite::remove("Notes", "a")))
        .await?;
    assert_eq!(scanned(t, "notes", None, 10).await?, ["a", "b"]);
    assert_eq!(scanned(t, "Notes", None, 10).await?, [] as [&str; 0]);
    assert_eq!(scanned(t, "nothing", None, 10).await?, [] as [&str; 0]);
    assert_eq!(t.document("nothing", "a").await?, None);
    Ok(())
}

/// Guarantee 3: in ascending order of the bytes of their keys, and not as any language would sort them.
pub async fn a_scan_goes_by_the_bytes_of_the_keys<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let mut keys = vec![
        "b",
        "a",
        "Z",
        "z",
        "10",
        "9",
        "é",
        "e\u{301}",
        "e",
        "_",
        "-",
        " ",
        "a b",
        "ab",
        "a-b",
        "ß",
        "ss",
        "中",
        "\u{10ffff}",
        "\u{ffff}",
        "~",
        "\u{1}",
        "A",
        "aa",
        "a\u{1}",
    ];
    put(t, "notes", &keys).await?;
    keys.sort_unstable_by_key(|key| key.as_bytes());
    assert_eq!(scanned(t, "notes", None, 100).await?, keys);
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(
            scanned(t, "notes", Some(key), 100).await?,
            &keys[at + 1..],
            "after {key:?}"
        );
    }
    Ok(())
}

/// `scan_documents`: what comes after a key that need not exist, and not that one itself.
pub async fn a_scan_begins_after_a_key<H: DocumentHarness>(t: &DocumentTrial<'_, H>) -> Outcome {
    put(t, "notes", &["b", "d", "f"]).await?;
    let cases: [(&str, &[&str]); 6] = [
        ("", &["b", "d", "f"]),
        ("a", &["b", "d", "f"]),
        ("b", &["d", "f"]),
        ("c", &["d", "f"]),
        ("f", &[]),
        ("z", &[]),
    ];
    for (after, found) in cases {
        assert_eq!(
            scanned(t, "notes", Some(after), 10).await?,
            found,
            "after {after:?}"
        );
    }
    Ok(())
}

/// `scan_documents`: at most so many; none, and as many as there can be.
pub async fn a_scan_has_a_limit<H: DocumentHarness>(t: &DocumentTrial<'_, H>) -> Outcome {
    put(t, "notes", &["a", "b", "c"]).await?;
    for (limit, found) in [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (usize::MAX, 3)] {
        assert_eq!(
            scanned(t, "notes", None, limit).await?.len(),
            found,
            "at most {limit}"
        );
    }
    assert_eq!(scanned(t, "notes", Some("a"), 1).await?, ["b"]);
    Ok(())
}

/// Guarantee 3: pages make up the collection.
pub async fn pages_make_up_a_collection<H: DocumentHarness>(t: &DocumentTrial<'_, H>) -> Outcome {
    let keys: Vec<_> = (0..50)
        .map(|number| format!("{}", number * 37 % 101))
        .collect();
    put(
        t,
        "notes",
        &keys.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await?;
    let all = scanned(t, "notes", None, 100).await?;
    assert_eq!(all.len(), 50);
    for limit in [1, 7, 49, 50] {
        let (mut found, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
        loop {
            let page = scanned(t, "notes", after.as_deref(), limit).await?;
            let Some(last) = page.last() else { break };
            assert!(
                after.as_ref() < Some(last),
                "a page after {after:?} ends at {last}"
            );
            after = Some(last.clone());
            found.extend(page);
        }
        assert_eq!(found, all, "pages of {limit}");
    }
    Ok(())
}

async fn put<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
    collection: &str,
    keys: &[&str],
) -> Result<(), BoxError> {
    t.commit(|commit| {
        commit.documents = keys
            .iter()
            .map(|key| DocumentWrite::put(collection, *key, json("1")))
            .collect();
    })
    .await?;
    Ok(())
}

async fn scanned<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
    collection: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, BoxError> {
    let found = t.store().scan_documents(collection, after, limit).await?;
    Ok(found
        .into_iter()
        .map(|document| document.key().to_owned())
        .collect())
}
