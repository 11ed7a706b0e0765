//! How SQLite goes about finding documents: by the index, in its order.

use sqlx::{AssertSqlSafe, Row as _};
use uno_core::{Commit, DocumentWrite, FieldValue, Payload, Transactional as _};
use uno_testkit::conformance::Harness as _;

use super::{SqliteHarness, outside};

const FORWARD: &str = include_str!("../../../uno-store-sqlite/src/store/documents/find.sql");
const BACKWARD: &str =
    include_str!("../../../uno-store-sqlite/src/store/documents/find_backward.sql");

#[tokio::test]
async fn documents_are_found_by_the_index_whatever_is_known_of_the_tables() {
    let harness = SqliteHarness {
        gaps: None,
        readers: 1,
    };
    let (store, directory) = harness.open().await.unwrap();
    let mut commit = Commit::new();
    commit.documents = (0..1_000_i64)
        .map(|number| {
            let body = Payload::from_json(format!("[{number}]")).unwrap();
            DocumentWrite::put("orders", format!("order-{number}"), body)
                .with_field("cents", FieldValue::of(&number))
        })
        .collect();
    store.commit(commit).await.unwrap();
    let mut connection = outside(&directory).await.unwrap();
    for knows in [false, true] {
        if knows {
            sqlx::raw_sql("ANALYZE")
                .execute(&mut connection)
                .await
                .unwrap();
        }
        for text in [FORWARD, BACKWARD] {
            let explain = format!("EXPLAIN QUERY PLAN {text}");
            let rows = sqlx::query(AssertSqlSafe(explain))
                .bind("orders")
                .bind("cents")
                .bind(FieldValue::of(&500).as_bytes().to_vec())
                .bind("order-500")
                .bind(FieldValue::of(&i64::MAX).as_bytes().to_vec())
                .bind("")
                .bind(50)
                .fetch_all(&mut connection)
                .await
                .unwrap();
            let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            // Two searches: the stretch of the index, and each document by its key. Nothing is gone through, and nothing is sorted.
            assert_eq!(steps.len(), 2, "knows {knows}: {steps:?}");
            assert!(
                steps.iter().all(|step| step.starts_with("SEARCH ")),
                "knows {knows}: {steps:?}"
            );
            assert!(
                steps[0].contains("INDEX uno_document_fields_value")
                    && steps[0].contains("(value,key)>"),
                "knows {knows}: {steps:?}"
            );
            assert!(
                steps[1].contains("(collection=? AND key=?)"),
                "knows {knows}: {steps:?}"
            );
        }
    }
}
