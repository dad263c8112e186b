//! What is answered.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use forelog::{Error, ErrorKind};
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::{Shared, guard};
use crate::source::{Order, Search};

/// The largest request that is read.
const REQUEST_MAX: usize = 16 << 10;
/// How often a stream is updated.
const UPDATE_AFTER: Duration = Duration::from_secs(1);

const PAGE: &str = include_str!("../../assets/index.html");
const SCRIPT: &str = include_str!("../../assets/app.js");
const STYLE: &str = include_str!("../../assets/style.css");

pub(super) fn router(shared: Shared) -> Router {
    let text = |kind: &'static str, text: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, kind)], text) })
    };
    Router::new()
        .route("/", text("text/html; charset=utf-8", PAGE))
        .route("/app.js", text("text/javascript; charset=utf-8", SCRIPT))
        .route("/style.css", text("text/css; charset=utf-8", STYLE))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/api/status", get(status))
        .route("/api/stream", get(stream_status))
        .route("/api/segments", get(segments))
        .route("/api/events", get(events))
        .route("/api/events/{seq}", get(event))
        .route("/api/parked/{name}", get(parked))
        .route("/api/control", post(control))
        .fallback(|| async { refused(StatusCode::NOT_FOUND, "there is no such page") })
        .layer(DefaultBodyLimit::max(REQUEST_MAX))
        .layer(middleware::from_fn_with_state(shared.clone(), guard::watch))
        .with_state(shared)
}

/// Runs what may wait for a disk where it holds nobody up.
async fn beside<T: Send + 'static>(
    shared: Shared,
    work: impl FnOnce(&crate::source::Source) -> forelog::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    // Never closed, so there is always a permit in the end.
    let permit = shared.answers.clone().acquire_owned().await;
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work(&shared.source)
    })
    .await;
    let panicked = |_| Error::new(ErrorKind::Handler, "the answer could not be made");
    Ok(done.map_err(panicked)??)
}

/// An error, as it is answered.
struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.0.kind() {
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::ReadOnly => StatusCode::CONFLICT,
            ErrorKind::Closed => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        refused(status, &self.0.to_string())
    }
}

fn refused(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

type Answer = Result<Json<Value>, Failure>;

async fn status(State(shared): State<Shared>) -> Answer {
    let value = beside(shared, crate::source::Source::status).await?;
    Ok(Json(value))
}

async fn segments(State(shared): State<Shared>) -> Answer {
    let value = beside(shared, crate::source::Source::segments).await?;
    Ok(Json(value))
}

async fn events(State(shared): State<Shared>, Query(search): Query<Search>) -> Answer {
    let value = beside(shared, move |source| source.events(&search)).await?;
    Ok(Json(value))
}

async fn event(State(shared): State<Shared>, Path(seq): Path<u64>) -> Answer {
    let value = beside(shared, move |source| source.event(seq)).await?;
    Ok(Json(value))
}

async fn parked(State(shared): State<Shared>, Path(name): Path<String>) -> Answer {
    let value = beside(shared, move |source| source.parked(&name)).await?;
    Ok(Json(value))
}

async fn control(
    State(shared): State<Shared>,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<Response, Failure> {
    let order = match order {
        Ok(Json(order)) => order,
        Err(rejection) => return Ok(refused(rejection.status(), &rejection.body_text())),
    };
    let value = beside(shared, move |source| source.act(&order)).await?;
    Ok(Json(value).into_response())
}

async fn metrics(State(shared): State<Shared>) -> Result<Response, Failure> {
    let text = beside(shared, crate::source::Source::metrics).await?;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

async fn healthz(State(shared): State<Shared>) -> Result<Response, Failure> {
    let (value, works) = beside(shared, crate::source::Source::health).await?;
    let status = if works {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok((status, Json(value)).into_response())
}

async fn readyz(State(shared): State<Shared>) -> Result<Response, Failure> {
    let is_ready = beside(shared, |source| Ok(source.is_ready())).await?;
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok((status, Json(json!({ "ready": is_ready }))).into_response())
}

async fn stream_status(State(shared): State<Shared>) -> Response {
    let Ok(permit) = shared.streams.clone().try_acquire_owned() else {
        return refused(
            StatusCode::TOO_MANY_REQUESTS,
            "too many streams are open; close one",
        );
    };
    Sse::new(updates(shared, permit))
        .keep_alive(KeepAlive::default())
        .into_response()
}

/// The status, once a second, until it cannot be told any more.
fn updates(
    shared: Shared,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let begin = (shared, permit, Some(false));
    stream::unfold(begin, |(shared, permit, begun)| async move {
        // `None`: the last one has told why.
        if begun? {
            tokio::time::sleep(UPDATE_AFTER).await;
        }
        let found = beside(shared.clone(), crate::source::Source::status).await;
        let (event, next) = match found {
            Ok(value) => (
                Event::default().event("status").data(value.to_string()),
                Some(true),
            ),
            Err(Failure(error)) => (
                Event::default().event("ended").data(error.to_string()),
                None,
            ),
        };
        Some((Ok(event), (shared, permit, next)))
    })
}
