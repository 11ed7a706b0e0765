//! The OpenAPI document.

use axum::{Router, http::header, response::IntoResponse as _, routing::get};
use utoipa::OpenApi;

use crate::http::feed::Ended;

/// What it begins with. The paths are added by the router, from those that it serves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Orders",
        description = "The order application of the Uno framework. Amounts are whole US cents. What goes wrong is told as `application/problem+json` (RFC 9457), with the fields at fault.",
    ),
    // Sent in the feed, whose schema can't tell of it.
    components(schemas(Ended)),
)]
pub struct Document;

/// Where it is found.
pub fn routes<S: Clone + Send + Sync + 'static>(document: &utoipa::openapi::OpenApi) -> Router<S> {
    let text = document
        .to_pretty_json()
        .expect("texts and numbers, under texts, are always JSON");
    let json = [(header::CONTENT_TYPE, "application/json")];
    Router::new().route(
        "/openapi.json",
        get(async move || (json, text).into_response()),
    )
}
