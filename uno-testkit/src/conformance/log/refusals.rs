//! What could not be read back equal is refused, and the refusal names the field.

use uno_core::{EventStore as _, ExpectedVersion::Any, Metadata, NewEvent};

use crate::conformance::{
    Harness, Outcome, Trial,
    fixture::{assert_refused, event, named, stream},
};

/// Guarantee 8: a payload that is one byte too large.
pub async fn a_payload_that_is_too_large_is_refused<H: Harness>(t: &Trial<H>) -> Outcome {
    let large = named("noted", &format!("\"{}\"", "x".repeat((1 << 20) - 1)));
    assert_eq!(large.payload().len(), (1 << 20) + 1);
    refused(t, &large, "payload").await
}

/// Guarantee 8: a NUL character in any text beside the payload.
pub async fn a_nul_character_is_refused<H: Harness>(t: &Trial<H>) -> Outcome {
    let with = |metadata| event().with_metadata(metadata);
    refused(
        t,
        &with(Metadata::new().with_actor("a\0b")),
        "metadata.actor",
    )
    .await?;
    refused(
        t,
        &with(Metadata::new().with_tenant("\0")),
        "metadata.tenant",
    )
    .await?;
    refused(
        t,
        &with(Metadata::new().with_header("key", "a\0")),
        "metadata.headers.key",
    )
    .await?;
    refused(
        t,
        &with(Metadata::new().with_header("\0key", "a")),
        "metadata.headers",
    )
    .await?;
    refused(t, &event().with_tags(["a", "b\0"]), "tags").await
}

/// Guarantee 8: a text beside the payload that is one byte too long.
pub async fn a_text_that_is_too_long_is_refused<H: Harness>(t: &Trial<H>) -> Outcome {
    let long = "x".repeat(8193);
    let with = |metadata| event().with_metadata(metadata);
    refused(
        t,
        &with(Metadata::new().with_actor(long.as_str())),
        "metadata.actor",
    )
    .await?;
    refused(
        t,
        &with(Metadata::new().with_tenant(long.as_str())),
        "metadata.tenant",
    )
    .await?;
    refused(
        t,
        &with(Metadata::new().with_header("key", long.as_str())),
        "metadata.headers.key",
    )
    .await?;
    refused(
        t,
        &with(Metadata::new().with_header(long.as_str(), "a")),
        "metadata.headers",
    )
    .await?;
    refused(t, &event().with_tags([long]), "tags").await
}

/// Guarantee 8: a moment that not every store can keep.
pub async fn a_time_out_of_range_is_refused<H: Harness>(t: &Trial<H>) -> Outcome {
    for time in [
        "0000-12-31T23:59:59.999999Z",
        "+10000-01-01T00:00:00Z",
        "2016-12-31T23:59:60.5Z",
    ] {
        refused(t, &event().with_occurred_at(time.parse()?), "occurred_at").await?;
    }
    refused(
        t,
        &event().with_occurred_at(chrono::DateTime::<chrono::Utc>::MAX_UTC),
        "occurred_at",
    )
    .await?;
    refused(
        t,
        &event().with_occurred_at(chrono::DateTime::<chrono::Utc>::MIN_UTC),
        "occurred_at",
    )
    .await
}

/// Guarantees 1 and 8: a refused event takes everything with it that was to be appended beside it.
pub async fn a_refusal_stores_nothing_of_the_append<H: Harness>(t: &Trial<H>) -> Outcome {
    let (a, b) = (stream("a"), stream("b"));
    let bad = event().with_tags(["\0"]);
    assert_refused(
        t.append(&a, Any, &[event(), bad.clone(), event()]).await,
        "tags",
    );
    assert_refused(
        t.append_all(&[(&a, Any, &[event()]), (&b, Any, &[bad])])
            .await,
        "tags",
    );
    assert_eq!(t.log().await?, []);
    assert_eq!(t.store().head().await?.last(), None);
    t.append(&a, Any, &[event()]).await?;
    assert_eq!(t.stream(&a).await?.len(), 1);
    Ok(())
}

async fn refused<H: Harness>(t: &Trial<H>, event: &NewEvent, field: &str) -> Outcome {
    let notes = stream("refused");
    assert_refused(
        t.append(&notes, Any, std::slice::from_ref(event)).await,
        field,
    );
    assert_eq!(t.stream(&notes).await?, []);
    Ok(())
}
