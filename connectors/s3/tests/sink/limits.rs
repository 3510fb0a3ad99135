//! Large objects, little memory, and what is refused.

use std::time::Duration;

use connect_core::config::connector_from_map;
use connect_core::plugin::MemoryBudget;
use connect_core::{ErrorKind, RetryVerdict};

use crate::harness::{LogRecord, World, committed};

fn large_records(count: usize) -> Vec<LogRecord> {
    (0..count)
        .map(|number| {
            let filler = fastrand::Rng::with_seed(number as u64);
            let text: String = std::iter::repeat_with({
                let mut filler = filler;
                move || filler.alphanumeric()
            })
            .take(1 << 20)
            .collect();
            LogRecord::text(format!("\"{text}\""), 0)
        })
        .collect()
}

fn content(records: &[LogRecord]) -> Vec<u8> {
    let mut content = Vec::new();
    for record in records {
        content.extend_from_slice(record.value.as_deref().unwrap());
        content.push(b'\n');
    }
    content
}

/// One object of 12 MiB in parts of 5, while one request in `faults` fails.
async fn write_in_parts(faults: u32) {
    let mut world = World::new().await;
    let records = large_records(12);
    let expected = content(&records);
    world.partitions.insert(0, records);
    world.server.faults().one_in(faults);
    let config = world.config(&[("flush.size", "12"), ("s3.part.size", "5242880")]);
    let mut tries = 0;
    while world.objects().len() != 1 || world.group.note_of(0).starts_with("sluice") {
        tries += 1;
        assert!(tries < 40, "no object after {tries} tasks");
        let mut task = world.task(&config).await;
        // Any failure: the next task goes on from what is committed.
        let _outcome = task.run_to_end(&world).await;
    }
    let (key, written) = world.objects().into_iter().next().unwrap();
    assert_eq!(key, "topics/sales/partition=0/sales+0+0000000000.json");
    assert!(written == expected, "{} bytes differ", written.len());
}

#[tokio::test]
async fn a_large_object_is_written_in_parts() {
    write_in_parts(0).await;
}

#[tokio::test]
async fn a_large_object_is_whole_although_requests_fail() {
    write_in_parts(4).await;
}

#[tokio::test]
async fn a_task_stays_within_its_memory() {
    let mut world = World::new().await;
    world.memory = MemoryBudget::new(3 << 20);
    world.partitions.insert(0, large_records(10));
    let expected = content(world.partitions.get(&0).unwrap()).len();
    let mut task = world.task(&world.config(&[("flush.size", "1000")])).await;
    for _ in 0..10 {
        task.feed(&world, 0, 1).await.unwrap();
        task.flush(&world).await.unwrap();
        assert!(task.task.buffered_bytes() <= 4 << 20);
    }
    let written: usize = world.objects().values().map(Vec::len).sum();
    assert!(written + task.task.buffered_bytes() >= expected);
    assert!(world.objects().len() > 1);
}

/// Whoever made the plan may only sleep and carry it out later: its objects must be the same then.
#[tokio::test]
async fn little_memory_does_not_cut_inside_a_plan() {
    let mut world = World::new().await;
    world.partitions.insert(0, large_records(6));
    let config = world.config(&[("flush.size", "4")]);
    let mut task = world.task(&config).await;
    task.feed(&world, 0, 4).await.unwrap();
    world.server.faults().down(true);
    assert!(task.flush(&world).await.unwrap_err().is_retriable());
    assert_eq!(world.group.note_of(0), "sluice-s3/1 4");
    world.server.faults().down(false);
    world.memory = MemoryBudget::new(1 << 20);
    let mut successor = world.task(&config).await;
    for _ in 0..6 {
        successor.feed(&world, 0, 1).await.unwrap();
        successor.flush(&world).await.unwrap();
    }
    let planned = &world.partitions.get(&0).unwrap()[..4];
    let objects = world.objects();
    let (key, written) = objects.first_key_value().unwrap();
    assert_eq!(key, "topics/sales/partition=0/sales+0+0000000000.json");
    assert!(*written == content(planned), "{} bytes", written.len());
    // What no plan has is cut as memory demands.
    assert_eq!(objects.len(), 3);
}

fn numbers(count: usize) -> Vec<LogRecord> {
    let number = |number: usize| LogRecord::text(number.to_string(), 0);
    (0..count).map(number).collect()
}

/// More rotations than a plan holds come at once: none of them stays behind, however often that happens.
#[tokio::test]
async fn a_flush_publishes_all_that_was_put_however_small_rotations_are() {
    let mut world = World::new().await;
    world.partitions.insert(0, numbers(500));
    let mut task = world.task(&world.config(&[("flush.size", "1")])).await;
    for count in [250, 500] {
        task.feed(&world, 0, 250).await.unwrap();
        task.flush(&world).await.unwrap();
        assert_eq!(world.objects().len(), count);
        assert_eq!(task.task.buffered_bytes(), 0);
        let end = i64::try_from(count).unwrap();
        assert_eq!(committed(&world, 0).unwrap().offset.value(), end);
    }
}

/// Two hours in turn: every record ends the rotation before it.
#[tokio::test]
async fn records_whose_paths_alternate_do_not_pile_up() {
    let mut world = World::new().await;
    let record = |number: i64| LogRecord::text(number.to_string(), number % 2 * 3_600_000);
    world.partitions.insert(0, (0..300).map(record).collect());
    let config = world.config(&[
        (
            "partitioner.class",
            "io.confluent.connect.storage.partitioner.HourlyPartitioner",
        ),
        ("timestamp.extractor", "Record"),
        ("rotate.interval.ms", "86400000"),
        ("locale", "en"),
        ("timezone", "UTC"),
    ]);
    let mut task = world.task(&config).await;
    task.feed(&world, 0, 300).await.unwrap();
    task.flush(&world).await.unwrap();
    assert_eq!(world.objects().len(), 299);
}

/// Records dropped by a transform count as done only after those before them.
#[tokio::test]
async fn an_offset_passed_by_while_records_wait_is_committed_after_them() {
    let mut world = World::new().await;
    world.partitions.insert(0, numbers(200));
    let mut task = world.task(&world.config(&[("flush.size", "1")])).await;
    task.feed(&world, 0, 200).await.unwrap();
    let partition = connect_core::data::TopicPartition::new("sales", 0);
    let next = connect_core::data::Offset::new(250);
    task.task.skipped(&partition, next).await.unwrap();
    world.server.faults().down(true);
    assert!(task.flush(&world).await.is_err());
    assert_eq!(committed(&world, 0).unwrap().offset.value(), 0);
    world.server.faults().down(false);
    task.flush(&world).await.unwrap();
    assert_eq!(world.lines().len(), 200);
    assert_eq!(committed(&world, 0).unwrap().offset, next);
}

/// The consumer must be polled now and then, or its group gives its partitions away.
#[tokio::test]
async fn a_flush_that_takes_long_comes_back_and_goes_on_later() {
    let mut world = World::new().await;
    world.partitions.insert(0, numbers(400));
    *world.group.slow.lock().unwrap() = Some((world.clock.clone(), Duration::from_secs(20)));
    let mut task = world.task(&world.config(&[("flush.size", "1")])).await;
    task.feed(&world, 0, 400).await.unwrap();
    let error = task.flush(&world).await.unwrap_err();
    assert_eq!(error.verdict(), RetryVerdict::After(Duration::ZERO));
    assert_eq!(world.objects().len(), 180);
    // At once: before an offset returned earlier can take the place of a plan.
    assert!(task.task.wake_at().is_some_and(|at| at.as_millis() == 0));
    while let Err(error) = task.flush(&world).await {
        assert!(error.is_retriable());
    }
    assert_eq!(world.lines().len(), 400);
    assert_eq!(committed(&world, 0).unwrap().offset.value(), 400);
    assert!(task.task.wake_at().is_none());
}

#[tokio::test]
async fn a_batch_that_is_larger_than_the_memory_is_not_encoded_at_once() {
    let mut world = World::new().await;
    world.memory = MemoryBudget::new(3 << 20);
    world.partitions.insert(0, large_records(8));
    let config = world.config(&[("flush.size", "1000"), ("s3.compression.type", "none")]);
    let mut task = world.task(&config).await;
    task.feed(&world, 0, 8).await.unwrap();
    task.flush(&world).await.unwrap();
    assert!(task.task.buffered_bytes() <= 3 << 20);
    assert_eq!(world.objects().len(), 2);
}

#[tokio::test]
async fn a_null_value_fails_the_task_and_names_the_record() {
    let mut world = World::new().await;
    let null = LogRecord {
        value: None,
        timestamp: 0,
    };
    world
        .partitions
        .insert(0, vec![LogRecord::text("1", 0), null]);
    let mut task = world.task(&world.config(&[])).await;
    let error = task.feed(&world, 0, 2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("sales-0 at offset 1"), "{error}");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named() {
    let world = World::new().await;
    let config = world.config(&[("s3.bucket.name", "nowhere")]);
    let error = connector_from_map(&config)
        .unwrap()
        .start()
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("Non-existent S3 bucket nowhere"),
        "{error}"
    );
}

#[tokio::test]
async fn wrong_credentials_fail_the_task_and_say_so() {
    let mut world = World::new().await;
    world.partitions.insert(0, vec![LogRecord::text("1", 0)]);
    let config = world.config(&[("aws.secret.access.key", "wrong"), ("flush.size", "1")]);
    let mut task = world.task(&config).await;
    task.feed(&world, 0, 1).await.unwrap();
    let error = task.flush(&world).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert!(!error.is_retriable());
    assert!(!error.trace().contains("wrong\""), "{}", error.trace());
}

/// Each of these is refused, by the name of the key.
#[tokio::test]
async fn wrong_options_are_refused_by_name() {
    let world = World::new().await;
    let wrong = [
        ("flush.size", "0"),
        ("flush.size", "many"),
        ("s3.part.size", "1000"),
        (
            "format.class",
            "io.confluent.connect.s3.format.avro.AvroFormat",
        ),
        ("partitioner.class", "org.example.MyPartitioner"),
        ("store.kafka.keys", "true"),
        ("timezone", "Mars/Olympus"),
        ("path.format", "'unclosed"),
        ("rotate.schedule.interval.ms", "60000"),
        ("behavior.on.null.values", "write"),
        ("schema.compatibility", "BACKWARD"),
    ];
    for (key, value) in wrong {
        let config = world.config(&[(key, value)]);
        let error = connector_from_map(&config).map(|_| ()).unwrap_err();
        let named = if key == "rotate.schedule.interval.ms" {
            "timezone"
        } else {
            key
        };
        assert!(error.to_string().contains(named), "{key}={value}: {error}");
    }
}
