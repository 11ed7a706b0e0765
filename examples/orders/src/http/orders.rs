//! Orders: placing, viewing, listing and cancelling them.

#![expect(
    unused_qualifications,
    reason = "what utoipa makes of `params` names the types in full"
)]

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uno::prelude::*;
use utoipa::{IntoParams, ToSchema};

use crate::{
    contexts::orders::commands::{CancelOrder, Item, SubmitOrder},
    http::{
        Shop,
        body::{Body, parameter},
        key::Key,
        place::Place,
        problem::Problem,
    },
    ids::{CustomerId, OrderId},
    read_models::{OrderStatus, OrderSummaries, OrderSummary},
};

/// An order to be placed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// Whose order it is.
    #[schema(value_type = String, min_length = 1, max_length = 100)]
    customer: CustomerId,
    /// The date of the order.
    #[schema(value_type = String, format = Date)]
    ordered_on: NaiveDate,
    /// What is ordered.
    #[schema(value_type = Vec<NewItem>, min_items = 1, max_items = 100)]
    items: Vec<NewItem>,
}

/// Something that is ordered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewItem {
    /// What.
    #[schema(min_length = 1, max_length = 100)]
    product: String,
    /// How many.
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: u32,
    /// For all of them together, in US cents.
    #[schema(minimum = 0, maximum = 100_000_000_000_i64)]
    amount: i64,
}

/// What a command did.
#[derive(Serialize, ToSchema)]
pub struct Done {
    /// The order.
    #[schema(value_type = String, format = "uuid")]
    order: OrderId,
    /// Brought back as `after`, it makes sure that what is read shows what was done. Missing when nothing had to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    receipt: Option<Place>,
}

/// An order as it stands.
#[derive(Serialize, ToSchema, Debug)]
pub struct OrderView {
    #[schema(value_type = String, format = "uuid")]
    pub order: OrderId,
    #[schema(value_type = String)]
    pub customer: CustomerId,
    #[schema(value_type = String, format = Date)]
    pub ordered_on: NaiveDate,
    /// How many things it is.
    pub item_count: u32,
    /// What they cost, in US cents.
    pub total: i64,
    /// How far it has come.
    #[schema(value_type = String, pattern = "^(placed|shipped|cancelled)$")]
    pub status: OrderStatus,
}

/// A page of the list.
#[derive(Serialize, ToSchema)]
pub struct Page {
    /// By their ids.
    orders: Vec<OrderView>,
    /// Brought back as `cursor`, it gives the next page. Missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    next: Option<OrderId>,
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Listing {
    /// How many orders; 1 to 100, and 50 unless it is said.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<String>,
    /// The `next` of the page before.
    #[param(value_type = Option<String>, format = "uuid")]
    cursor: Option<String>,
    /// A receipt: the answer shows what it tells of.
    after: Option<String>,
}

/// As of when.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AsOf {
    /// A receipt: the answer shows what it tells of.
    after: Option<String>,
}

/// Why an order is given up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    #[schema(min_length = 1, max_length = 100)]
    reason: String,
}

/// Places an order.
///
/// It is charged and shipped when the time is over in which the customer may change their mind. With an `Idempotency-Key` the request may be sent
/// again as often as needed: it is one order, and the answer is the first one.
#[utoipa::path(
    post,
    path = "/api/orders",
    params(("Idempotency-Key" = Option<String>, Header, description = "Names this wish, however often it is sent.")),
    request_body(content = NewOrder, example = json!({
        "customer": "ada", "ordered_on": "2026-11-25",
        "items": [{"product": "Kind of Blue", "quantity": 2, "amount": 2998}],
    })),
    responses(
        (status = 201, body = Done, headers(("Location" = String, description = "Where the order is.")),
            example = json!({"order": "b2f0ba6e-6a3a-5d0c-9f51-4a7f3b7c8a10", "receipt": "3@0190a7d2-6c5e-7c43-9a2e-0f6f4b1c2d3e"})),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "It is no JSON, or the key is none.",
            example = json!({"type": "/problems/malformed", "title": "Bad Request", "status": 400, "detail": "EOF while parsing an object at line 1 column 1"})),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Others were faster, or the order was refused."),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "It has more than 64 KiB."),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "It is not `application/json`."),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "A field is not what it must be, or another request had the key.",
            example = json!({"type": "/problems/invalid", "title": "Unprocessable Entity", "status": 422,
                "errors": [{"field": "/items/0/quantity", "detail": "must be 1 to 1000000"}]})),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "Nothing was done; try again."),
        (status = 504, body = Problem, content_type = "application/problem+json", description = "It may have been done; try again with the same key."),
    ),
    tag = "orders",
)]
pub async fn place<B: Backend>(
    State(shop): State<Shop<B>>,
    Key(key): Key,
    Body(new): Body<NewOrder>,
) -> Result<Response, Problem> {
    let order = key.as_ref().map_or_else(OrderId::new, OrderId::of_key);
    let command = new.into_command(order);
    let receipt = match key {
        Some(key) => shop.app.execute_once(key, command).await?,
        None => shop.app.execute(command).await?,
    };
    let receipt = Place::of(&receipt);
    let location = [(header::LOCATION, format!("/api/orders/{order}"))];
    Ok((StatusCode::CREATED, location, Json(Done { order, receipt })).into_response())
}

/// Lists orders.
#[utoipa::path(
    get,
    path = "/api/orders",
    params(Listing),
    responses(
        (status = 200, body = Page, example = json!({"orders": [{
            "order": "b2f0ba6e-6a3a-5d0c-9f51-4a7f3b7c8a10", "customer": "ada", "ordered_on": "2026-11-25",
            "item_count": 2, "total": 2998, "status": "placed"}]})),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "A parameter can't be read.",
            example = json!({"type": "/problems/malformed", "title": "Bad Request", "status": 400,
                "errors": [{"field": "limit", "detail": "must be 1 to 100"}]})),
        (status = 410, body = Problem, content_type = "application/problem+json", description = "The receipt is from another store."),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "Try again."),
        (status = 504, body = Problem, content_type = "application/problem+json", description = "The list does not show what the receipt tells of yet."),
    ),
    tag = "orders",
)]
pub async fn list<B: Backend>(
    State(shop): State<Shop<B>>,
    listing: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(listing) = listing?;
    let limit = parameter("limit", listing.limit.as_deref())?.unwrap_or(50);
    if !(1..=100).contains(&limit) {
        return Err(Problem::unreadable("limit", "must be 1 to 100"));
    }
    let cursor: Option<OrderId> = parameter("cursor", listing.cursor.as_deref())?;
    let after = parameter("after", listing.after.as_deref())?;
    shop.wait_for::<OrderSummaries>(after).await?;

    let from = cursor.map(|order| order.to_string());
    // One more than is shown tells whether there is a next page.
    let documents = shop.app.documents::<OrderSummaries>();
    let found = documents.scan(from.as_deref(), limit + 1).await?;
    let more = found.len() > limit;
    let orders = found.into_iter().take(limit).map(|(key, summary)| {
        let order = key.parse().map_err(BoxError::from)?;
        Ok(OrderView::of(order, summary))
    });
    let orders: Vec<_> = orders.collect::<Result<_, Problem>>()?;
    let next = orders.last().filter(|_| more).map(|last| last.order);
    Ok(Json(Page { orders, next }))
}

/// Shows an order.
#[utoipa::path(
    get,
    path = "/api/orders/{order}",
    params(("order" = String, Path, format = "uuid", description = "The order."), AsOf),
    responses(
        (status = 200, body = OrderView, example = json!({
            "order": "b2f0ba6e-6a3a-5d0c-9f51-4a7f3b7c8a10", "customer": "ada", "ordered_on": "2026-11-25",
            "item_count": 2, "total": 2998, "status": "placed"})),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "The id or the receipt can't be read."),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "There is no such order.",
            example = json!({"type": "/problems/not-found", "title": "Not Found", "status": 404, "detail": "there is no such order"})),
        (status = 410, body = Problem, content_type = "application/problem+json", description = "The receipt is from another store."),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "Try again."),
        (status = 504, body = Problem, content_type = "application/problem+json", description = "What is read does not show what the receipt tells of yet."),
    ),
    tag = "orders",
)]
pub async fn view<B: Backend>(
    State(shop): State<Shop<B>>,
    Path(order): Path<String>,
    as_of: Result<Query<AsOf>, QueryRejection>,
) -> Result<Json<OrderView>, Problem> {
    let order = id(&order)?;
    let Query(as_of) = as_of?;
    let after = parameter("after", as_of.after.as_deref())?;
    shop.wait_for::<OrderSummaries>(after).await?;
    let documents = shop.app.documents::<OrderSummaries>();
    let summary = documents.get(&order.to_string()).await?;
    let summary = summary.ok_or_else(|| Problem::not_found("there is no such order"))?;
    Ok(Json(OrderView::of(order, summary)))
}

/// Cancels an order.
///
/// To cancel it twice is to cancel it once. One that is on its way can't be cancelled.
#[utoipa::path(
    post,
    path = "/api/orders/{order}/cancellation",
    params(("order" = String, Path, format = "uuid", description = "The order.")),
    request_body(content = Cancellation, example = json!({"reason": "changed my mind"})),
    responses(
        (status = 200, body = Done, example = json!({
            "order": "b2f0ba6e-6a3a-5d0c-9f51-4a7f3b7c8a10", "receipt": "4@0190a7d2-6c5e-7c43-9a2e-0f6f4b1c2d3e"})),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "It is no JSON, or the id can't be read."),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "There is no such order."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "It is on its way, or others were faster.",
            example = json!({"type": "/problems/refused", "title": "Conflict", "status": 409,
                "detail": "an order that is Shipped can't be shipped or cancelled"})),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "It has more than 64 KiB."),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "It is not `application/json`."),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "A field is not what it must be."),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "Nothing was done; try again."),
        (status = 504, body = Problem, content_type = "application/problem+json", description = "It may have been done; try again."),
    ),
    tag = "orders",
)]
pub async fn cancel<B: Backend>(
    State(shop): State<Shop<B>>,
    Path(order): Path<String>,
    Body(cancellation): Body<Cancellation>,
) -> Result<Json<Done>, Problem> {
    let order = id(&order)?;
    let command = CancelOrder {
        order,
        reason: cancellation.reason,
    };
    let receipt = shop.app.execute(command).await?;
    let receipt = Place::of(&receipt);
    Ok(Json(Done { order, receipt }))
}

fn id(text: &str) -> Result<OrderId, Problem> {
    text.parse()
        .map_err(|error| Problem::unreadable("order", format!("{error}")))
}

impl NewOrder {
    fn into_command(self, order: OrderId) -> SubmitOrder {
        let items = self.items.into_iter().map(|item| Item {
            product: item.product,
            quantity: item.quantity,
            amount: crate::money::Cents(item.amount),
        });
        SubmitOrder {
            order,
            customer: self.customer,
            ordered_on: self.ordered_on,
            items: items.collect(),
        }
    }
}

impl OrderView {
    pub fn of(order: OrderId, summary: OrderSummary) -> Self {
        Self {
            order,
            customer: summary.customer,
            ordered_on: summary.ordered_on,
            item_count: summary.item_count,
            total: summary.total.0,
            status: summary.status,
        }
    }
}
