//! Requests between workers, signed: ours are taken by Kafka Connect, and its own stand our check.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::Request;
use axum::routing::post;
use connect_core::ErrorKind;
use connect_core::data::{Timestamp, TopicPartition};
use serde_json::{Value, json};
use sluice::kafka::cluster::ClusterLog;
use sluice::kafka::{
    AutoOffsetReset, ConsumerOptions, Isolation, Log, ProducerOptions, ProducerRecord, Subscription,
};
use sluice::runtime::WorkerSettings;
use sluice::runtime::distributed::fellow::FellowClient;
use sluice::runtime::distributed::signature::{
    ALGORITHM_HEADER, MacAlgorithm, RequestSignature, SIGNATURE_HEADER, SessionKey,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::block_in_place;

use super::java::{JAVA_GROUP, expect_states, java, make_source};
use super::worker::{Seen, Worker};
use super::{SOON, kafka, log, work};

/// The config topic in services/connect.
const CONFIGS: &str = "connect-jvm-configs";

/// The session key that Kafka Connect's leader has made.
async fn session_key(log: &ClusterLog) -> Result<SessionKey> {
    let options = ConsumerOptions {
        group: None,
        subscription: Subscription::Partitions(vec![TopicPartition::new(CONFIGS, 0)]),
        client_id: "keys".to_owned(),
        auto_offset_reset: AutoOffsetReset::Earliest,
        isolation: Isolation::ReadUncommitted,
        max_poll_records: 500,
        fetch_max_bytes: 1 << 20,
        listener: None,
        overrides: BTreeMap::new(),
    };
    let consumer = log.consumer(options).await?;
    let reading = async {
        loop {
            let records = consumer.poll(SOON).await?;
            let is_key = |record: &&_| is_session_key(record);
            if let Some(record) = records.iter().rfind(is_key) {
                let value = record.value.as_deref().context("a key")?;
                let record: Value = serde_json::from_slice(value)?;
                return Ok(SessionKey::from_record(&record)?);
            }
        }
    };
    tokio::time::timeout(SOON, reading).await?
}

fn is_session_key(record: &sluice::kafka::ConsumedRecord) -> bool {
    record.key.as_deref() == Some(b"session-key")
}

fn client() -> Result<FellowClient> {
    let settings = [
        ("group.id", "g"),
        ("bootstrap.servers", "b:1"),
        ("config.storage.topic", "c"),
        ("offset.storage.topic", "o"),
        ("status.storage.topic", "s"),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Ok(FellowClient::new(&WorkerSettings::read(&settings.into())?)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_we_sign_are_taken_by_kafka_connect() -> Result<()> {
    let kafka = kafka()?;
    let log = log(&kafka).await?;
    let connect = java(&kafka, "sessioned")?;
    make_source(&connect, "one").await?;
    expect_states(&connect, "one", "RUNNING [RUNNING]").await?;
    let url = format!("http://{}/", connect.address());
    let tasks: Value = reqwest::get(format!("{url}connectors/one/tasks"))
        .await?
        .json()
        .await?;
    let mut config: BTreeMap<String, String> = serde_json::from_value(tasks[0]["config"].clone())?;
    config.insert("topic".to_owned(), "others".to_owned());
    let (key, client) = (session_key(&log).await?, client()?);
    let sha256 = MacAlgorithm::Sha256;
    let put = |signing| {
        let configs = vec![config.clone()];
        let (client, url) = (&client, &url);
        async move { client.put_task_configs(url, "one", &configs, signing).await }
    };
    put(Some((&key, sha256))).await?;
    // It has written what we sent.
    let tasks: Value = reqwest::get(format!("{url}connectors/one/tasks"))
        .await?
        .json()
        .await?;
    ensure!(tasks[0]["config"]["topic"] == "others", "{tasks}");
    let now = Timestamp::from_millis(0);
    let other_key = SessionKey::generate(sha256, None, now)?;
    for (signing, kind, words) in [
        (
            Some((&other_key, sha256)),
            ErrorKind::Auth,
            "403: Internal request contained invalid signature.",
        ),
        (
            None,
            ErrorKind::Config,
            "400: Internal request missing required signature",
        ),
        (
            Some((&key, MacAlgorithm::Sha512)),
            ErrorKind::Config,
            "400: This worker does not support the 'HmacSHA512' key signing algorithm",
        ),
    ] {
        let refusal = put(signing).await.err().context(words)?;
        ensure!(refusal.kind() == kind, "{refusal}");
        ensure!(refusal.message().starts_with(words), "{refusal}");
    }
    // The body of a request without one is signed, too.
    let fenced = client
        .fence_zombies(&url, "none", Some((&key, sha256)))
        .await;
    let refusal = fenced.err().context("there is no such connector")?;
    ensure!(!refusal.message().contains("signature"), "{refusal}");
    block_in_place(|| connect.stop())
}

/// A request as it came.
struct Received {
    path: String,
    mac: String,
    algorithm: String,
    body: Vec<u8>,
}

impl Received {
    async fn of(request: Request) -> Self {
        let (parts, body) = request.into_parts();
        let header = |name: &str| {
            let value = parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (mac, algorithm) = (header(SIGNATURE_HEADER), header(ALGORITHM_HEADER));
        let path = parts.uri.path().to_owned();
        let body = axum::body::to_bytes(body, 1 << 20).await;
        Self {
            path,
            mac,
            algorithm,
            body: body.unwrap_or_default().to_vec(),
        }
    }
}

/// A REST API that tells of what other workers ask of it.
async fn listen() -> Result<(String, mpsc::Receiver<Received>)> {
    let (tell, received) = mpsc::channel(16);
    let take = move |request: Request| async move {
        let _ended = tell.send(Received::of(request).await).await;
    };
    let app = Router::new().route("/connectors/{connector}/tasks", post(take));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok((url, received))
}

/// Changes a connector's config as a leader does.
async fn write_config(log: &ClusterLog, connector: &str) -> Result<()> {
    let config = json!({ "properties": {
        "name": connector, "connector.class": "FileStreamSource", "tasks.max": "1", "file": "/dev/null", "topic": "changed",
    } });
    let record = ProducerRecord {
        topic: Arc::from(CONFIGS),
        partition: Some(0),
        timestamp: None,
        headers: Default::default(),
        key: Some(format!("connector-{connector}").into()),
        value: Some(config.to_string().into()),
    };
    let producer = log.producer(ProducerOptions::default()).await?;
    for sent in producer.send(vec![record]).await? {
        sent?;
    }
    Ok(producer.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_kafka_connect_signs_stand_our_check() -> Result<()> {
    let kafka = kafka()?;
    let log = log(&kafka).await?;
    let connect = java(&kafka, "sessioned")?;
    for name in ["one", "two"] {
        make_source(&connect, name).await?;
        expect_states(&connect, name, "RUNNING [RUNNING]").await?;
    }
    block_in_place(|| connect.stop())?;
    let (url, mut received) = listen().await?;
    let all = work(&["one", "two"], &[("one", 0), ("two", 0)]);
    let mut worker = Worker::start(&log, JAVA_GROUP, &url, all.clone()).await?;
    worker.expect_work(&all).await?;
    let connect = java(&kafka, "sessioned")?;
    let half = |seen: &Seen| seen.work.connectors.len() == 1;
    let leader = worker.expect("gives half away", half).await?;
    let theirs = all.without(&leader.work);
    let theirs = theirs.connectors.first().context("a connector of theirs")?;
    write_config(&log, theirs).await?;
    let request = tokio::time::timeout(SOON, received.recv())
        .await?
        .context("a request")?;
    ensure!(
        request.path == format!("/connectors/{theirs}/tasks"),
        "{}",
        request.path
    );
    let tasks: Value = serde_json::from_slice(&request.body)?;
    ensure!(tasks[0]["topic"] == "changed", "{tasks}");
    let key = session_key(&log).await?;
    let check = |body: &[u8]| {
        let signature = RequestSignature::received(&request.mac, &request.algorithm, body)?;
        RequestSignature::check(Some(&signature), &[MacAlgorithm::Sha256], Some(&key))
    };
    check(&request.body)?;
    ensure!(check(b"[]").is_err());
    worker.leave().await?;
    block_in_place(|| connect.stop())
}
