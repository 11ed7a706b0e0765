//! How the server goes about finding documents: by the index, whatever it knows of the tables and however the plan is made.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use uno_core::{
    Commit, DocumentWrite, FieldRange, FieldValue, FindDocuments, Payload, Transactional as _,
};
use uno_testkit::conformance::Harness as _;

use super::{PgHarness, database_url};

const FORWARD: &str = include_str!("../../../uno-store-postgres/src/store/documents/find.sql");
const BACKWARD: &str =
    include_str!("../../../uno-store-postgres/src/store/documents/find_backward.sql");

/// How many documents there are, and how many of them are asked for.
const DOCUMENTS: i64 = 4_000;
const PAGE: usize = 50;

#[tokio::test]
async fn documents_are_found_by_the_index_first_pages_and_deep_ones() {
    let (store, schema) = PgHarness::plain().open().await.unwrap();
    for first in (0..DOCUMENTS).step_by(1_000) {
        let mut commit = Commit::new();
        commit.documents = (first..first + 1_000)
            .map(|number| {
                let body = Payload::from_json(format!("[{number}]")).unwrap();
                DocumentWrite::put("orders", format!("order-{number}"), body)
                    .with_field("cents", FieldValue::of(&number))
                    .with_field(
                        "customer",
                        FieldValue::of(&format!("customer-{}", number % 7)),
                    )
            })
            .collect();
        store.commit(commit).await.unwrap();
    }
    let mut connection = PgConnection::connect(&database_url()).await.unwrap();
    for knows in [false, true] {
        if knows {
            let analyze = format!("ANALYZE {0}.documents, {0}.document_fields", schema.name);
            sqlx::raw_sql(AssertSqlSafe(analyze))
                .execute(&mut connection)
                .await
                .unwrap();
        }
        for mode in ["force_custom_plan", "force_generic_plan"] {
            let middle = FieldValue::of(&(DOCUMENTS / 2));
            let cents = FindDocuments::new("orders", "cents");
            let customer = FieldRange::equal("customer-3");
            for find in [
                cents.clone(),
                cents.clone().backward(),
                cents.clone().after(middle.clone(), "order-2000"),
                cents.clone().backward().after(middle.clone(), "order-2000"),
                FindDocuments::new("orders", "customer").within(customer.clone()),
                FindDocuments::new("orders", "customer")
                    .within(customer)
                    .after(FieldValue::of("customer-3"), "order-2"),
            ] {
                let find = find.limit(PAGE);
                let plan = plan(&mut connection, &schema.name, mode, &find).await;
                assert_is_by_the_index(&plan, &format!("{mode}, knows {knows}, {find:?}"));
            }
        }
    }
    PgHarness::plain().close(schema).await;
}

/// What the server does to answer.
async fn plan(
    connection: &mut PgConnection,
    schema: &str,
    mode: &str,
    find: &FindDocuments,
) -> Value {
    let text = match find.direction() {
        uno_core::Direction::Forward => FORWARD,
        uno_core::Direction::Backward => BACKWARD,
    };
    let (after, before) = find.places();
    let bytes = |value: &[u8]| format!("'\\x{}'", FieldValue::from_stored(value.to_vec()).to_hex());
    let arguments = format!(
        "'{}', '{}', {}, '{}', {}, '{}', {}",
        find.collection(),
        find.field(),
        bytes(&after.0),
        after.1,
        bytes(&before.0),
        before.1,
        find.max_documents()
    );
    let statements = format!(
        "SET plan_cache_mode = {mode}; PREPARE find (text, text, bytea, text, bytea, text, bigint) AS {}",
        text.replace("{schema}", schema)
    );
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(&mut *connection)
        .await
        .unwrap();
    let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE find ({arguments})");
    let rows = sqlx::raw_sql(AssertSqlSafe(explain))
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    sqlx::raw_sql("DEALLOCATE find")
        .execute(connection)
        .await
        .unwrap();
    let told: Value = serde_json::from_str(rows[0].try_get_unchecked(0).unwrap()).unwrap();
    told[0]["Plan"].clone()
}

fn assert_is_by_the_index(plan: &Value, which: &str) {
    let mut nodes = vec![plan];
    let mut by_value = 0;
    while let Some(node) = nodes.pop() {
        let kind = node["Node Type"].as_str().unwrap();
        assert!(
            matches!(
                kind,
                "Limit" | "Nested Loop" | "Memoize" | "Index Scan" | "Index Only Scan"
            ),
            "{which}: {plan:#}"
        );
        // What is passed over is read too.
        let seen = node["Actual Rows"].as_f64().unwrap() * node["Actual Loops"].as_f64().unwrap()
            + node["Rows Removed by Filter"].as_f64().unwrap_or(0.0);
        assert!(seen <= PAGE as f64, "{which}: {plan:#}");
        by_value += usize::from(node["Index Name"] == "document_fields_value");
        nodes.extend(node["Plans"].as_array().into_iter().flatten());
    }
    assert_eq!(by_value, 1, "{which}: {plan:#}");
    assert_eq!(
        plan["Actual Rows"].as_f64(),
        Some(PAGE as f64),
        "{which}: {plan:#}"
    );
}
