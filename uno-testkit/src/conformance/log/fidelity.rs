//! What was accepted is read back equal: to the byte and the microsecond.

use chrono::{DateTime, Utc};
use uno_core::{
    BoxError, CorrelationId, EventId, EventStore as _, ExpectedVersion::Any, Metadata, NewEvent,
    Position, ReadLog, RecordedEvent, SchemaVersion,
};
use uuid::Uuid;

use crate::conformance::{
    Harness, Outcome, Trial,
    fixture::{HOSTILE, event, events, ids, json, named, stream, stream_in},
};

/// Guarantee 8: the text of a payload, with its spaces, the order of its keys, keys that occur twice, and numbers as they are written.
pub async fn a_payload_comes_back_to_the_byte<H: Harness>(t: &Trial<H>) -> Outcome {
    let texts = [
        "null",
        "true",
        "\"\"",
        "[]",
        " { \"b\" : 1 ,\t\"a\":\n[ ] } ",
        r#"{"a":1,"a":2,"b":{"b":null,"b":[]}}"#,
        r#"[1E2,1e+2,100,1.0,1.10,-0,-0.0,0.1e-7]"#,
        r#"["\u00e9","é","\/","/","\ud83d\ude00","😀"]"#,
    ];
    let new: Vec<_> = texts.iter().map(|text| named("noted", text)).collect();
    same(t, &new).await
}

/// Guarantee 8: numbers at the edges of what JSON readers agree on.
pub async fn numbers_come_back_exactly<H: Harness>(t: &Trial<H>) -> Outcome {
    let mut texts = vec![
        u64::MAX.to_string(),
        i64::MIN.to_string(),
        i64::MAX.to_string(),
        String::from("9007199254740993"),
        String::from("[1e308,-1e308,5e-324,2.2250738585072014e-308,1.7976931348623157e308]"),
        String::from("[-0.0,0.0,-0]"),
        String::from("0.1000000000000000055511151231257827"),
    ];
    let mut random = fastrand::Rng::with_seed(42);
    for _ in 0..20 {
        let floats: Vec<String> = std::iter::repeat_with(|| f64::from_bits(random.u64(..)))
            .filter(|float| float.is_finite())
            .take(100)
            .map(|float| format!("{float:e}"))
            .collect();
        texts.push(format!("[{}]", floats.join(",")));
    }
    let new: Vec<_> = texts.iter().map(|text| named("noted", text)).collect();
    same(t, &new).await
}

/// Guarantee 8: letters of every kind, composed and decomposed, right to left, beyond the first plane, and escaped control characters.
pub async fn texts_of_every_script_come_back_unchanged<H: Harness>(t: &Trial<H>) -> Outcome {
    let texts = [
        "é",
        "e\u{301}",
        "שלום",
        "\u{202e}abc\u{202c}",
        "👩‍👩‍👧",
        "ß ẞ ﬁ Å Å",
        "\u{feff}x",
        "中文 ไทย हिन्दी",
        "\u{10ffff}",
        "\u{fffd}\u{ffff}",
    ];
    let mut new: Vec<_> = texts
        .iter()
        .map(|text| named("noted", &format!("\"{text}\"")))
        .collect();
    new.extend((1..32).map(|code| named("noted", &format!("\"a\\u{code:04x}b\""))));
    same(t, &new).await
}

/// Guarantee 8: as deep as a payload may nest, in lists and in objects.
pub async fn deep_payloads_come_back<H: Harness>(t: &Trial<H>) -> Outcome {
    let mut new = Vec::new();
    for depth in [1, 63, 64] {
        new.push(named(
            "noted",
            &format!("{}{}", "[".repeat(depth), "]".repeat(depth)),
        ));
        new.push(named(
            "noted",
            &format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth)),
        ));
    }
    same(t, &new).await
}

/// Guarantee 8: a payload as large as may be, and one byte less.
pub async fn a_payload_of_the_largest_size_comes_back<H: Harness>(t: &Trial<H>) -> Outcome {
    let sized = |bytes: usize| named("noted", &format!("\"{}\"", "x".repeat(bytes - 2)));
    same(t, &[sized((1 << 20) - 1), sized(1 << 20), event()]).await
}

/// Guarantee 8: moments before 1970, at its beginning, with microseconds, and at both ends of what is allowed.
pub async fn times_come_back_to_the_microsecond<H: Harness>(t: &Trial<H>) -> Outcome {
    let times = [
        "2026-02-03T04:05:06.000001Z",
        "2026-02-03T04:05:06.999999Z",
        "1970-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1883-11-18T12:03:58.5Z",
        "0001-01-01T00:00:00Z",
        "1582-10-10T00:00:00Z",
        "2262-04-11T23:47:16.854776Z",
        "9999-12-31T23:59:59.999999Z",
    ];
    let times: Vec<DateTime<Utc>> = times
        .iter()
        .map(|time| time.parse())
        .collect::<Result<_, _>>()?;
    let new: Vec<_> = times
        .into_iter()
        .map(|time| event().with_occurred_at(time))
        .collect();
    same(t, &new).await
}

/// Guarantee 8: all fields of the metadata at once.
pub async fn metadata_comes_back_whole<H: Harness>(t: &Trial<H>) -> Outcome {
    let full = Metadata::new()
        .with_correlation_id(CorrelationId::new())
        .with_causation_id(*EventId::new().as_uuid())
        .with_causing_event(EventId::new())
        .with_actor("ada")
        .with_tenant("north")
        .with_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?)
        .with_header("Content-Type", "x; y=\"z\"")
        .with_header("a", "")
        .with_header("", "b");
    same(t, &[event().with_metadata(full), event()]).await
}

/// Guarantee 8: each field of the metadata alone, so that none stands in for another.
pub async fn each_field_of_the_metadata_comes_back<H: Harness>(t: &Trial<H>) -> Outcome {
    let metadata = [
        Metadata::new(),
        Metadata::new().with_correlation_id(CorrelationId::from_uuid(Uuid::max())),
        Metadata::new().with_correlation_id(CorrelationId::from_uuid(Uuid::nil())),
        Metadata::new().with_causation_id(Uuid::nil()),
        Metadata::new().with_causing_event(EventId::from_uuid(Uuid::nil())),
        Metadata::new().with_actor("ada"),
        Metadata::new().with_tenant("north"),
        Metadata::new()
            .with_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse()?),
        Metadata::new().with_header("key", "value"),
    ];
    let new: Vec<_> = metadata
        .into_iter()
        .map(|metadata| event().with_metadata(metadata))
        .collect();
    same(t, &new).await
}

/// Guarantee 8: an empty actor or tenant is not the same as none.
pub async fn an_empty_actor_is_not_no_actor<H: Harness>(t: &Trial<H>) -> Outcome {
    let empty = event().with_metadata(Metadata::new().with_actor(""));
    let tenant = event().with_metadata(Metadata::new().with_tenant(""));
    same(t, &[empty, tenant, event()]).await
}

/// Guarantee 8: texts of the largest size beside the payload, which an index may not keep.
pub async fn long_texts_beside_the_payload_come_back<H: Harness>(t: &Trial<H>) -> Outcome {
    // Letters that no compression makes small, as an index could do with repeated ones.
    let mut random = fastrand::Rng::with_seed(7);
    let mut long = || -> String {
        std::iter::repeat_with(|| random.alphanumeric())
            .take(8192)
            .collect()
    };
    let metadata = Metadata::new()
        .with_actor(long())
        .with_tenant(long())
        .with_header("long", long())
        .with_header(long(), "long");
    same(
        t,
        &[event().with_metadata(metadata).with_tags([long(), long()])],
    )
    .await
}

/// Guarantee 8: tags in their order, also when one occurs twice or is empty.
pub async fn tags_come_back_in_their_order<H: Harness>(t: &Trial<H>) -> Outcome {
    let new = [
        event().with_tags(["b", "a", "b", ""]),
        event().with_tags(HOSTILE),
        event().with_tags([",", "a,b", "{}", "[\"x\"]", "NULL"]),
        event(),
    ];
    same(t, &new).await
}

/// Guarantee 8: hostile texts in every place that takes a text come back as they were, and do nothing.
pub async fn hostile_texts_are_nothing_but_texts<H: Harness>(t: &Trial<H>) -> Outcome {
    let mut new = Vec::new();
    for text in HOSTILE {
        let mut metadata = Metadata::new()
            .with_actor(text)
            .with_tenant(text)
            .with_header(text, text);
        metadata = metadata.with_header("plain", text);
        let quoted = text.chars().fold(String::new(), |quoted, c| {
            if c.is_control() || c == '"' || c == '\\' {
                format!("{quoted}\\u{:04x}", u32::from(c))
            } else {
                quoted + &c.to_string()
            }
        });
        new.push(
            named("noted", &format!("{{\"{quoted}\":\"{quoted}\"}}"))
                .with_metadata(metadata)
                .with_tags([text]),
        );
    }
    same(t, &new).await?;
    for text in HOSTILE
        .into_iter()
        .filter(|text| !text.chars().any(char::is_control))
    {
        let notes = stream(text);
        t.append(&notes, Any, &events(2)).await?;
        let found = t.stream(&notes).await?;
        assert_eq!((found.len(), found[0].stream()), (2, &notes));
    }
    Ok(())
}

/// Guarantee 8: keys of streams from 1 to 512 bytes, categories and names of up to 128.
pub async fn names_of_every_length_come_back<H: Harness>(t: &Trial<H>) -> Outcome {
    for key in [
        "x".to_owned(),
        "é".to_owned(),
        "x".repeat(511),
        "x".repeat(512),
        "é".repeat(256),
        "-".repeat(512),
        " ".repeat(9),
    ] {
        let notes = stream(&key);
        t.append(&notes, Any, &events(2)).await?;
        assert_eq!(t.stream(&notes).await?[1].stream(), &notes);
    }
    let category: &'static str = concat!(
        "abcdefghijklmnopqrstuvwxyz_0123456789.abcdefghijklmnopqrstuvwxyz",
        "abcdefghijklmnopqrstuvwxyz_0123456789.abcdefghijklmnopqrstuvwxyz"
    );
    let notes = stream_in(category, &"k".repeat(512));
    let long = named(&"n".repeat(128), "{}");
    t.append(&notes, Any, std::slice::from_ref(&long)).await?;
    assert_eq!(ids(&t.stream(&notes).await?), [long.id()]);
    assert_eq!(t.stream(&notes).await?[0].name(), long.name());
    Ok(())
}

/// Guarantee 8: the version of the payload's shape, whatever number it has.
pub async fn the_schema_version_comes_back<H: Harness>(t: &Trial<H>) -> Outcome {
    let shapes = [0, 1, 2, i32::MAX.cast_unsigned(), 1 << 31, u32::MAX];
    let new = shapes.map(|number| {
        NewEvent::from_payload(
            event().name().clone(),
            SchemaVersion::new(number),
            json("{}"),
        )
    });
    same(t, &new).await
}

/// Guarantee 8: any 128 bits are an id.
pub async fn any_bits_are_an_event_id<H: Harness>(t: &Trial<H>) -> Outcome {
    let bits = [
        0,
        1,
        u128::MAX,
        0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10,
        1 << 127,
    ];
    let new = bits.map(|bits| event().with_id(EventId::from_uuid(Uuid::from_u128(bits))));
    same(t, &new).await
}

/// Appends the events one by one and all at once, and looks at each as the stream and as the log show it.
async fn same<H: Harness>(t: &Trial<H>, new: &[NewEvent]) -> Result<(), BoxError> {
    let notes = stream("alone");
    for event in new {
        t.append(&notes, Any, std::slice::from_ref(event)).await?;
    }
    let start = t.store().head().await?.position();
    let again: Vec<_> = new
        .iter()
        .map(|event| event.clone().with_id(EventId::new()))
        .collect();
    let together = stream("together");
    t.append(&together, Any, &again).await?;

    let alone = t.stream(&notes).await?;
    let page = t
        .store()
        .read_log(ReadLog::after(start).limit(usize::MAX))
        .await?;
    assert_eq!((alone.len(), page.events().len()), (new.len(), again.len()));
    for (new, stored) in new
        .iter()
        .zip(&alone)
        .chain(again.iter().zip(page.events()))
    {
        assert_same(new, stored);
        assert!(
            stored.position() > Position::START,
            "an event has a position"
        );
    }
    Ok(())
}

#[track_caller]
fn assert_same(new: &NewEvent, stored: &RecordedEvent) {
    assert_eq!(
        stored.payload().as_str(),
        new.payload().as_str(),
        "the payload"
    );
    assert_eq!(stored.id(), new.id(), "the id");
    assert_eq!(stored.name(), new.name(), "the name");
    assert_eq!(
        stored.schema_version(),
        new.schema_version(),
        "the schema version"
    );
    assert_eq!(stored.occurred_at(), new.occurred_at(), "the time");
    assert_eq!(stored.metadata(), new.metadata(), "the metadata");
    assert_eq!(stored.tags(), new.tags(), "the tags");
}
