//! What no store ever sees, since the vocabulary of `uno-core` has no value for it: the same verdict everywhere.

use uno_core::{
    Category, EventName, ExpectedVersion, Limits, NewEvent, Payload, Position, SchemaVersion,
    StreamId, SubscriptionName, Version,
};

#[test]
fn the_key_of_a_stream_has_1_to_512_bytes_and_no_control_characters() {
    let check = |key: &str, possible: bool| {
        assert_eq!(
            StreamId::new("note", key).is_ok(),
            possible,
            "{} bytes: {key:?}",
            key.len()
        );
    };
    for (bytes, possible) in [
        (0, false),
        (1, true),
        (2, true),
        (511, true),
        (512, true),
        (513, false),
        (8192, false),
    ] {
        check(&"x".repeat(bytes), possible);
    }
    check(&"é".repeat(256), true);
    check(&format!("{}x", "é".repeat(256)), false);
    for bad in ["\0", "a\0b", "\n", "a\tb", "\u{7f}", "\u{85}"] {
        check(bad, false);
    }
    for good in [
        "'; DROP TABLE events; --",
        "a b",
        "%_\\",
        "\u{202e}abc",
        "e\u{301}",
        "\u{feff}",
        "😀",
        "\u{10ffff}",
    ] {
        check(good, true);
    }
}

#[test]
fn names_have_1_to_128_letters_of_a_small_alphabet() {
    let check = |name: &str, possible: bool| {
        assert_eq!(
            EventName::new(name.to_owned()).is_ok(),
            possible,
            "event {name:?}"
        );
        assert_eq!(
            Category::new(name.to_owned()).is_ok(),
            possible,
            "category {name:?}"
        );
    };
    for good in ["a", "order_placed", "shop.order2", &"a".repeat(128)] {
        check(good, true);
    }
    for bad in [
        "",
        "A",
        "1",
        "a-b",
        "a b",
        "a'",
        "é",
        "a\0",
        "$1",
        &"a".repeat(129),
    ] {
        check(bad, false);
    }
}

#[test]
fn the_name_of_a_subscription_has_1_to_128_bytes_and_no_control_characters() {
    let check = |name: &str, possible: bool| {
        assert_eq!(SubscriptionName::new(name).is_ok(), possible, "{name:?}");
    };
    for good in ["a", "é", "'; DROP TABLE", &"x".repeat(128)] {
        check(good, true);
    }
    for bad in ["", "\0", "a\nb", &"x".repeat(129)] {
        check(bad, false);
    }
}

#[test]
fn a_payload_is_json_that_every_reader_reads_back() {
    let check = |text: &str, field: Option<&str>| {
        let refused = Payload::from_json(text).err();
        assert_eq!(
            refused.as_ref().map(|refusal| refusal.field()),
            field,
            "{:.60}",
            text
        );
    };
    let lists = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let within = |depth: usize| format!("payload{}", "[0]".repeat(depth));
    for depth in [1, 63, 64] {
        check(&lists(depth), None);
        check(&objects(depth), None);
    }
    for depth in [65, 127, 128, 200, 100_000] {
        check(&lists(depth), Some(&within(64)));
        check(
            &objects(depth),
            Some(&format!("payload{}", ".a".repeat(64))),
        );
    }
    for good in [
        "null",
        "-0.0",
        "18446744073709551615",
        "1e308",
        "5e-324",
        r#""\ud83d\ude00""#,
        r#"{"a":1,"a":2}"#,
        "\"\u{202e}\"",
    ] {
        check(good, None);
    }
    for bad in [
        "",
        "{",
        "NaN",
        "Infinity",
        "1e400",
        "-1e400",
        "01",
        "'a'",
        "\u{feff}null",
        "1 2",
        r#""\ud800""#,
        r#""\u0000""#,
    ] {
        check(bad, Some("payload"));
    }
    check(r#"{"a":{"b":"x\u0000"}}"#, Some("payload.a.b"));
    check("[1,]", Some("payload[1]"));
    check(r#"{"a":[1e400]}"#, Some("payload.a[0]"));
    check(r#"{"a\u0000":1}"#, Some("payload"));
}

#[test]
fn a_payload_is_as_large_as_the_limits_say() {
    let event = |bytes: usize| {
        let payload = Payload::from_json(format!("\"{}\"", "x".repeat(bytes - 2))).unwrap();
        NewEvent::from_payload(
            EventName::new("noted").unwrap(),
            SchemaVersion::FIRST,
            payload,
        )
    };
    for cap in [2, 100, 1 << 20] {
        let limits = Limits::default().with_max_payload(cap);
        assert_eq!(limits.check(&event(cap)), Ok(()));
        let refusal = limits.check(&event(cap + 1)).unwrap_err();
        assert_eq!(refusal.field(), "payload", "{refusal}");
    }
}

#[test]
fn places_have_63_bits() {
    for (number, possible) in [
        (0, true),
        (1, true),
        (i64::MAX.cast_unsigned(), true),
        (1 << 63, false),
        (u64::MAX, false),
    ] {
        assert_eq!(Version::new(number).is_ok(), possible, "version {number}");
        assert_eq!(Position::new(number).is_ok(), possible, "position {number}");
    }
    assert_eq!(Version::MAX.checked_add(1), None);
    assert_eq!(
        (Version::MAX.next(), Position::START.previous()),
        (Version::MAX, Position::START)
    );
    assert!(ExpectedVersion::Exact(Version::EMPTY).allows(Version::EMPTY));
}
