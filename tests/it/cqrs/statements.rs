//! A projection with a document for each account, which shows it if an event was missed, doubled or taken out of order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uno_core::{Backend, Decoder, EventStore, Payload, Position, ReadLog};
use uno_cqrs::{DocumentProjection, Fact, Field, Generation, StreamProjection};

use crate::support::account::AccountEvent;

/// Of each account; an account that is at nothing has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statements<const VERSION: u32 = 1>;

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub(crate) struct Statement {
    pub(crate) cents: i64,
    pub(crate) events: u64,
    /// Of all versions in their order: another one if one is missing, doubled or out of order.
    pub(crate) chain: u64,
    pub(crate) code: u32,
}

pub(crate) const BY_CENTS: Field<Statement, i64> = Field::new("cents", |found| Some(found.cents));

impl<const VERSION: u32> StreamProjection for Statements<VERSION> {
    const NAME: &'static str = "statements";
    const VERSION: u32 = VERSION;
    const FIELDS: &'static [&'static dyn uno_cqrs::AnyField<Statement>] = &[&BY_CENTS];
    const CATEGORY: &'static str = "account";
    type Event = AccountEvent;
    type Document = Statement;

    fn fold(
        &self,
        statement: Option<Statement>,
        event: &Fact<'_, AccountEvent>,
    ) -> Option<Statement> {
        let cents = match event.event() {
            AccountEvent::Opened(_) => 0,
            AccountEvent::Moved(moved) => moved.cents,
        };
        let statement = statement.unwrap_or_default();
        let statement = Statement {
            cents: statement.cents + cents,
            events: statement.events + 1,
            chain: statement
                .chain
                .wrapping_mul(0x0100_0000_01b3)
                .wrapping_add(event.version().get()),
            code: VERSION,
        };
        (statement.cents != 0).then_some(statement)
    }
}

/// What a fold of the log up to a position comes to, as it is answered.
pub(crate) async fn folded<P: DocumentProjection, S: EventStore + ?Sized>(
    projection: P,
    log: &S,
    to: Position,
) -> BTreeMap<String, String> {
    let read = ReadLog::after(Position::START).limit(1_000_000);
    let mut documents: BTreeMap<String, P::Document> = BTreeMap::new();
    for record in log.read_log(read).await.unwrap().into_events() {
        if record.position() > to {
            break;
        }
        for event in Decoder::new().decode_matching::<P::Event>(&record).unwrap() {
            for key in projection.keys(&event) {
                let before = documents.remove(&key);
                if let Some(document) = projection.apply(&key, before, &event) {
                    documents.insert(key, document);
                }
            }
        }
    }
    texts(&documents)
}

/// Documents as texts.
pub(crate) fn texts<D: Serialize>(documents: &BTreeMap<String, D>) -> BTreeMap<String, String> {
    let text = |(key, document): (&String, &D)| {
        (
            key.clone(),
            Payload::encode(document).unwrap().as_str().to_owned(),
        )
    };
    documents.iter().map(text).collect()
}

/// What is stored of a generation, as it would be answered.
pub(crate) async fn stored<B: Backend>(
    store: &B,
    generation: Generation,
) -> BTreeMap<String, String> {
    let collection = generation.name_of("statements");
    let found = store.scan_documents(&collection, None, 1_000_000).await;
    let mut documents = BTreeMap::new();
    for found in found.unwrap() {
        let value: serde_json::Value = serde_json::from_str(found.body().as_str()).unwrap();
        let document: Option<Statement> =
            serde_json::from_value(value["document"].clone()).unwrap();
        if let Some(document) = document {
            documents.insert(found.key().to_owned(), document);
        }
    }
    texts(&documents)
}
