//! The query bus.

use uno_core::BoxError;
use uno_cqrs::{Query, QueryBus, QueryError, QueryHandler};

struct Divide(i64, i64);

impl Query for Divide {
    type Output = i64;
}

struct Remainder(i64, i64);

impl Query for Remainder {
    type Output = i64;
}

struct Calculator;

impl QueryHandler<Divide> for Calculator {
    async fn handle(&self, query: &Divide) -> Result<i64, BoxError> {
        query
            .0
            .checked_div(query.1)
            .ok_or_else(|| "there is no such number".into())
    }
}

impl QueryHandler<Remainder> for Calculator {
    async fn handle(&self, query: &Remainder) -> Result<i64, BoxError> {
        Ok(query.0 % query.1)
    }
}

#[tokio::test]
async fn a_query_is_answered_by_its_handler() {
    let bus = QueryBus::builder()
        .handler::<Divide>(Calculator)
        .handler::<Remainder>(Calculator)
        .build()
        .unwrap();
    assert_eq!(bus.ask(Divide(7, 2)).await.unwrap(), 3);
    assert_eq!(bus.clone().ask(Remainder(7, 2)).await.unwrap(), 1);
}

#[tokio::test]
async fn what_goes_wrong_is_told() {
    let bus = QueryBus::builder()
        .handler::<Divide>(Calculator)
        .build()
        .unwrap();
    let error = bus.ask(Divide(7, 0)).await.unwrap_err();
    let QueryError::Failed(source) = error else {
        panic!("{error:?}");
    };
    assert_eq!(source.to_string(), "there is no such number");
    let error = bus.ask(Remainder(7, 2)).await.unwrap_err();
    assert!(matches!(error, QueryError::Unknown(_)), "{error:?}");
    assert!(
        error.to_string().ends_with("Remainder has no handler"),
        "{error}"
    );
}

#[tokio::test]
async fn a_panic_is_an_error() {
    let bus = QueryBus::builder()
        .handler::<Remainder>(Calculator)
        .build()
        .unwrap();
    let error = bus.ask(Remainder(7, 0)).await.unwrap_err();
    assert!(matches!(error, QueryError::Failed(_)), "{error:?}");
    assert_eq!(bus.ask(Remainder(7, 4)).await.unwrap(), 3);
}

#[test]
fn a_query_has_one_handler() {
    let built = QueryBus::builder()
        .handler::<Divide>(Calculator)
        .handler::<Divide>(Calculator)
        .build();
    let error = built.unwrap_err().to_string();
    assert!(error.ends_with("Divide has two handlers"), "{error}");
}
