//! `/connectors/{connector}/dry-run`

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::{Extension, Json};

use super::checks::Unawaited;
use super::connectors::named;
use super::error::RestError;
use super::query::Parameters;
use super::{Shared, body};
use crate::runtime::{DryRunReport, DryRunRequest};

pub(super) async fn run(
    State(herder): Shared,
    Extension(Unawaited(unawaited)): Extension<Unawaited>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    bytes: Bytes,
) -> Result<Json<DryRunReport>, RestError> {
    let request = requested(&Parameters::of(query))?;
    let config = body::config(body::json(&bytes)?)?;
    let config = config.map(|config| named(&name, config)).transpose()?;
    tokio::select! {
        report = herder.dry_run(&name, config, request) => Ok(Json(report?)),
        () = unawaited.cancelled() => Err(RestError::internal("nobody waits for the answer")),
    }
}

fn requested(parameters: &Parameters) -> Result<DryRunRequest, RestError> {
    let partitions: Vec<_> = parameters.all("partition").collect();
    let (records, from) = (
        parameters.all("records").next(),
        parameters.all("from").next(),
    );
    DryRunRequest::parse(records, from, &partitions).map_err(RestError::bad_request)
}
