//! One suite for all stores: files, compacted topics of the log on disk, compacted topics of a real Kafka.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use connect_core::ErrorKind;
use connect_core::config::ConfigMap;
use serde_json::{Value, json};
use sluice::kafka::cluster::ClusterLog;
use sluice::kafka::embedded::EmbeddedLog;
use sluice::kafka::{Log, NewTopic};
use sluice::storage::{
    ConfigNews, ConfigStorage, ConfigTopic, FileStore, KeyValueStore, OffsetStorage,
    StorageTopicOptions, StoredConnector, TopicPurpose, TopicStore,
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

fn config(tasks: usize) -> ConfigMap {
    let own = [
        ("connector.class", "FileStreamSink".to_owned()),
        ("tasks.max", tasks.to_string()),
    ];
    own.map(|(key, value)| (key.to_owned(), value)).into()
}

#[tokio::test]
async fn connectors_of_a_worker_alone_are_there_after_opening_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("configs");
    let open = || async { anyhow::Ok(ConfigStorage::new(Arc::new(FileStore::open(&path).await?))) };
    let connector = |state: &str, tasks: usize| StoredConnector {
        config: config(tasks),
        target_state: state.to_owned(),
        tasks: u32::try_from(tasks).unwrap_or(u32::MAX),
    };
    let storage = open().await?;
    storage.put("a-1", &connector("STARTED", 2)).await?;
    storage.put("gone", &connector("STARTED", 1)).await?;
    storage.put("a-1", &connector("STOPPED", 0)).await?;
    storage.remove("gone").await?;
    let wanted = BTreeMap::from([("a-1".to_owned(), connector("STOPPED", 0))]);
    for storage in [storage, open().await?] {
        let stored = storage.load().await?;
        ensure!(stored == wanted, "{stored:?}");
    }
    Ok(())
}

/// What a config topic holds, a line a connector.
fn shown(topic: &ConfigTopic) -> Vec<String> {
    let view = topic.view();
    let connectors = view.connectors.iter();
    let shown = connectors.map(|(name, connector)| {
        let (max, target) = (&connector.config["tasks.max"], &connector.target_state);
        format!("{name} {max} {target} {}", connector.task_count())
    });
    shown.collect()
}

#[tokio::test]
async fn what_a_worker_of_a_cluster_writes_is_news_to_the_others_and_there_for_those_to_come()
-> Result<()> {
    let folder = tempfile::tempdir()?;
    let embedded = EmbeddedLog::open(&folder.path().join("log")).await?;
    for log in [embedded as Arc<dyn Log>, cluster().await?] {
        let options = options(&unique("configs"), TopicPurpose::Configs);
        let writer = ConfigTopic::open(&*log, &options).await?;
        let reader = ConfigTopic::open(&*log, &options).await?;
        writer.put_connector("a-1", &config(2), None).await?;
        writer.put_tasks("a-1", &[config(2), config(2)]).await?;
        writer
            .put_connector("a", &config(1), Some("PAUSED"))
            .await?;
        writer.put_connector("gone", &config(1), None).await?;
        writer.put_restart("a", true, false).await?;
        writer.put_level("org.x", "DEBUG").await?;
        writer.stop("a-1").await?;
        writer.remove("gone").await?;
        writer.put_connector("gone", &config(3), None).await?;
        let wanted = ["a 1 PAUSED 0", "a-1 2 STOPPED 0", "gone 3 STARTED 0"];
        ensure!(shown(&writer) == wanted, "{:?}", shown(&writer));
        while reader.view().offset < writer.view().offset {
            reader.follow().await?;
        }
        ensure!(*reader.view() == *writer.view());
        let news = reader.news().await;
        let restart = ConfigNews::Restart {
            connector: "a".to_owned(),
            include_tasks: true,
            only_failed: false,
        };
        ensure!(news.contains(&restart), "{news:?}");
        ensure!(
            news.contains(&ConfigNews::Tasks("a-1".to_owned())),
            "{news:?}"
        );
        let later = ConfigTopic::open(&*log, &options).await?;
        ensure!(shown(&later) == wanted, "{:?}", shown(&later));
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
