//! How the server goes about the statements, on a log that has nothing to do with most of what is asked.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use uno_core::{
    BoxError, CorrelationId, EventId, EventName, EventStore as _, ExpectedVersion, Metadata,
    NewEvent, Payload, Position, SchemaVersion, StreamAppend, StreamId,
};

use super::*;
use crate::{PgOptions, PgStore, SchemaName, sql::Sql};

/// How the server would go about a read of the log.
async fn plan(
    connection: &mut PgConnection,
    schema: &SchemaName,
    read: &ReadLog,
) -> Result<String, BoxError> {
    let window = Window {
        visible: (1, i64::MAX),
        wanted: (1, i64::MAX),
        is_below: true,
    };
    let page = Page::new(read, &window);
    let sql = Sql::new(&format!("EXPLAIN {}", page.text()), schema);
    let rows = page.bind(sql.query(false)).fetch_all(connection).await?;
    let lines: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    Ok(lines?.join("\n"))
}

#[tokio::test]
async fn whoever_follows_causes_goes_by_index_with_statistics_and_without() -> Result<(), BoxError>
{
    let url = std::env::var("DATABASE_URL")?;
    let name = format!("t_{}", EventId::new().as_uuid().simple());
    let schema = SchemaName::new(name.as_str())?;
    let store = PgStore::new(PgOptions::from_url(&url)?.schema(schema.clone()));
    store.migrate().await?;
    let events: Vec<NewEvent> = (0..20_000_u128)
        .map(|number| {
            let metadata = Metadata::new()
                .with_correlation_id(CorrelationId::from_uuid(Uuid::from_u128(number / 4)))
                .with_causation_id(Uuid::from_u128(number / 2))
                .with_causing_event(EventId::from_uuid(Uuid::from_u128(number / 3)))
                .with_actor(format!("actor {}", number / 20));
            let payload = Payload::from_json("{}")?;
            let name = EventName::new("noted")?;
            let event = NewEvent::from_payload(name, SchemaVersion::new(1), payload);
            let id = EventId::from_uuid(Uuid::from_u128(1_000_000 + number));
            Ok(event.with_id(id).with_metadata(metadata))
        })
        .collect::<Result<_, BoxError>>()?;
    for (number, events) in events.chunks(1000).enumerate() {
        let stream = StreamId::new("note", number.to_string())?;
        let append = StreamAppend::new(stream, ExpectedVersion::NoStream, events.to_vec());
        store.append(vec![append]).await?;
    }

    let many: BTreeSet<Uuid> = (0..300).map(Uuid::from_u128).collect();
    let ids = || many.iter().copied().map(EventId::from_uuid);
    let one = Uuid::from_u128(7);
    let all = EventFilter::all;
    let mut connection = PgConnection::connect(&url).await?;
    for has_statistics in [false, true] {
        if has_statistics {
            let analyze = AssertSqlSafe(format!("ANALYZE {name}.events, {name}.streams"));
            sqlx::raw_sql(analyze).execute(&mut connection).await?;
        }
        for (filter, index) in [
            (all().ids(ids()), "events_id_once"),
            (all().causes(many.iter().copied()), "events_causation"),
            (all().causing_events(ids()), "events_causing"),
            (all().ids([EventId::from_uuid(one)]), "events_id_once"),
            (all().causes([one]), "events_causation"),
            (
                all().causing_events([EventId::from_uuid(one)]),
                "events_causing",
            ),
            (
                all().correlation_id(CorrelationId::from_uuid(one)),
                "events_correlation",
            ),
            (all().actor("actor 7"), "events_actor"),
            (all(), "events_pkey"),
        ] {
            for read in [
                ReadLog::after(Position::START),
                ReadLog::before(Position::MAX),
            ] {
                let plan = plan(&mut connection, &schema, &read.filter(filter.clone())).await?;
                let goes = plan.contains(index) && !plan.contains("Seq Scan on events");
                assert!(goes, "{index}, statistics: {has_statistics}\n{plan}");
            }
        }
    }
    let drop = AssertSqlSafe(format!("DROP SCHEMA {name} CASCADE"));
    sqlx::raw_sql(drop).execute(&mut connection).await?;
    Ok(())
}
