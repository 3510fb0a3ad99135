//! Names by template: the same again after a crash, never the same for other records.

use connect_core::ErrorKind;
use connect_core::config::connector_from_map;

use crate::harness::{CommitFault, LogRecord, World, committed};

const BY_SECOND: (&str, &str) = (
    "file.name.template",
    "{{topic}}_{{timestamp:yyyyMMdd_HHmmss}}",
);

fn records(count: usize) -> Vec<LogRecord> {
    let line = |number| LogRecord::text(format!(r#"{{"number":{number}}}"#), 0);
    (0..count).map(line).collect()
}

fn names(world: &World) -> Vec<String> {
    world.objects().into_keys().collect()
}

#[tokio::test]
async fn a_rotation_in_the_second_of_the_one_before_has_another_name_even_after_a_restart() {
    let mut world = World::new().await;
    world.partitions.insert(0, records(2));
    let config = world.config(&[BY_SECOND, ("flush.size", "1")]);
    for _ in 0..2 {
        let mut task = world.task(&config).await;
        task.feed(&world, 0, 1).await.unwrap();
        task.flush(&world).await.unwrap();
    }
    assert_eq!(
        names(&world),
        [
            "topics/sales_20240310_063000+0+0000000001.json",
            "topics/sales_20240310_063000.json",
        ]
    );
    assert_eq!(world.lines(), [r#"{"number":0}"#, r#"{"number":1}"#]);
}

#[tokio::test]
async fn a_rotation_that_is_repeated_later_has_the_name_it_was_planned_with() {
    let mut world = World::new().await;
    world.partitions.insert(0, records(3));
    let config = world.config(&[BY_SECOND]);
    let mut task = world.task(&config).await;
    task.feed(&world, 0, 3).await.unwrap();
    world.server.faults().down(true);
    assert!(task.flush(&world).await.unwrap_err().is_retriable());
    assert_eq!(world.group.note_of(0), "sluice-s3/1 3@1710052200000");
    world.server.faults().down(false);
    world.clock.advance(std::time::Duration::from_secs(90));
    let mut task = world.task(&config).await;
    task.run_to_end(&world).await.unwrap();
    assert_eq!(names(&world), ["topics/sales_20240310_063000.json"]);
    assert_eq!(committed(&world, 0).unwrap().offset.value(), 3);
}

#[tokio::test]
async fn an_object_of_other_records_is_never_overwritten() {
    let mut world = World::new().await;
    world.partitions.insert(0, records(1));
    let template = (
        "file.name.template",
        "{{topic:without=_topic}}_{{timestamp:yyyyMMdd_HHmmss}}",
    );
    let config = world.config(&[template, ("flush.size", "1")]);
    world.task(&config).await.run_to_end(&world).await.unwrap();
    let before = world.objects();
    world.topic = "sales_topic".to_owned();
    let error = world.task(&config).await.run_to_end(&world).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(!error.is_retriable());
    let text = error.to_string();
    assert!(
        text.contains("from sales/0/0") && text.contains("from sales_topic/0/0"),
        "{text}"
    );
    assert_eq!(world.objects(), before);
}

#[tokio::test]
async fn a_server_that_knows_no_conditions_is_asked_before_an_object_is_written() {
    let mut world = World::new().await;
    world.server.faults().refuse_conditions(true);
    world.partitions.insert(0, records(1));
    let config = world.config(&[BY_SECOND, ("flush.size", "1")]);
    world.task(&config).await.run_to_end(&world).await.unwrap();
    let before = world.objects();
    assert_eq!(before.len(), 1);
    // Another topic that a transform gives the same name.
    world.topic = "other".to_owned();
    let mut task = world.task(&config).await;
    let mut record = task.record(0, 0, &records(1)[0]);
    record.topic = "sales".into();
    task.task.put(&mut vec![record]).await.unwrap();
    let error = task.flush(&world).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(world.objects(), before);
}

/// One Kafka partition whose records a transform has given to two topics, in turn; written twice.
async fn write_to_two_topics(log: &[LogRecord], config: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut world = World::new().await;
    world.partitions.insert(0, log.to_vec());
    let config = world.config(&[config, &[("flush.size", "4")]].concat());
    for _ in 0..2 {
        world.group.committed.lock().unwrap().clear();
        let mut task = world.task(&config).await;
        let log = log.iter().enumerate();
        let mut batch: Vec<_> = log
            .map(|(offset, record)| task.record(0, offset, record))
            .collect();
        for record in batch.iter_mut().skip(1).step_by(2) {
            record.topic = "other".into();
        }
        task.task.put(&mut batch).await.unwrap();
        task.flush(&world).await.unwrap();
    }
    let objects = world.objects().into_iter();
    objects
        .map(|(key, content)| (key, String::from_utf8(content).unwrap()))
        .collect()
}

#[tokio::test]
async fn records_that_a_transform_gives_to_two_topics_are_in_two_objects() {
    let even = "{\"number\":0}\n{\"number\":2}\n";
    let odd = "{\"number\":1}\n{\"number\":3}\n";
    for (config, names) in [
        (
            &[][..],
            [
                "topics/other/partition=0/other+0+0000000001.json",
                "topics/sales/partition=0/sales+0+0000000000.json",
            ],
        ),
        (
            &[BY_SECOND],
            [
                "topics/other_20240310_063000.json",
                "topics/sales_20240310_063000.json",
            ],
        ),
        (
            &[("file.name.template", "{{timestamp:yyyyMMdd_HHmmss}}")],
            [
                "topics/20240310_063000+0+0000000001.json",
                "topics/20240310_063000.json",
            ],
        ),
    ] {
        let objects = write_to_two_topics(&records(4), config).await;
        let expected = names
            .map(str::to_owned)
            .into_iter()
            .zip([odd, even].map(str::to_owned));
        assert_eq!(objects, expected.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn topics_in_one_partition_may_have_different_schemas() {
    let record = |number: usize| {
        let schema = ["int64", "int32"][number % 2];
        let text = format!(r#"{{"schema":{{"type":"{schema}"}},"payload":{number}}}"#);
        LogRecord::text(text, 0)
    };
    let log: Vec<_> = (0..4).map(record).collect();
    let objects = write_to_two_topics(&log, &[("value.converter.schemas.enable", "true")]).await;
    let contents: Vec<_> = objects.into_iter().map(|(_, content)| content).collect();
    assert_eq!(contents, ["1\n3\n", "0\n2\n"]);
}

/// Its offsets come again, its records do not.
#[tokio::test]
async fn objects_of_a_topic_that_was_made_anew_do_not_overwrite_those_before() {
    for template in [
        "{{topic}}/{{start_offset}}",
        "{{topic}}/{{partition}}-{{start_offset}}",
    ] {
        let mut world = World::new().await;
        let config = world.config(&[("file.name.template", template), ("flush.size", "1")]);
        world
            .partitions
            .insert(0, vec![LogRecord::text("1", 1_000)]);
        world.task(&config).await.run_to_end(&world).await.unwrap();
        let before = world.objects();
        world.group.committed.lock().unwrap().clear();
        // The same records again are the same object.
        world.task(&config).await.run_to_end(&world).await.unwrap();
        assert_eq!(world.objects(), before);
        world.group.committed.lock().unwrap().clear();
        world
            .partitions
            .insert(0, vec![LogRecord::text("2", 2_000)]);
        let error = world.task(&config).await.run_to_end(&world).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let text = error.to_string();
        assert!(
            text.contains("time 1000") && text.contains("time 2000"),
            "{text}"
        );
        assert_eq!(world.objects(), before);
    }
}

/// Two topics that a transform gives one name: the usual names would be the same, too.
#[tokio::test]
async fn renamed_topics_do_not_overwrite_each_other() {
    let mut world = World::new().await;
    world.partitions.insert(0, records(1));
    let config = world.config(&[("flush.size", "1")]);
    world.task(&config).await.run_to_end(&world).await.unwrap();
    world.topic = "other".to_owned();
    let mut task = world.task(&config).await;
    let mut record = task.record(0, 0, &records(1)[0]);
    record.topic = "sales".into();
    task.task.put(&mut vec![record]).await.unwrap();
    let error = task.flush(&world).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn an_object_whose_answer_was_lost_is_written_again() {
    let mut world = World::new().await;
    world.partitions.insert(0, records(3));
    let config = world.config(&[BY_SECOND]);
    let mut task = world.task(&config).await;
    task.feed(&world, 0, 3).await.unwrap();
    // The plan is committed and the object there, the last commit is not.
    let _durable = task.task.flush().await.unwrap();
    world.group.fail_next(CommitFault::None);
    world.task(&config).await.run_to_end(&world).await.unwrap();
    assert_eq!(names(&world).len(), 1);
    assert_eq!(world.lines().len(), 3);
}

#[tokio::test]
async fn templates_that_cannot_tell_objects_apart_are_refused() {
    let world = World::new().await;
    let by_path = [
        (
            "partitioner.class",
            "io.confluent.connect.storage.partitioner.DailyPartitioner",
        ),
        ("locale", "en"),
        ("timezone", "UTC"),
    ];
    let refused = |template: &'static str, more: &[(&str, &str)]| {
        let options = [&[("file.name.template", template)], more].concat();
        connector_from_map(&world.config(&options))
            .map(|_| ())
            .err()
    };
    for template in ["{{topic}}", "{{timestamp:HHmmss}}", "{{nothing}}"] {
        let error = refused(template, &[]).unwrap().to_string();
        assert!(error.contains("file.name.template"), "{error}");
    }
    let error = refused(BY_SECOND.1, &by_path).unwrap().to_string();
    assert!(error.contains("{{path}}"), "{error}");
    assert!(refused("{{path}}/{{timestamp:yyyyMMdd}}", &by_path).is_none());
}
