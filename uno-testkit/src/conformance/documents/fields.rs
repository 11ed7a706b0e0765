//! Finding documents by their fields.
//!
//! Long because all that a field can promise has its case here, and the cases share what they write and how they look.

use std::sync::Arc;

use tokio::task::yield_now;
use uno_core::{
    BoxError, CommitError, Direction, DocumentStore as _, DocumentWrite, FieldRange, FieldValue,
    FindDocuments, FoundDocument,
};

use crate::conformance::{
    DocumentCommit, DocumentHarness, DocumentTrial, Outcome,
    fixture::{HOSTILE, assert_refused, json},
    together::{start, succeed},
};

/// Guarantee 7: the documents with a value in the range, with their content; its start belongs to it, its end does not.
pub async fn documents_are_found_by_a_range_of_values<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    put_all(t, &[("a", 3), ("b", -1), ("c", 7), ("d", 5)]).await?;
    let cases: [(FieldRange, &[&str]); 7] = [
        (FieldRange::all(), &["b", "a", "d", "c"]),
        (FieldRange::of(&(3..7)), &["a", "d"]),
        (FieldRange::of(&(3..=7)), &["a", "d", "c"]),
        (FieldRange::of::<i64>(&(..3)), &["b"]),
        (FieldRange::equal(&5), &["d"]),
        (FieldRange::equal(&4), &[]),
        // Begins behind its end.
        (FieldRange::of(&(7..)).and(FieldRange::of(&(..3))), &[]),
    ];
    for (range, keys) in cases {
        assert_eq!(
            keys_of(&find(t, by_number().within(range.clone())).await?),
            keys,
            "in {range:?}"
        );
    }
    let found = find(t, by_number().within(FieldRange::equal(&5))).await?;
    assert_eq!(found[0].document().body(), &json("5"));
    assert_eq!(found[0].value(), &FieldValue::of(&5));
    let loaded = t.store().load_documents("notes", &["d".to_owned()]).await?;
    assert_eq!(found[0].document(), &loaded[0]);
    Ok(())
}

/// Guarantee 7: by the bytes of the value, however long, and of one value by the bytes of the key; or the other way round.
pub async fn documents_are_found_in_the_order_of_their_values<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let long = "x".repeat(500);
    let longer = format!("{long}x");
    let texts = [
        "",
        "\0",
        "\u{1}",
        "10",
        "9",
        "A",
        "Z",
        "a",
        "a\0b",
        "ab",
        "b",
        "é",
        &long,
        &longer,
        "\u{10ffff}",
    ];
    let mut writes = Vec::new();
    let mut wanted = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        // The keys are in another order than the values, and each value has several of them.
        for key in [format!("{}a", 99 - number), format!("{}B", 99 - number)] {
            writes.push(
                DocumentWrite::put("notes", &*key, json("1"))
                    .with_field("text", FieldValue::of(*text)),
            );
            wanted.push((FieldValue::of(*text), key));
        }
    }
    wanted.sort();
    t.commit(|commit| commit.documents = writes).await?;
    let by_text = FindDocuments::new("notes", "text");
    assert_eq!(places_of(&find(t, by_text.clone()).await?), wanted);
    wanted.reverse();
    assert_eq!(places_of(&find(t, by_text.backward()).await?), wanted);
    Ok(())
}

/// `find_documents`: at most so many, from where the direction begins.
pub async fn a_find_has_a_limit<H: DocumentHarness>(t: &DocumentTrial<'_, H>) -> Outcome {
    put_all(t, &[("a", 1), ("b", 2), ("c", 3)]).await?;
    for (limit, count) in [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (usize::MAX, 3)] {
        let found = find(t, by_number().limit(limit)).await?;
        assert_eq!(keys_of(&found), ["a", "b", "c"][..count], "{limit}");
        let found = find(t, by_number().backward().limit(limit)).await?;
        assert_eq!(keys_of(&found), ["c", "b", "a"][..count], "{limit}");
    }
    Ok(())
}

/// Guarantee 7: pages, each after the place of the last document of the one before, make up the whole; also among documents of one
/// value, and if the last one is gone.
pub async fn pages_make_up_what_is_found<H: DocumentHarness>(t: &DocumentTrial<'_, H>) -> Outcome {
    let keys: Vec<_> = (0..40)
        .map(|number| format!("{:02}", number * 17 % 40))
        .collect();
    let numbered: Vec<_> = keys
        .iter()
        .map(String::as_str)
        .zip((0..40).map(|number| number / 9))
        .collect();
    put_all(t, &numbered).await?;
    let within = FieldRange::of(&(1..4));
    for direction in [Direction::Forward, Direction::Backward] {
        let mut all = by_number().within(within.clone());
        if direction == Direction::Backward {
            all = all.backward();
        }
        let whole = find(t, all.clone()).await?;
        assert_eq!(whole.len(), 27, "{direction:?}");
        for limit in [1, 2, 5, 26, 27] {
            let (mut pages, mut next) = (Vec::new(), all.clone().limit(limit));
            loop {
                let page = find(t, next).await?;
                let Some(last) = page.last() else { break };
                next = all
                    .clone()
                    .limit(limit)
                    .after(last.value().clone(), last.document().key());
                pages.extend(page);
                assert!(
                    pages.len() <= whole.len(),
                    "pages of {limit} come to an end"
                );
            }
            assert_eq!(pages, whole, "pages of {limit}, {direction:?}");
        }
    }
    // A place need not be that of a document, nor within the range, nor one that a document could have.
    let after = |value: i64, key: &str| by_number().after(FieldValue::of(&value), key);
    assert_eq!(find(t, after(0, "")).await?.len(), 40);
    assert_eq!(find(t, after(0, "zz\0")).await?.len(), 31);
    assert_eq!(find(t, after(9, "a")).await?, []);
    assert_eq!(find(t, after(9, "a").backward()).await?.len(), 40);
    assert_eq!(
        find(t, after(0, "z").within(within.clone())).await?.len(),
        27
    );
    assert_eq!(
        find(t, after(9, "z").within(within).backward())
            .await?
            .len(),
        27
    );
    put_all(t, &[("a", 50), ("b", 50)]).await?;
    assert_eq!(keys_of(&find(t, after(50, "a\0")).await?), ["b"]);
    let before = after(50, "a\0").within(FieldRange::equal(&50)).backward();
    assert_eq!(keys_of(&find(t, before).await?), ["a"]);
    Ok(())
}

/// `find_documents`: fields are apart, and so are collections; a document without the field is not found by it.
pub async fn fields_and_collections_are_apart<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    put_all(t, &[("a", 1)]).await?;
    let one = FieldValue::of(&1);
    t.commit(|commit| {
        commit.documents = vec![
            DocumentWrite::put("notes", "b", json("1")).with_field("Number", one.clone()),
            DocumentWrite::put("notes", "c", json("1")).with_field("other", one.clone()),
            DocumentWrite::put("notes", "d", json("1")),
            DocumentWrite::put("Notes", "e", json("1")).with_field("number", one.clone()),
            DocumentWrite::put("notes", "f", json("1"))
                .with_field("number", FieldValue::of(&2))
                .with_field("other", one.clone()),
        ];
    })
    .await?;
    for (collection, field, keys) in [
        ("notes", "number", &["a", "f"][..]),
        ("notes", "Number", &["b"]),
        ("notes", "other", &["c", "f"]),
        ("Notes", "number", &["e"]),
        ("Notes", "other", &[]),
        ("notes", "nothing", &[]),
        ("nothing", "number", &[]),
    ] {
        let found = find(t, FindDocuments::new(collection, field)).await?;
        assert_eq!(keys_of(&found), keys, "{field} of {collection}");
    }
    Ok(())
}

/// Guarantee 6: a document has the fields of its last put and no other ones, whatever was before, also within one commit.
pub async fn a_document_has_the_fields_of_its_last_put<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let put = |key: &str, field: &str, number: i64| {
        DocumentWrite::put("notes", key, json(&number.to_string()))
            .with_field(field, FieldValue::of(&number))
    };
    let fields = async || -> Result<_, BoxError> {
        let number = find(t, by_number()).await?;
        let other = find(t, FindDocuments::new("notes", "other")).await?;
        Ok((places_of(&number), places_of(&other)))
    };
    let at = |number: i64, key: &str| vec![(FieldValue::of(&number), key.to_owned())];
    let write = async |writes: Vec<DocumentWrite>| {
        t.commit(|commit| commit.documents = writes).await.map(drop)
    };
    write(vec![
        put("a", "number", 1).with_field("other", FieldValue::of(&9)),
    ])
    .await?;
    assert_eq!(fields().await?, (at(1, "a"), at(9, "a")));
    write(vec![put("a", "number", 2)]).await?;
    assert_eq!(
        fields().await?,
        (at(2, "a"), vec![]),
        "another value, and a field less"
    );
    write(vec![put("a", "other", 3)]).await?;
    assert_eq!(fields().await?, (vec![], at(3, "a")), "another field");
    let revision = t.store().load_documents("notes", &["a".to_owned()]).await?[0].revision();
    write(vec![DocumentWrite::keep("notes", "a", revision)]).await?;
    assert_eq!(fields().await?, (vec![], at(3, "a")), "kept as it is");
    write(vec![DocumentWrite::put("notes", "a", json("4"))]).await?;
    assert_eq!(fields().await?, (vec![], vec![]), "no field");
    write(vec![put("a", "number", 5)]).await?;
    write(vec![DocumentWrite::remove("notes", "a")]).await?;
    assert_eq!(fields().await?, (vec![], vec![]), "removed");
    write(vec![put("a", "other", 6).expecting(0)]).await?;
    assert_eq!(fields().await?, (vec![], at(6, "a")), "put again");
    write(vec![
        put("a", "number", 7),
        DocumentWrite::remove("notes", "a"),
        put("a", "number", 8),
        put("b", "number", 8),
        DocumentWrite::remove("notes", "b"),
    ])
    .await?;
    assert_eq!(
        fields().await?,
        (at(8, "a"), vec![]),
        "the last write of a commit"
    );
    Ok(())
}

/// Guarantee 6: when the commit fails, fields are as they were.
pub async fn a_failed_commit_leaves_fields_as_they_were<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    put_all(t, &[("a", 1), ("b", 2)]).await?;
    let before = find(t, by_number()).await?;
    let result = t
        .commit(|commit| {
            commit.documents = vec![
                numbered("a", 5),
                DocumentWrite::remove("notes", "b"),
                numbered("c", 6),
                // It does not exist.
                DocumentWrite::keep("notes", "d", 5),
            ];
        })
        .await;
    assert!(result.is_err_and(|error| error.is_conflict()));
    assert_eq!(find(t, by_number()).await?, before);
    Ok(())
}

/// [`Limits::check_commit`](uno_core::Limits::check_commit): a field whose name can't be kept, or whose value is too long, or that does
/// not come with a put, is refused; the longest ones there can be are kept.
pub async fn fields_that_cannot_be_kept_are_refused<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let value = |bytes| FieldValue::from_stored(vec![7; bytes]);
    let put = || DocumentWrite::put("notes", "a", json("1"));
    for (write, field) in [
        (put().with_field("", value(1)), "document.fields"),
        (put().with_field("a\0b", value(1)), "document.fields"),
        (
            put().with_field("x".repeat(513), value(1)),
            "document.fields",
        ),
        (put().with_field("n", value(513)), "document.fields.n"),
        (
            DocumentWrite::remove("notes", "a").with_field("n", value(1)),
            "document.fields",
        ),
        (
            DocumentWrite::keep("notes", "a", 0).with_field("n", value(1)),
            "document.fields",
        ),
    ] {
        match t.commit(|commit| commit.documents.push(write)).await {
            Err(CommitError::Append(error)) => assert_refused::<()>(Err(error), field),
            other => panic!("expected {field} to be refused, and got {other:?}"),
        }
    }
    // Bytes that do not shrink when a store compresses them.
    let mut state = 1_u32;
    let mut noise = |count| -> String {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'!' + (state >> 16) as u8 % 90)
        };
        (0..count).map(|_| next()).collect()
    };
    let (collection, key, field) = (noise(512), noise(512), noise(512));
    let longest = FieldValue::from_stored(noise(512).into_bytes());
    let write =
        DocumentWrite::put(&*collection, &*key, json("1")).with_field(&*field, longest.clone());
    t.commit(|commit| commit.documents.push(write)).await?;
    let found = find(t, FindDocuments::new(&*collection, &*field)).await?;
    assert_eq!(places_of(&found), [(longest, key)]);
    Ok(())
}

/// `find_documents`: names and values are nothing but names and values.
pub async fn hostile_fields_are_nothing_but_fields<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let mut all = DocumentWrite::put("notes", "all", json("1"));
    for text in HOSTILE {
        all = all.with_field(text, FieldValue::of(text));
    }
    t.commit(|commit| commit.documents.push(all)).await?;
    for text in HOSTILE {
        let by = FindDocuments::new("notes", text);
        let found = find(t, by.clone().within(FieldRange::equal(text))).await?;
        assert_eq!(keys_of(&found), ["all"], "{text:?}");
        let after = by.clone().after(FieldValue::of(""), text);
        assert_eq!(keys_of(&find(t, after).await?), ["all"], "{text:?}");
        let other = by.within(FieldRange::equal("another"));
        assert_eq!(find(t, other).await?, [], "{text:?}");
    }
    Ok(())
}

/// Guarantee 6: a thousand documents in one commit, put, put again with other values, and removed.
pub async fn a_thousand_documents_have_fields<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let keys: Vec<_> = (0..1000).map(|number| format!("{number:04}")).collect();
    for turn in [0, 7] {
        let numbers = (0..1000).map(|number| (number + turn) % 1000);
        let writes = keys
            .iter()
            .zip(numbers)
            .map(|(key, number)| numbered(key, number));
        t.commit(|commit| commit.documents = writes.collect())
            .await?;
        let found = find(t, by_number().limit(2000)).await?;
        let wanted = (0..1000).map(|place| keys[((place + 1000 - turn) % 1000) as usize].as_str());
        assert!(keys_of(&found).into_iter().eq(wanted), "in turn {turn}");
    }
    t.commit(|commit| {
        commit.documents = keys
            .iter()
            .map(|key| DocumentWrite::remove("notes", key.as_str()))
            .collect();
    })
    .await?;
    assert_eq!(find(t, by_number()).await?, []);
    Ok(())
}

/// Guarantees 6 and 7: what is found while many write has the content of its value, once, and there is no time at which it is not there.
pub async fn what_is_found_is_of_one_put<H: DocumentHarness>(t: &DocumentTrial<'_, H>) -> Outcome {
    put_all(t, &[("a", 0), ("b", 0)]).await?;
    let tasks = start(5, |number| {
        let store = Arc::clone(t.store());
        async move {
            for round in 0..12_i64 {
                if number == 0 {
                    let found = store.find_documents(by_number()).await?;
                    let mut keys = keys_of(&found);
                    keys.sort_unstable();
                    assert_eq!(keys, ["a", "b"], "each document once: {found:?}");
                    assert!(found.iter().all(is_whole), "{found:?}");
                    yield_now().await;
                } else {
                    let value = (number as i64) * 100 + round;
                    let mut commit = DocumentCommit::new();
                    // The order differs, and so does whether there is another field.
                    commit.documents = vec![numbered("a", value), numbered("b", -value)];
                    if round % 2 == 0 {
                        commit.documents.reverse();
                    }
                    H::commit(&store, commit).await?;
                }
            }
            Ok::<_, CommitError>(())
        }
    });
    succeed(tasks).await?;
    let found = find(t, by_number()).await?;
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(is_whole), "{found:?}");
    Ok(())
}

/// Guarantee 6: of a document that many put, remove and put anew, the fields are those of whoever did last, or there are none.
pub async fn fields_that_many_write_are_those_of_the_last<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    for round in 0..8_i64 {
        let tasks = start(6, |number| {
            let store = Arc::clone(t.store());
            let mut commit = DocumentCommit::new();
            let value = round * 10 + number as i64;
            commit.documents.push(match number {
                0 | 3 => numbered("a", value),
                // A field of its own: what is left of it is found.
                1 | 4 => DocumentWrite::put("notes", "a", json(&value.to_string()))
                    .with_field(format!("field {number}"), FieldValue::of(&value)),
                2 => DocumentWrite::put("notes", "a", json("null")),
                _ => DocumentWrite::remove("notes", "a"),
            });
            async move { H::commit(&store, commit).await }
        });
        succeed(tasks).await?;
        let body = t.document("notes", "a").await?;
        let mut fields = 0;
        for field in ["number", "field 1", "field 4"] {
            for found in find(t, FindDocuments::new("notes", field)).await? {
                assert!(is_whole(&found), "in round {round}: {found:?}");
                fields += 1;
            }
        }
        let wanted = usize::from(body.is_some_and(|body| body.as_str() != "null"));
        assert_eq!(fields, wanted, "in round {round}");
    }
    Ok(())
}

/// Whether a document has the content that its value says.
fn is_whole(found: &FoundDocument) -> bool {
    let body: Result<i64, _> = found.document().body().as_str().parse();
    body.is_ok_and(|number| FieldValue::of(&number) == *found.value())
}

fn by_number() -> FindDocuments {
    FindDocuments::new("notes", "number")
}

/// A put of a number, with a field that is this number.
fn numbered(key: &str, number: i64) -> DocumentWrite {
    DocumentWrite::put("notes", key, json(&number.to_string()))
        .with_field("number", FieldValue::of(&number))
}

async fn put_all<H: DocumentHarness>(t: &DocumentTrial<'_, H>, numbers: &[(&str, i64)]) -> Outcome {
    let put = |(key, number): &(&str, i64)| numbered(key, *number);
    let writes = numbers.iter().map(put).collect();
    t.commit(|commit| commit.documents = writes).await?;
    Ok(())
}

async fn find<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
    find: FindDocuments,
) -> Result<Vec<FoundDocument>, BoxError> {
    Ok(t.store().find_documents(find).await?)
}

fn keys_of(found: &[FoundDocument]) -> Vec<&str> {
    found.iter().map(|found| found.document().key()).collect()
}

fn places_of(found: &[FoundDocument]) -> Vec<(FieldValue, String)> {
    let place = |found: &FoundDocument| (found.value().clone(), found.document().key().to_owned());
    found.iter().map(place).collect()
}
