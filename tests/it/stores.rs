//! One suite for all stores: files, compacted topics of the log on disk, compacted topics of a real Kafka.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use connect_core::ErrorKind;
use serde_json::{Value, json};
use sluice::kafka::cluster::ClusterLog;
use sluice::kafka::embedded::EmbeddedLog;
use sluice::kafka::{Log, NewTopic};
use sluice::storage::{
    ConfigStorage, ConfigTopic, FileStore, KeyValueStore, OffsetStorage, StorageTopicOptions,
    StoredConnector, TopicPurpose, TopicStore,
};
use sluice_services::Kafka;
use tempfile::TempDir;

/// Where a store keeps what it is given.
enum Home {
    File(PathBuf),
    Topic(Arc<dyn Log>, String),
}

fn unique(name: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("store-{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn options(name: &str, purpose: TopicPurpose) -> StorageTopicOptions {
    StorageTopicOptions {
        purpose,
        name: name.to_owned(),
        partitions: Some(if purpose == TopicPurpose::Configs {
            1
        } else {
            3
        }),
        replication_factor: Some(1),
        settings: [("max.message.bytes".to_owned(), "2000000".to_owned())].into(),
        client_id: "stores".to_owned(),
    }
}

async fn cluster() -> Result<Arc<dyn Log>> {
    let kafka = tokio::task::spawn_blocking(Kafka::shared).await??;
    let properties = [("bootstrap.servers".to_owned(), kafka.bootstrap())].into();
    Ok(Arc::new(ClusterLog::connect(&properties).await?))
}

/// Every kind of home, each empty.
async fn homes(folder: &TempDir) -> Result<Vec<Home>> {
    let embedded = EmbeddedLog::open(&folder.path().join("log")).await?;
    Ok(vec![
        Home::File(folder.path().join(unique("file"))),
        Home::Topic(embedded, unique("embedded")),
        Home::Topic(cluster().await?, unique("cluster")),
    ])
}

impl Home {
    /// Opens the store, as a worker that starts does.
    async fn entries(&self, purpose: TopicPurpose) -> Result<Arc<dyn KeyValueStore>> {
        Ok(match self {
            Self::File(path) => Arc::new(FileStore::open(path).await?),
            Self::Topic(log, name) => {
                Arc::new(TopicStore::open(&**log, &options(name, purpose)).await?)
            }
        })
    }

    async fn configs(&self) -> Result<ConfigStorage> {
        Ok(match self {
            Self::File(path) => ConfigStorage::new(Arc::new(FileStore::open(path).await?)),
            Self::Topic(log, name) => {
                let options = options(name, TopicPurpose::Configs);
                ConfigStorage::on_topic(ConfigTopic::open(&**log, &options).await?)
            }
        })
    }
}

fn set(key: &str, value: Value) -> (String, Option<Value>) {
    (key.to_owned(), Some(value))
}

#[tokio::test]
async fn entries_are_there_after_opening_again_as_last_written() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for home in homes(&folder).await? {
        let store = home.entries(TopicPurpose::Statuses).await?;
        ensure!(store.load().await?.is_empty());
        let (odd, long) = ("schlüssel \" / \n", "x".repeat(100_000));
        store
            .put(vec![
                set("a", json!(1)),
                set(odd, json!({ "text": "ü\u{1}", "null": null })),
                set("gone", json!({})),
            ])
            .await?;
        store
            .put(vec![set("a", json!(2)), ("gone".to_owned(), None)])
            .await?;
        store.put(vec![set("long", json!(long))]).await?;
        store.put(Vec::new()).await?;
        let again = home.entries(TopicPurpose::Statuses).await?;
        let entries: BTreeMap<_, _> = again.load().await?.into_iter().collect();
        let wanted = BTreeMap::from([
            ("a".to_owned(), json!(2)),
            (odd.to_owned(), json!({ "text": "ü\u{1}", "null": null })),
            ("long".to_owned(), json!(long)),
        ]);
        ensure!(entries == wanted, "{:?}", entries.keys());
    }
    Ok(())
}

#[tokio::test]
async fn source_offsets_are_there_after_opening_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for home in homes(&folder).await? {
        let storage = OffsetStorage::open(home.entries(TopicPurpose::Offsets).await?).await?;
        let partition = |file: &str| BTreeMap::from([("file".to_owned(), json!(file))]);
        let offset = |at: i64| BTreeMap::from([("position".to_owned(), json!(at))]);
        for at in 1..=3 {
            let offsets = [(partition("x"), Some(offset(at)))];
            storage.alter("c", &offsets).await?;
        }
        let changes = [(partition("y"), Some(offset(7))), (partition("x"), None)];
        storage.alter("other", &changes).await?;
        let again = OffsetStorage::open(home.entries(TopicPurpose::Offsets).await?).await?;
        ensure!(again.get("c", &partition("x"))? == Some(offset(3)));
        ensure!(again.of_connector("other")? == [(partition("y"), offset(7))]);
    }
    Ok(())
}

#[tokio::test]
async fn connectors_are_there_after_opening_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for home in homes(&folder).await? {
        let connector = |state: &str, tasks: u32| StoredConnector {
            config: [
                ("connector.class".to_owned(), "FileStreamSink".to_owned()),
                ("tasks.max".to_owned(), tasks.to_string()),
            ]
            .into(),
            target_state: state.to_owned(),
            tasks,
        };
        let storage = home.configs().await?;
        storage.put("a-1", &connector("STARTED", 2)).await?;
        storage.put("a", &connector("PAUSED", 0)).await?;
        storage.put("gone", &connector("STARTED", 1)).await?;
        storage.put("a-1", &connector("STOPPED", 0)).await?;
        storage.put("a", &connector("STARTED", 3)).await?;
        storage.remove("gone").await?;
        storage.put("gone", &connector("PAUSED", 0)).await?;
        let wanted = BTreeMap::from([
            ("a".to_owned(), connector("STARTED", 3)),
            ("a-1".to_owned(), connector("STOPPED", 0)),
            ("gone".to_owned(), connector("PAUSED", 0)),
        ]);
        for storage in [storage, home.configs().await?] {
            let stored = storage.load().await?;
            ensure!(stored == wanted, "{stored:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn topics_are_made_as_asked_for_and_refused_if_they_would_lose_entries() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let embedded = EmbeddedLog::open(&folder.path().join("log")).await?;
    for log in [embedded as Arc<dyn Log>, cluster().await?] {
        let admin = log.admin();
        let made = options(&unique("made"), TopicPurpose::Offsets);
        TopicStore::open(&*log, &made).await?;
        let topic = admin.describe_topic(&made.name).await?;
        ensure!(topic.is_some_and(|topic| topic.partitions == 3));
        let settings = admin.topic_settings(&made.name).await?;
        ensure!(settings["cleanup.policy"] == "compact", "{settings:?}");
        ensure!(settings["max.message.bytes"] == "2000000", "{settings:?}");
        for (policy, partitions) in [("delete", 1), ("compact,delete", 1), ("compact", 2)] {
            let options = options(&unique("wrong"), TopicPurpose::Configs);
            let topic = NewTopic {
                name: options.name.clone(),
                partitions: Some(partitions),
                replication_factor: None,
                settings: [("cleanup.policy".to_owned(), policy.to_owned())].into(),
            };
            admin.create_topic(&topic).await?;
            let refused = ConfigTopic::open(&*log, &options).await.err();
            let kind = refused.as_ref().map(connect_core::Error::kind);
            ensure!(kind == Some(ErrorKind::Config), "{policy}: {refused:?}");
        }
    }
    Ok(())
}
