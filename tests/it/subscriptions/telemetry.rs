//! What is emitted is what the table in `uno_events::telemetry` says, and nothing that may be a secret.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tracing::{
    Level, Metadata,
    field::{Field, Visit},
    span,
    subscriber::with_default,
};
use uno_core::{Envelope, EventStore as _, Position, ReadLog};
use uno_events::{EventBus, Replay, Subscription, telemetry};

use super::support::*;

/// Keeps what this crate emits: name, level, names of fields; and the text of every field.
#[derive(Clone, Default)]
struct Collector {
    emitted: Arc<Mutex<BTreeSet<(String, Level, String)>>>,
    texts: Arc<Mutex<String>>,
}

impl Collector {
    fn note(&self, metadata: &Metadata<'_>) {
        let fields: Vec<_> = metadata
            .fields()
            .iter()
            .map(|field| field.name())
            .filter(|name| *name != "message")
            .collect();
        let emitted = (
            metadata.name().to_owned(),
            *metadata.level(),
            fields.join(" "),
        );
        self.emitted.lock().unwrap().insert(emitted);
    }
}

impl tracing::Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("uno_events")
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.note(span.metadata());
        span.record(&mut Texts(self));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Texts(self));
    }

    fn event(&self, event: &tracing::Event<'_>) {
        self.note(event.metadata());
        event.record(&mut Texts(self));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Texts<'c>(&'c Collector);

impl Visit for Texts<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0
            .texts
            .lock()
            .unwrap()
            .push_str(&format!("{field}={value:?};"));
    }
}

#[test]
fn spans_and_events_are_those_of_the_table_and_carry_no_secrets() {
    let collector = Collector::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    with_default(collector.clone(), || {
        runtime.block_on(async {
            let store = TestStore::new();
            append(
                &store,
                &[Mangled {
                    text: "hunter2".into(),
                }],
            )
            .await;
            note(&store, [1]).await;
            let manager = store.manager();
            let from_the_second = Position::new(1).unwrap();
            let handler =
                |_: Arc<Envelope<Noted>>| async { Err("password hunter2 is wrong".into()) };
            let failing =
                Subscription::handler(name("failing"), Replay::Safe, handler).retry(quick());
            manager.subscribe(failing.no_parking()).unwrap();
            let parking =
                Subscription::handler(name("parking"), Replay::Safe, handler).retry(quick());
            manager.subscribe(parking).unwrap();
            manager
                .subscribe(Seen::default().subscription("undecodable").no_parking())
                .unwrap();
            manager
                .subscribe(Subscription::handler(
                    name("fine"),
                    Replay::Safe,
                    |_: Arc<Envelope<Ignored>>| async { Ok(()) },
                ))
                .unwrap();
            manager
                .reset(&name("failing"), from_the_second)
                .await
                .unwrap();
            manager.start_all().await.unwrap();
            for subscription in ["failing", "undecodable"] {
                stopped(&manager, subscription).await;
            }
            while status(&manager, "parking").await.parked() != Some(2) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            manager.stop_all().await;

            let bus = EventBus::new();
            bus.subscribe("handler", |_: Arc<Envelope<Mangled>>| async {
                Err("hunter2".into())
            });
            let page = store
                .memory()
                .read_log(ReadLog::after(Position::START))
                .await
                .unwrap();
            bus.publish_many(page.into_events()).await;
        });
    });
    let expected = [
        (
            telemetry::CONSUME,
            Level::DEBUG,
            "subscription events first last",
        ),
        (
            telemetry::HANDLE,
            Level::DEBUG,
            "handler event event_id position",
        ),
        (
            telemetry::PUBLISH,
            Level::DEBUG,
            "event event_id position handlers",
        ),
        (
            telemetry::PARKED,
            Level::ERROR,
            "subscription lane position",
        ),
        (
            telemetry::RETRY,
            Level::WARN,
            "subscription attempt position",
        ),
        (
            telemetry::STOPPED,
            Level::ERROR,
            "subscription position why",
        ),
        (telemetry::STOPPED, Level::INFO, "subscription position why"),
    ];
    let expected: BTreeSet<_> = expected
        .into_iter()
        .map(|(name, level, fields)| (name.to_owned(), level, fields.to_owned()))
        .collect();
    assert_eq!(*collector.emitted.lock().unwrap(), expected);
    let texts = collector.texts.lock().unwrap().clone();
    assert!(!texts.contains("hunter2"), "{texts}");
    assert!(
        texts.contains("why=\"failed\"") && texts.contains("why=\"undecodable\""),
        "{texts}"
    );
}
