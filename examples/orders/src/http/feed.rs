//! The live feed, as server-sent events.

#![expect(
    unused_qualifications,
    reason = "what utoipa makes of `params` names the types in full"
)]

use std::{convert::Infallible, future::ready, time::Duration};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::sse::{Event as Sent, KeepAlive, Sse},
};
use futures_util::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use uno::{
    core::StoreEpoch,
    events::{WatchError, WatchOptions, Watched},
    prelude::*,
};
use utoipa::{IntoParams, ToSchema};

use crate::{
    http::{Shop, body::parameter, orders::OrderView, place::Place, problem::Problem},
    ids::OrderId,
    read_models::{OrderSummary, ShopEvent},
};

/// The header in which browsers say what they have had when they connect anew.
const LAST: &str = "Last-Event-ID";

/// How long browsers wait before they connect anew.
const RETRY: Duration = Duration::from_secs(1);

/// Where to begin.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Since {
    /// The id of an event, or a receipt, or the `as_of` of the overview: what came after it is told first. `Last-Event-ID` comes before it.
    after: Option<String>,
}

/// An order that has come to its end.
#[derive(Serialize, ToSchema)]
pub struct Ended {
    #[schema(value_type = String, format = "uuid")]
    order: OrderId,
    /// In US cents.
    total: i64,
}

/// Tells of orders as they are placed, shipped and cancelled.
///
/// `order_placed` has an order as its data, `order_shipped` and `order_cancelled` say which and for how much; `caught_up` says that what follows
/// is new. Every event of an order has an id. Opened with the last one that was received, in `Last-Event-ID` or as `after`, the feed goes on behind it without a
/// gap or a double, however long ago that was; without, it begins with what happens next.
#[utoipa::path(
    get,
    path = "/api/feed",
    params(Since, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received.")),
    responses(
        (status = 200, body = String, content_type = "text/event-stream", description = "It goes on for as long as it is kept open.",
            example = "event: order_shipped\nid: 12@0190a7d2-6c5e-7c43-9a2e-0f6f4b1c2d3e\ndata: {\"order\":\"b2f0ba6e-6a3a-5d0c-9f51-4a7f3b7c8a10\",\"total\":2998}\n"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "The place can't be read."),
        (status = 410, body = Problem, content_type = "application/problem+json", description = "The place is in another log: begin anew."),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "Try again."),
    ),
    tag = "live",
)]
pub async fn feed<B: Backend>(
    State(shop): State<Shop<B>>,
    headers: HeaderMap,
    since: Result<Query<Since>, QueryRejection>,
) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>>>, Problem> {
    let Query(since) = since?;
    let (field, place) = match headers.get(LAST) {
        Some(last) => (LAST, Some(last.to_str().unwrap_or_default())),
        None => ("after", since.after.as_deref()),
    };
    let place: Option<Place> = parameter(field, place)?;
    let epoch = shop.app.backend().head().await?.epoch();
    let options = match place {
        Some(place) if place.epoch != epoch => return Err(Problem::gone(field)),
        Some(place) => WatchOptions::after(place.position),
        None => WatchOptions::from_head(),
    };
    let watch = shop
        .app
        .subscriptions()
        .watch_events::<ShopEvent>(options)
        .await
        .map_err(|error| match error {
            WatchError::LogDiverged { .. } => Problem::gone(field),
            other => other.into(),
        })?;
    let told = watch
        .map(move |item| match item {
            Ok(item) => tell(item, epoch),
            // Never passed over in silence: the feed ends, and whoever opens it again is where it ended.
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "a live feed ends");
                None
            }
        })
        .take_while(|told| ready(told.is_some()))
        .filter_map(|told| ready(told.flatten()))
        .map(Ok)
        .take_until(shop.stop.cancelled_owned());
    Ok(Sse::new(told).keep_alive(KeepAlive::default()))
}

/// An item of the feed as it is sent; the outer `None` ends the feed, the inner one is not sent.
fn tell(item: Watched<Envelope<ShopEvent>>, epoch: StoreEpoch) -> Option<Option<Sent>> {
    let event = match item {
        Watched::Event(event) => event,
        Watched::CaughtUp { .. } => {
            // Browsers leave out what has no data.
            let sent = Sent::default().event("caught_up").data("{}");
            return Some(Some(sent.retry(RETRY)));
        }
        _ => return Some(None),
    };
    let id = Place {
        position: event.position(),
        epoch,
    };
    let sent = Sent::default().id(id.to_string());
    let sent = match event.event() {
        ShopEvent::Placed(e) => {
            let order = OrderView::of(e.order, OrderSummary::of(e));
            sent.event("order_placed").json_data(order)
        }
        ShopEvent::Shipped(e) => sent
            .event("order_shipped")
            .json_data(Ended::of(e.order, e.total.0)),
        ShopEvent::Cancelled(e) => sent
            .event("order_cancelled")
            .json_data(Ended::of(e.order, e.total.0)),
    };
    sent.ok().map(Some)
}

impl Ended {
    fn of(order: OrderId, total: i64) -> Self {
        Self { order, total }
    }
}
