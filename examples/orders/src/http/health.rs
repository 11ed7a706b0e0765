//! Whether the application does its work.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use uno::prelude::*;
use utoipa::ToSchema;

use crate::http::Shop;

/// How the application stands.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// Whether the store can be reached and nothing has stopped.
    healthy: bool,
    /// Read models, sagas and handlers.
    subscriptions: Vec<Standing>,
}

/// How a subscription stands.
#[derive(Serialize, ToSchema)]
pub struct Standing {
    name: String,
    /// How many positions of the log it is behind; missing when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<u64>,
    /// How many events are set aside and wait for a person; missing when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    parked: Option<u64>,
    /// Whether it has stopped because of a failure.
    failed: bool,
}

/// Tells whether the application does its work.
#[utoipa::path(
    get,
    path = "/health",
    responses(
        (status = 200, body = Health, description = "It does.", example = json!({"healthy": true,
            "subscriptions": [{"name": "order_summaries", "behind": 0, "parked": 0, "failed": false}]})),
        (status = 503, body = Health, description = "It does not: the store is away, or something has stopped."),
    ),
    tag = "operation",
)]
pub async fn health<B: Backend>(State(shop): State<Shop<B>>) -> (StatusCode, Json<Health>) {
    let store = shop.app.backend().head().await;
    let status = shop.app.status().await;
    let subscriptions = status.subscriptions.iter().map(|subscription| Standing {
        name: subscription.name().to_string(),
        behind: subscription.lag_events(),
        parked: subscription.parked(),
        failed: subscription.state().failure().is_some(),
    });
    let subscriptions: Vec<_> = subscriptions.collect();
    let healthy = store.is_ok() && subscriptions.iter().all(|standing| !standing.failed);
    let code = if healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let health = Health {
        healthy,
        subscriptions,
    };
    (code, Json(health))
}
