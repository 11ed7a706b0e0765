//! The application over HTTP: what can be asked, and how it is answered.
//!
//! Each module has the requests of one kind. A function's `utoipa::path` is what the OpenAPI document says of it, and [`routes!`] takes the path
//! and the method from there, so there is no second place to keep in step; what is answered is compared with the document by a test.

mod body;
mod document;
mod feed;
mod health;
mod key;
mod orders;
mod overview;
mod page;
mod place;
mod problem;
mod shop;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::Response,
};
use uno::prelude::*;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::problem::Problem;

pub use self::shop::Shop;

/// How many bytes a request may have. The largest order that is valid is smaller.
const LARGEST: usize = 64 * 1024;

/// Everything that is served.
pub fn router<B: Backend>(shop: Shop<B>) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(document::Document::openapi())
        .routes(routes!(orders::list, orders::place))
        .routes(routes!(orders::view))
        .routes(routes!(orders::cancel))
        .routes(routes!(overview::overview))
        .routes(routes!(feed::feed))
        .routes(routes!(health::health))
        .split_for_parts();
    router
        .merge(document::routes(&document))
        .merge(page::routes())
        .fallback(async || Problem::not_found("there is nothing under this address"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed")
        })
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(middleware::map_response(guarded))
        .with_state(shop)
}

/// What every answer carries: browsers are to take it for what it says it is, and to load nothing from elsewhere.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
