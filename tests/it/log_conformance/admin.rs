//! Topics, their settings and ends, and the offsets of groups.

use anyhow::{Context, Result, ensure};
use connect_core::ErrorKind;
use connect_core::data::Offset;
use sluice::kafka::{ConsumerOptions, NewTopic, ProducerRecord, TopicDescription};

use super::groups::group_options;
use super::home::{DEADLINE, Home, new_topic, offset, partition, read, record, unique, values};
use crate::support::wait_until;

pub(super) async fn a_topic_is_made_once_with_its_settings<H: Home>(home: &H) -> Result<()> {
    let admin = home.log().admin();
    let name = unique("settings");
    ensure!(admin.describe_topic(&name).await?.is_none());
    let settings = [("cleanup.policy", "compact"), ("retention.ms", "12345")];
    let topic = new_topic(&name, 3, &settings);
    ensure!(admin.create_topic(&topic).await?);
    ensure!(!admin.create_topic(&topic).await?, "made twice");
    let expected = TopicDescription {
        name: name.clone(),
        partitions: 3,
    };
    // A broker may learn of it a moment after the controller made it.
    wait_until("the topic is there as it was made", DEADLINE, || async {
        Ok(admin.describe_topic(&name).await?.as_ref() == Some(&expected))
    })
    .await?;
    ensure!(admin.list_topics().await?.contains(&name));
    let shown = admin.topic_settings(&name).await?;
    let setting = |key: &str| shown.get(key).map(String::as_str);
    ensure!(setting("cleanup.policy") == Some("compact"));
    ensure!(setting("retention.ms") == Some("12345"));
    ensure!(
        setting("retention.bytes") == Some("-1"),
        "defaults are not shown"
    );
    let unsaid = NewTopic {
        partitions: None,
        ..new_topic(&unique("defaults"), 1, &[])
    };
    ensure!(admin.create_topic(&unsaid).await?);
    wait_until("the topic with defaults is there", DEADLINE, || async {
        let described = admin.describe_topic(&unsaid.name).await?;
        Ok(described.is_some_and(|topic| topic.partitions == 1))
    })
    .await?;
    let internal: Vec<_> = admin.list_topics().await?;
    ensure!(
        !internal.iter().any(|name| name.starts_with("__")),
        "listed: {internal:?}"
    );
    Ok(())
}

pub(super) async fn settings_that_make_no_sense_are_refused<H: Home>(home: &H) -> Result<()> {
    let admin = home.log().admin();
    let name = unique("refused");
    let wrong = [
        new_topic("no/such name", 1, &[]),
        new_topic("..", 1, &[]),
        new_topic(&"x".repeat(250), 1, &[]),
        new_topic(&name, 0, &[]),
        new_topic(&name, 1, &[("no.such.setting", "1")]),
        new_topic(&name, 1, &[("retention.ms", "soon")]),
        new_topic(&name, 1, &[("cleanup.policy", "keep")]),
    ];
    for topic in wrong {
        let kind = admin
            .create_topic(&topic)
            .await
            .err()
            .map(|error| error.kind());
        ensure!(kind == Some(ErrorKind::Config), "{topic:?} gave {kind:?}");
    }
    ensure!(admin.describe_topic(&name).await?.is_none());
    let refused = admin.describe_topic("no/such name").await.err();
    let refused = refused.context("a name that is none was looked for")?;
    ensure!(refused.kind() == ErrorKind::Config && !refused.is_retriable());
    let kind = admin
        .topic_settings(&name)
        .await
        .err()
        .map(|error| error.kind());
    ensure!(
        kind == Some(ErrorKind::Config),
        "settings of no topic gave {kind:?}"
    );
    Ok(())
}

pub(super) async fn a_deleted_topic_is_gone_and_comes_back_empty<H: Home>(home: &H) -> Result<()> {
    let admin = home.log().admin();
    let topic = home.topic("deleted", 1).await?;
    home.write_values(&topic, &["old", "old"]).await?;
    ensure!(admin.delete_topic(&topic).await?);
    wait_until("the topic is gone", DEADLINE, || async {
        Ok(admin.describe_topic(&topic).await?.is_none())
    })
    .await?;
    ensure!(!admin.delete_topic(&topic).await?, "deleted twice");
    ensure!(!admin.list_topics().await?.contains(&topic.to_string()));
    ensure!(admin.create_topic(&new_topic(&topic, 1, &[])).await?);
    home.write_values(&topic, &["new"]).await?;
    ensure!(values(&home.read_all(&topic).await?) == ["new"]);
    Ok(())
}

pub(super) async fn a_topic_gets_more_partitions_but_never_fewer<H: Home>(home: &H) -> Result<()> {
    let admin = home.log().admin();
    let topic = home.topic("grown", 1).await?;
    home.write_values(&topic, &["kept"]).await?;
    admin.grow_topic(&topic, 3).await?;
    let described = admin.describe_topic(&topic).await?;
    ensure!(described.map(|topic| topic.partitions) == Some(3));
    for fewer in [3, 2] {
        let kind = admin
            .grow_topic(&topic, fewer)
            .await
            .err()
            .map(|error| error.kind());
        ensure!(
            kind == Some(ErrorKind::Config),
            "{fewer} partitions gave {kind:?}"
        );
    }
    let to_new = ProducerRecord {
        partition: Some(2),
        ..record(&topic, "new")
    };
    home.write(vec![to_new]).await?;
    let group = ConsumerOptions {
        group: Some(unique("grown")),
        ..group_options("", &topic)
    };
    let consumer = home.log().consumer(group).await?;
    let mut seen = values(&read(&*consumer, 2).await?);
    seen.sort();
    ensure!(seen == ["kept", "new"], "seen: {seen:?}");
    consumer.close().await?;
    Ok(())
}

pub(super) async fn end_offsets_stand_behind_the_last_records<H: Home>(home: &H) -> Result<()> {
    let admin = home.log().admin();
    let topic = home.topic("ends", 2).await?;
    home.write_values(&topic, &["a", "b"]).await?;
    let both = [partition(&topic, 0), partition(&topic, 1)];
    let ends = admin.end_offsets(&both).await?;
    let expected = both
        .clone()
        .into_iter()
        .zip([2, 0].map(Offset::new))
        .collect();
    ensure!(ends == expected, "ends are {ends:?}");
    let missing = partition(&unique("missing").into(), 0);
    let kind = admin
        .end_offsets(&[missing])
        .await
        .err()
        .map(|error| error.kind());
    ensure!(
        kind == Some(ErrorKind::Config),
        "the end of no topic gave {kind:?}"
    );
    Ok(())
}

pub(super) async fn offsets_of_other_groups_are_seen_and_altered<H: Home>(home: &H) -> Result<()> {
    let admin = home.log().admin();
    let topic = home.topic("altered", 2).await?;
    home.write_values(&topic, &["a", "b", "c"]).await?;
    let group = unique("altered");
    ensure!(
        admin.group_offsets(&group).await?.is_empty(),
        "a group that is not there"
    );
    let (first, second) = (partition(&topic, 0), partition(&topic, 1));
    let set = [
        (first.clone(), Some(offset(1))),
        (second.clone(), Some(offset(0))),
    ];
    admin.alter_group_offsets(&group, &set.into()).await?;
    let expected = [
        (first.clone(), offset(1).into()),
        (second.clone(), offset(0).into()),
    ];
    ensure!(admin.group_offsets(&group).await? == expected.into());
    let consumer = home.log().consumer(group_options(&group, &topic)).await?;
    ensure!(values(&read(&*consumer, 2).await?) == ["b", "c"]);
    consumer.close().await?;
    let changes = [(first.clone(), Some(offset(2))), (second, None)];
    admin.alter_group_offsets(&group, &changes.into()).await?;
    ensure!(admin.group_offsets(&group).await? == [(first, offset(2).into())].into());
    Ok(())
}

pub(super) async fn a_group_with_members_is_left_alone<H: Home>(home: &H) -> Result<()> {
    let admin = home.log().admin();
    let topic = home.topic("busy", 1).await?;
    home.write_values(&topic, &["a"]).await?;
    let group = unique("busy");
    let consumer = home.log().consumer(group_options(&group, &topic)).await?;
    read(&*consumer, 1).await?;
    let only = partition(&topic, 0);
    consumer
        .commit(&[(only.clone(), offset(1).into())].into())
        .await?;
    for change in [Some(offset(0)), None] {
        let altered = admin
            .alter_group_offsets(&group, &[(only.clone(), change)].into())
            .await;
        let kind = altered.err().map(|error| error.kind());
        ensure!(
            kind == Some(ErrorKind::Conflict),
            "altering to {change:?} gave {kind:?}"
        );
    }
    let kind = admin
        .delete_group(&group)
        .await
        .err()
        .map(|error| error.kind());
    ensure!(kind == Some(ErrorKind::Conflict), "deleting gave {kind:?}");
    ensure!(admin.group_offsets(&group).await? == [(only, offset(1).into())].into());
    consumer.close().await?;
    Ok(())
}

pub(super) async fn a_deleted_group_is_gone<H: Home>(home: &H) -> Result<()> {
    let admin = home.log().admin();
    let topic = home.topic("group", 1).await?;
    let group = unique("group");
    ensure!(
        !admin.delete_group(&group).await?,
        "a group that was not there was deleted"
    );
    let set = [(partition(&topic, 0), Some(offset(1)))];
    admin.alter_group_offsets(&group, &set.into()).await?;
    ensure!(admin.delete_group(&group).await?);
    ensure!(admin.group_offsets(&group).await?.is_empty());
    ensure!(!admin.delete_group(&group).await?, "deleted twice");
    Ok(())
}

pub(super) async fn the_cluster_has_an_id_that_stays<H: Home>(home: &H) -> Result<()> {
    let id = home.log().admin().cluster_id().await?;
    ensure!(!id.is_empty());
    ensure!(home.log().admin().cluster_id().await? == id);
    Ok(())
}
