//! Queues: the same order for messages as for events.

use uno_core::{
    AppendError, Commit, CommitError, EventId, Metadata, NewMessage, Payload, ProcessStore as _,
    Transactional as _,
};
use uno_store_postgres::{PgStore, PgTx};

use crate::support::{Fixture, until};

fn message(key: &str) -> NewMessage {
    NewMessage::new(
        "q",
        *EventId::new().as_uuid(),
        key,
        "do_it",
        Payload::from_json("{}").unwrap(),
        Metadata::new(),
    )
}

fn commit(messages: Vec<NewMessage>) -> Commit<PgTx> {
    let mut commit = Commit::new();
    commit.messages = messages;
    commit
}

async fn keys(store: &PgStore) -> Vec<String> {
    let read = store.read_queue("q", 0, 100).await.unwrap();
    read.iter()
        .map(|queued| queued.message().key().to_owned())
        .collect()
}

const FOREIGN: &str = "INSERT INTO @.queue (queue, id, key, name, payload, metadata) \
     VALUES ('q', gen_random_uuid(), 'slow', 'do_it', '{}', '{}')";

#[tokio::test]
async fn no_message_appears_before_one_that_was_seen() {
    let fixture = Fixture::new().await;
    let (store, outside) = (fixture.store(), fixture.store());
    let mut slow = fixture.connection().await;
    fixture.run(&mut slow, "BEGIN").await;
    fixture.run(&mut slow, FOREIGN).await;
    outside.commit(commit(vec![message("fast")])).await.unwrap();
    // Control: the message is there, and a reader that just takes what is there would see it.
    let mut connection = fixture.connection().await;
    assert_eq!(
        fixture
            .number(&mut connection, "SELECT count(*) FROM @.queue")
            .await,
        1
    );
    assert!(keys(&store).await.is_empty());
    fixture.run(&mut slow, "COMMIT").await;
    assert_eq!(keys(&store).await, ["slow", "fast"]);
    fixture.close().await;
}

#[tokio::test]
async fn one_reads_ones_own_messages_though_others_are_under_way() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let mut slow = fixture.connection().await;
    fixture.run(&mut slow, "BEGIN").await;
    fixture.run(&mut slow, FOREIGN).await;
    store.commit(commit(vec![message("fast")])).await.unwrap();
    let reading = tokio::spawn({
        let store = store.clone();
        async move { keys(&store).await }
    });
    fixture.run(&mut slow, "ROLLBACK").await;
    assert_eq!(reading.await.unwrap(), ["fast"]);
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_id_occurs_once_however_many_add_it() {
    let fixture = Fixture::new().await;
    let stores = [
        fixture.store(),
        fixture.store(),
        PgStore::new(fixture.options().without_grouping()),
    ];
    for round in 0..10 {
        let same = message(&format!("{round}"));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..9 {
            let (store, same) = (stores[n % 3].clone(), same.clone());
            tasks.spawn(async move { store.commit(commit(vec![message("x"), same])).await });
        }
        let results = tasks.join_all().await;
        assert_eq!(
            results.iter().filter(|result| result.is_ok()).count(),
            1,
            "{results:?}"
        );
        for refused in results.into_iter().filter_map(Result::err) {
            assert!(
                matches!(refused, CommitError::Append(AppendError::Refused(_))),
                "{refused}"
            );
        }
    }
    until(|| async { keys(&stores[0]).await.len() == 20 }).await;
    fixture.close().await;
}
