//! Spans: how the engine's are joined to those of the program, and how all of them are sent.

use std::collections::HashMap;

use async_trait::async_trait;
use forelog::{Result, TraceContext, Tracer};
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{OtlpSettings, invalid};
use crate::client::PATIENCE;

/// Joins the spans of emitters and handlers, where the subscriber has an OpenTelemetry layer, such as that of
/// [`Otlp::layer`](super::Otlp::layer); for [`Builder::tracer`](forelog::Builder::tracer).
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenTelemetry;

impl Tracer for OpenTelemetry {
    fn current(&self) -> Option<TraceContext> {
        let context = Span::current().context();
        let span = context.span();
        let place = span.span_context();
        place.is_valid().then(|| TraceContext {
            trace_id: u128::from_be_bytes(place.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(place.span_id().to_bytes()),
            is_sampled: place.is_sampled(),
        })
    }

    fn set_parent(&self, span: &Span, parent: TraceContext) {
        let context = Context::new().with_remote_span_context(remote(parent));
        // It fails where the subscriber has no such layer: then nobody wants to know.
        let _ = span.set_parent(context);
    }

    fn link(&self, span: &Span, other: TraceContext) {
        span.add_link(remote(other));
    }
}

fn remote(place: TraceContext) -> SpanContext {
    let flags = if place.is_sampled {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::default()
    };
    SpanContext::new(
        TraceId::from_bytes(place.trace_id.to_be_bytes()),
        SpanId::from_bytes(place.span_id.to_be_bytes()),
        flags,
        true,
        TraceState::default(),
    )
}

/// What makes spans, and sends them in batches from a thread of its own.
pub(super) fn provider(settings: &OtlpSettings, agent: ureq::Agent) -> Result<SdkTracerProvider> {
    let headers: HashMap<_, _> = settings.headers.iter().cloned().collect();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Sender(agent))
        .with_endpoint(settings.url("traces"))
        .with_headers(headers)
        .with_timeout(PATIENCE)
        .build()
        .map_err(|cause| invalid(&cause.to_string()))?;
    let root = Sampler::TraceIdRatioBased(settings.sampled);
    let resource = Resource::builder().with_service_name(settings.service.clone());
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(root)))
        .with_resource(resource.build())
        .build())
}

/// Sends what the exporter has made.
#[derive(Debug)]
struct Sender(ureq::Agent);

#[async_trait]
impl HttpClient for Sender {
    /// It waits, which nobody minds on the exporter's own thread.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let mut answer = self.0.run(Request::from_parts(parts, body.to_vec()))?;
        let body = answer.body_mut().read_to_vec()?;
        let made = Response::builder().status(answer.status());
        Ok(made.body(Bytes::from(body))?)
    }
}
