//! The overview: what the page begins with.

use axum::{Json, extract::State};
use serde::Serialize;
use uno::prelude::*;
use utoipa::ToSchema;

use crate::{
    http::{Shop, orders::OrderView, place::Place, problem::Problem},
    read_models::ShopWindow,
};

/// The latest orders, and what all of them come to, as of a place in the log.
#[derive(Serialize, ToSchema)]
pub struct Overview {
    /// Where the feed goes on from here.
    #[schema(value_type = String)]
    as_of: Place,
    /// How many orders were placed.
    placed: u32,
    shipped: u32,
    cancelled: u32,
    /// For all that were placed and not cancelled, in US cents.
    sales: i64,
    /// For what was shipped, in US cents.
    revenue: i64,
    /// The latest orders, newest first.
    latest: Vec<OrderView>,
}

/// Shows the latest orders and what all of them come to.
///
/// Whoever opens the feed at `as_of` gets every event that is not in here, and none that is.
#[utoipa::path(
    get,
    path = "/api/overview",
    responses(
        (status = 200, body = Overview, example = json!({
            "as_of": "3@0190a7d2-6c5e-7c43-9a2e-0f6f4b1c2d3e", "placed": 1, "shipped": 0, "cancelled": 0, "sales": 2998, "revenue": 0,
            "latest": [{"order": "b2f0ba6e-6a3a-5d0c-9f51-4a7f3b7c8a10", "customer": "ada", "ordered_on": "2026-11-25",
                "item_count": 2, "total": 2998, "status": "placed"}]})),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "Try again."),
    ),
    tag = "live",
)]
pub async fn overview<B: Backend>(State(shop): State<Shop<B>>) -> Result<Json<Overview>, Problem> {
    let epoch = shop.app.backend().head().await?.epoch();
    let documents = shop.app.documents::<ShopWindow>();
    let showing = documents.get(ShopWindow::KEY).await?.unwrap_or_default();
    let latest = showing.latest.into_iter();
    Ok(Json(Overview {
        as_of: Place {
            position: showing.as_of,
            epoch,
        },
        placed: showing.placed,
        shipped: showing.shipped,
        cancelled: showing.cancelled,
        sales: showing.sales.0,
        revenue: showing.revenue.0,
        latest: latest
            .map(|(order, summary)| OrderView::of(order, summary))
            .collect(),
    }))
}
