//! What was done to the log or to the links is named: the stream, the version, and what is wrong with it.

use std::sync::Arc;

use chrono::TimeDelta;
use uno_core::{
    Backend, Commit, Document, DocumentWrite, EventId, EventName, Metadata, Payload, Position,
    RecordedParts, SchemaVersion, Version,
};
use uno_integrity::{Breach, BreachKind, ChainKey, Verification, Verifier};
use uno_testkit::conformance::BackendHarness;

use super::{
    chains::{Guard, Store, append, chain, fill, long_name, name, run, stream, version},
    doctored::Doctored,
};

/// A verifier of the log as somebody has left it.
fn doctored<B: Backend>(
    store: &Arc<B>,
    change: impl Fn(RecordedParts) -> Option<RecordedParts> + Send + Sync + 'static,
) -> Verifier {
    chain(store).verifier(Doctored::new(store.clone(), change))
}

fn found(verification: &Verification) -> Vec<(String, u64, BreachKind)> {
    let tell = |breach: &Breach| {
        (
            breach.stream().to_string(),
            breach.version().get(),
            breach.kind(),
        )
    };
    let mut found: Vec<_> = verification.breaches().iter().map(tell).collect();
    assert_eq!(found.len() as u64, verification.breached_streams());
    assert_eq!(found.is_empty(), verification.is_good());
    found.sort_unstable_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
    found
}

fn long(number: u64, kind: BreachKind) -> (String, u64, BreachKind) {
    ("account-long".to_owned(), number, kind)
}

fn is(parts: &RecordedParts, id: &str, number: u64) -> bool {
    parts.stream == stream(id) && parts.version == version(number)
}

/// A change of one field.
type Change = fn(&mut RecordedParts);

const CHANGES: [(&str, Change); 14] = [
    ("id", |parts| parts.id = EventId::new()),
    ("position", |parts| {
        parts.position = Position::new(parts.position.get() + 100_000).unwrap();
    }),
    ("name", |parts| {
        parts.name = EventName::new("money_withdrawn").unwrap();
    }),
    ("schema version", |parts| {
        parts.schema_version = SchemaVersion::FIRST;
    }),
    ("a blank in the payload", |parts| {
        let text = parts.payload.as_str().replace(": ", ":");
        parts.payload = Payload::from_json(text).unwrap();
    }),
    ("a number in the payload", |parts| {
        let text = parts.payload.as_str().replace('}', "0}");
        parts.payload = Payload::from_json(text).unwrap();
    }),
    ("occurred at", |parts| {
        parts.occurred_at += TimeDelta::microseconds(1);
    }),
    ("recorded at", |parts| {
        parts.recorded_at -= TimeDelta::microseconds(1);
    }),
    ("correlation", |parts| {
        let id = uno_core::CorrelationId::new();
        parts.metadata = parts.metadata.clone().with_correlation_id(id);
    }),
    ("causation", |parts| {
        let id = *EventId::new().as_uuid();
        parts.metadata = parts.metadata.clone().with_causation_id(id);
    }),
    ("actor", |parts| {
        parts.metadata = parts.metadata.clone().with_actor("eve");
    }),
    ("headers", |parts| {
        parts.metadata = parts.metadata.clone().with_header("channel", "till");
    }),
    ("all metadata", |parts| parts.metadata = Metadata::new()),
    ("the order of tags", |parts| parts.tags.reverse()),
];

pub(super) async fn every_field_that_was_changed_is_noticed<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let count = fill(&**store).await;
    run(store.clone(), store, chain(store)).await;
    for (what, change) in CHANGES {
        for number in [1, 64, 65, 150] {
            let verifier = doctored(store, move |mut parts| {
                if is(&parts, "account-long", number) {
                    change(&mut parts);
                }
                Some(parts)
            });
            let one = verifier
                .verify_stream(&stream("account-long"))
                .await
                .unwrap();
            // What comes after it is not looked at: it fits, or it does not, whoever changed this.
            assert_eq!(found(&one), [long(number, BreachKind::Altered)], "{what}");
            assert_eq!(one.verified(), number - 1, "{what}");
        }
        let verifier = doctored(store, move |mut parts| {
            if is(&parts, "account-long", 100) || is(&parts, "order-1", 2) {
                change(&mut parts);
            }
            Some(parts)
        });
        let all = verifier.verify_all().await.unwrap();
        let expected = [
            long(100, BreachKind::Altered),
            ("order-1".to_owned(), 2, BreachKind::Altered),
        ];
        assert_eq!(found(&all), expected, "{what}");
        assert_eq!(all.verified(), count - 51 - 63, "{what}");
        let told = all.to_string();
        assert!(
            told.contains("version 100 of stream account-long does not fit its link"),
            "{told}"
        );
    }
    // An event that was put into another stream is missing in its own.
    let verifier = doctored(store, |mut parts| {
        if is(&parts, "order-1", 64) {
            (parts.stream, parts.version) = (stream("account-short"), version(4));
        }
        Some(parts)
    });
    let all = verifier.verify_all().await.unwrap();
    let expected = [
        ("account-short".to_owned(), 4, BreachKind::NotLinked),
        ("order-1".to_owned(), 64, BreachKind::Missing),
    ];
    assert_eq!(found(&all), expected);
}

pub(super) async fn what_is_missing_is_named<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    fill(&**store).await;
    run(store.clone(), store, chain(store)).await;
    for number in [1, 2, 63, 64, 65, 128, 129, 149, 150] {
        let verifier = doctored(store, move |parts| {
            (!is(&parts, "account-long", number)).then_some(parts)
        });
        let all = verifier.verify_all().await.unwrap();
        assert_eq!(found(&all), [long(number, BreachKind::Missing)]);
        assert_eq!(all.breaches()[0].position(), None);
        // From there to the end, and the whole stream.
        let verifier = doctored(store, move |parts| {
            let gone = parts.stream == stream("account-long") && parts.version.get() >= number;
            (!gone).then_some(parts)
        });
        let all = verifier.verify_all().await.unwrap();
        assert_eq!(found(&all), [long(number, BreachKind::Missing)]);
    }
    // A gap before events that have no link yet.
    append(&**store, "account-long", 3).await;
    let verifier = doctored(store, move |parts| {
        (!is(&parts, "account-long", 151)).then_some(parts)
    });
    let one = verifier
        .verify_stream(&stream("account-long"))
        .await
        .unwrap();
    assert_eq!(found(&one), [long(151, BreachKind::Missing)]);
}

async fn documents<B: Backend>(store: &Arc<B>) -> Vec<Document> {
    let collection = name().subscription().to_string();
    store
        .scan_documents(&collection, None, 1_000)
        .await
        .unwrap()
}

/// Writes over the links.
async fn write<B: Backend>(store: &Arc<B>, writes: Vec<DocumentWrite>) {
    let mut commit = Commit::new();
    commit.documents = writes;
    store.commit(commit).await.unwrap();
}

fn put(document: &Document, body: &str) -> DocumentWrite {
    let body = Payload::from_json(body).unwrap();
    DocumentWrite::put(name().subscription().as_str(), document.key(), body)
}

pub(super) async fn links_that_were_changed_or_taken_away_are_named<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let count = fill(&**store).await;
    run(store.clone(), store, chain(store)).await;
    let verifier = chain(store).verifier(store.clone());
    let all = documents(store).await;
    let of = |id: &str| {
        let stream = format!("{{\"stream\":\"{id}\"");
        let here = all
            .iter()
            .filter(|document| document.body().as_str().starts_with(&stream));
        here.cloned().collect::<Vec<_>>()
    };
    let segments = of("account-long");
    assert_eq!(
        (all.len(), segments.len(), of(&long_name()).len()),
        (6, 3, 1)
    );
    let restore = || async {
        let as_they_were = all
            .iter()
            .map(|document| put(document, document.body().as_str()));
        write(store, as_they_were.collect()).await;
        let good = verifier.verify_all().await.unwrap();
        assert!(good.is_good(), "{good}");
        assert_eq!(good.verified(), count);
    };
    let verify = async |expected: &[(String, u64, BreachKind)]| {
        let told = verifier.verify_all().await.unwrap();
        assert_eq!(found(&told), expected);
        let one = verifier
            .verify_stream(&stream("account-long"))
            .await
            .unwrap();
        assert_eq!(found(&one), expected);
    };
    // Each digit of a link: the one that was changed is named, as if the event had been.
    let body = segments[1].body().as_str();
    let start = body.find("\"links\":\"").unwrap() + 9;
    for digit in 0..64 {
        let at = start + 64 + digit;
        let other = if &body[at..=at] == "0" { "1" } else { "0" };
        let changed = format!("{}{other}{}", &body[..at], &body[at + 1..]);
        write(store, vec![put(&segments[1], &changed)]).await;
        let one = verifier
            .verify_stream(&stream("account-long"))
            .await
            .unwrap();
        assert_eq!(found(&one), [long(66, BreachKind::Altered)]);
    }
    restore().await;
    // Documents that are no links any more, or those of another stream, or short of one, or gone.
    let of_another = body.replace("account-long", "account-other");
    let short = format!("{}\"}}", &body[..start + 64 * 3]);
    let bodies = [("{}", 65), ("7", 65), (&of_another, 65), (&short, 68)];
    for (changed, number) in bodies {
        write(store, vec![put(&segments[1], changed)]).await;
        verify(&[long(number, BreachKind::NotLinked)]).await;
        restore().await;
    }
    for (number, segment) in segments.iter().enumerate() {
        let collection = name().subscription().to_string();
        write(
            store,
            vec![DocumentWrite::remove(collection, segment.key())],
        )
        .await;
        verify(&[long(64 * number as u64 + 1, BreachKind::NotLinked)]).await;
        restore().await;
    }
    // All of a stream: only the log tells that there was one.
    let collection = || name().subscription().to_string();
    let removed = segments
        .iter()
        .map(|document| DocumentWrite::remove(collection(), document.key()));
    write(store, removed.collect()).await;
    verify(&[long(1, BreachKind::NotLinked)]).await;
    restore().await;
}

pub(super) async fn another_key_does_not_fit<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    fill(&**store).await;
    let key = |byte| ChainKey::new(&[byte; 32]).unwrap();
    run(store.clone(), store, chain(store).keyed(key(1))).await;
    let right = chain(store).keyed(key(1)).verifier(store.clone());
    assert!(right.verify_all().await.unwrap().is_good());
    for wrong in [chain(store).keyed(key(2)), chain(store)] {
        let all = wrong.verifier(store.clone()).verify_all().await.unwrap();
        let first: Vec<u64> = found(&all).iter().map(|(_, number, _)| *number).collect();
        assert_eq!(first, [1, 1, 1, 1]);
        assert_eq!(all.verified(), 0);
    }
    assert_eq!(
        right
            .link(&stream("order-1"), Version::EMPTY.next())
            .await
            .unwrap()
            .map(|link| link.as_bytes().len()),
        Some(32)
    );
}

pub(super) async fn there_is_an_end_to_what_is_told_in_full<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let streams = Verification::BREACHES + 5;
    let appends = (0..streams).map(|number| {
        append(
            &**store,
            Box::leak(format!("account-{number}").into_boxed_str()),
            1,
        )
    });
    for append in appends {
        append.await;
    }
    run(store.clone(), store, chain(store)).await;
    let verifier = doctored(store, |mut parts| {
        parts.tags.clear();
        Some(parts)
    });
    let all = verifier.verify_all().await.unwrap();
    assert_eq!(all.breaches().len(), Verification::BREACHES);
    assert_eq!(all.breached_streams(), streams as u64);
    assert!(all.to_string().ends_with("\nand 5 more"));
}
