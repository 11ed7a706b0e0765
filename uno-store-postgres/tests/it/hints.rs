//! Hints between processes.

use std::time::Duration;

use tokio::time::timeout;
use uno_core::{EventStore as _, ExpectedVersion};
use uno_store_postgres::PgStore;

use crate::support::{Fixture, append, until};

const HEARD_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_commit_of_another_process_is_heard_of() {
    let fixture = Fixture::new().await;
    let (here, there) = (fixture.store(), fixture.store());
    let mark = here.change();
    // The first answer may come for nothing: the channel is open.
    timeout(HEARD_WITHIN, here.changed(mark)).await.unwrap();
    for _ in 0..3 {
        let mark = here.change();
        there
            .append(vec![append("a", ExpectedVersion::Any, 1)])
            .await
            .unwrap();
        timeout(HEARD_WITHIN, here.changed(mark)).await.unwrap();
    }
    fixture.close().await;
}

#[tokio::test]
async fn a_listener_that_lost_its_link_listens_again() {
    let fixture = Fixture::new().await;
    let (here, there) = (fixture.store(), fixture.store());
    timeout(HEARD_WITHIN, here.changed(here.change()))
        .await
        .unwrap();
    let mut connection = fixture.connection().await;
    for _ in 0..3 {
        let mark = here.change();
        let listeners = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE application_name = '@' AND query LIKE 'LISTEN%'";
        assert_eq!(fixture.number(&mut connection, listeners).await, 1);
        // It says so, since it may have missed something.
        timeout(HEARD_WITHIN, here.changed(mark)).await.unwrap();
        let mark = here.change();
        there
            .append(vec![append("a", ExpectedVersion::Any, 1)])
            .await
            .unwrap();
        timeout(HEARD_WITHIN, here.changed(mark)).await.unwrap();
    }
    fixture.close().await;
}

#[tokio::test]
async fn without_hints_a_store_hears_itself_only_and_the_listener_ends_with_its_store() {
    let fixture = Fixture::new().await;
    let deaf = PgStore::new(fixture.options().without_hints());
    let mark = deaf.change();
    let waiting = tokio::spawn({
        let deaf = deaf.clone();
        async move { deaf.changed(mark).await }
    });
    fixture
        .store()
        .append(vec![append("a", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    assert!(!waiting.is_finished());
    deaf.append(vec![append("a", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    timeout(HEARD_WITHIN, waiting).await.unwrap().unwrap();

    let here = fixture.store();
    timeout(HEARD_WITHIN, here.changed(here.change()))
        .await
        .unwrap();
    drop(here);
    let fixture = &fixture;
    until(|| async move {
        let mut connection = fixture.connection().await;
        let listeners = "SELECT count(*) FROM pg_stat_activity WHERE application_name = '@' AND query LIKE 'LISTEN%'";
        fixture.number(&mut connection, listeners).await == 0
    })
    .await;
}
