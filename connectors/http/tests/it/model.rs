//! Any mixture of failures and restarts: what was acknowledged in the end is every record, page after page.

use std::collections::BTreeSet;

use axum::body::Body;
use proptest::prelude::*;

use connect_core::testkit::values;

use crate::support::{Api, Reply, Seen, Worker, users};

const RECORDS: u64 = 23;

/// What happens at a step.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Nothing,
    Status(u16),
    BreaksOff,
    NotAcknowledged,
    Restart,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::Nothing),
        1 => prop_oneof![Just(500), Just(503), Just(429)].prop_map(Fault::Status),
        1 => Just(Fault::BreaksOff),
        1 => Just(Fault::NotAcknowledged),
        1 => Just(Fault::Restart),
    ]
}

/// Five records after `cursor`.
fn page(seen: &Seen) -> Reply {
    let from: u64 = seen
        .parameter("cursor")
        .map_or(0, |text| text.parse().unwrap());
    let next = from + 5;
    let next = if next < RECORDS {
        next.to_string()
    } else {
        "null".to_owned()
    };
    let rows = users(from..(from + 5).min(RECORDS));
    Reply::json(format!(r#"{{"data":{rows},"next":{next}}}"#))
}

async fn run(faults: Vec<Fault>) -> Vec<String> {
    let planned = faults.clone();
    let api = Api::start(move |seen| match planned.get(seen.number) {
        Some(Fault::Status(status)) => Reply::status(*status),
        Some(Fault::BreaksOff) => Reply {
            status: 200,
            body: Body::from("{\"data\":["),
            ..Reply::default()
        }
        .header("content-length", "999"),
        _ => page(seen),
    })
    .await;
    let options = [
        ("pagination.mode", "cursor"),
        ("pagination.pointer", "/next"),
        ("records.pointer", "/data"),
    ];
    let worker = Worker::new(&api.url("/"), &options);
    let mut task = worker.task().await;
    let mut acknowledged: Vec<String> = Vec::new();
    for number in 0..faults.len() + 8 {
        let fault = faults.get(number).copied().unwrap_or(Fault::Nothing);
        match task.poll().await {
            Err(error) => assert!(error.is_retriable(), "{}", error.trace()),
            // The worker dies with the records in its hands.
            Ok(_) if matches!(fault, Fault::NotAcknowledged) => task = worker.task().await,
            Ok(records) => {
                task.acknowledge(&records).await;
                acknowledged.extend(values(&records));
            }
        }
        if matches!(fault, Fault::Restart) {
            task = worker.task().await;
        }
        if acknowledged
            .last()
            .is_some_and(|last| *last == format!("{{\"id\":{}}}", RECORDS - 1))
        {
            break;
        }
    }
    acknowledged
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn failures_and_restarts_lose_nothing_and_keep_the_order(faults in proptest::collection::vec(fault(), 0..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let acknowledged = runtime.block_on(run(faults));
        let expected: Vec<_> = (0..RECORDS).map(|id| format!("{{\"id\":{id}}}")).collect();
        let distinct: BTreeSet<_> = acknowledged.iter().collect();
        prop_assert_eq!(distinct.len() as u64, RECORDS);
        // Everything acknowledged had its offset stored, so nothing comes twice here.
        prop_assert_eq!(acknowledged, expected);
    }
}
