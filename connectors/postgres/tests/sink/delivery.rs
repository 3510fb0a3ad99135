//! What a reader of the table sees when connections, servers and tasks die.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use connect_core::ErrorKind;
use connect_core::data::{SinkRecord, TopicPartition};
use connect_core::testkit::Group;

use crate::harness::{DATABASE, config, join, json_record, partition, postgres, sink};

const EXACTLY: [(&str, &str); 2] = [
    ("delivery.guarantee", "exactly_once"),
    ("auto.create", "true"),
];

fn records(range: std::ops::Range<i64>) -> Vec<SinkRecord> {
    range
        .map(|offset| json_record("t", offset, &format!(r#"{{"n": {offset}}}"#)))
        .collect()
}

const CONTENT: &str = "SELECT count(*), count(DISTINCT n), min(n), max(n) FROM t";

#[tokio::test]
async fn after_a_crash_before_the_offset_commit_rows_appear_once() {
    let postgres = postgres();
    let config = config(&postgres, &EXACTLY);
    let group: Arc<Group> = Arc::default();
    let mut first = join(&config, "t", group.clone()).await;
    first.write(records(0..10)).await.unwrap();
    first.put(records(10..20)).await.unwrap();
    first.task.flush().await.unwrap();
    // The rows are there, the group does not know.
    drop(first);
    let mut second = join(&config, "t", group).await;
    second.write(records(10..30)).await.unwrap();
    assert_eq!(postgres.sql(DATABASE, CONTENT).unwrap(), "30|30|0|29");
    let offsets = "SELECT connector, topic, partition, next_offset, epoch FROM sluice_offsets";
    assert_eq!(postgres.sql(DATABASE, offsets).unwrap(), "rows|t|0|30|2");
}

/// A task dies at any moment: before, within and after its transaction, with and without the offset commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_die_at_random_leave_every_row_of_every_partition_once() {
    const END: i64 = 20_000;
    let postgres = postgres();
    let made = "CREATE TABLE t (topic text, n int)";
    postgres.sql(DATABASE, made).unwrap();
    let options = [
        EXACTLY[0],
        ("table.name.format", "t"),
        ("batch.size", "300"),
    ];
    let config = config(&postgres, &options);
    let group: Arc<Group> = Arc::default();
    let topics = ["a", "b"];
    let next = |topic: &str| group.committed(&TopicPartition::new(topic, 0)).unwrap_or(0);
    let mut random = fastrand::Rng::with_seed(11);
    let mut deaths = 0;
    while topics.iter().any(|topic| next(topic) < END) {
        let mut driver = join(&config, "a", group.clone()).await;
        driver.open(&[partition("b")]).await;
        let mut read = topics.map(next);
        for _ in 0..random.u8(1..6) {
            for (topic, from) in topics.iter().zip(&mut read) {
                let to = (*from + random.i64(0..900)).min(END);
                let json = |n| format!(r#"{{"topic": "{topic}", "n": {n}}}"#);
                let records = (*from..to).map(|n| json_record(topic, n, &json(n)));
                driver.put(records.collect()).await.unwrap();
                *from = to;
            }
            if random.bool() {
                let durable = driver.task.flush().await.unwrap();
                if random.bool() {
                    connect_core::plugin::SinkRuntime::commit(&*group, durable)
                        .await
                        .unwrap();
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(random.u64(0..30))).await;
        drop(driver);
        deaths += 1;
    }
    assert!(deaths > 5, "{deaths}");
    let content =
        "SELECT topic, count(*), count(DISTINCT n), min(n), max(n) FROM t GROUP BY 1 ORDER BY 1";
    let expected = "a|20000|20000|0|19999\nb|20000|20000|0|19999";
    assert_eq!(postgres.sql(DATABASE, content).unwrap(), expected);
}

#[tokio::test]
async fn at_least_once_inserts_replay_what_was_not_committed() {
    let postgres = postgres();
    let config = config(&postgres, &[("auto.create", "true")]);
    let group: Arc<Group> = Arc::default();
    let mut first = join(&config, "t", group.clone()).await;
    first.put(records(0..10)).await.unwrap();
    first.task.flush().await.unwrap();
    drop(first);
    let mut second = join(&config, "t", group).await;
    second.write(records(0..20)).await.unwrap();
    assert_eq!(postgres.sql(DATABASE, CONTENT).unwrap(), "30|20|0|19");
}

#[tokio::test]
async fn exactly_once_chosen_again_goes_on_where_at_least_once_has_left_off() {
    let postgres = postgres();
    let group: Arc<Group> = Arc::default();
    let exactly = config(&postgres, &EXACTLY);
    let at_least = config(&postgres, &EXACTLY[1..]);
    for (round, config) in (0..).zip([&exactly, &at_least, &exactly]) {
        let mut driver = join(config, "t", group.clone()).await;
        let mut new = records(round * 10..round * 10 + 10);
        driver.try_write(&mut new).await.unwrap();
    }
    assert_eq!(postgres.sql(DATABASE, CONTENT).unwrap(), "30|30|0|29");
}

#[tokio::test]
async fn a_table_under_the_name_of_the_offsets_that_is_not_ours_keeps_nobody_from_writing() {
    let postgres = postgres();
    let made = "CREATE TABLE sluice_offsets (other int); INSERT INTO sluice_offsets VALUES (1)";
    postgres.sql(DATABASE, made).unwrap();
    let config = config(&postgres, &EXACTLY[1..]);
    let mut driver = sink(&config, "t").await;
    driver.try_write(&mut records(0..10)).await.unwrap();
    assert_eq!(postgres.sql(DATABASE, CONTENT).unwrap(), "10|10|0|9");
}

#[tokio::test]
async fn a_task_that_has_lost_its_partition_writes_nothing_more() {
    let postgres = postgres();
    let config = config(&postgres, &EXACTLY);
    let mut zombie = sink(&config, "t").await;
    zombie.write(records(0..10)).await.unwrap();
    let mut owner = sink(&config, "t").await;
    owner.group.set(&TopicPartition::new("t", 0), 10);
    owner.write(records(10..20)).await.unwrap();
    let error = zombie.try_write(&mut records(10..15)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    // It begins anew, as the worker does after a conflict, and is no member any more.
    zombie.group.expel();
    zombie.reopen().await;
    let error = zombie.try_write(&mut records(10..15)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    owner.write(records(20..30)).await.unwrap();
    assert_eq!(postgres.sql(DATABASE, CONTENT).unwrap(), "30|30|0|29");
}

#[tokio::test]
async fn a_database_behind_its_group_makes_the_group_go_back() {
    let postgres = postgres();
    let config = config(&postgres, &EXACTLY);
    let partition = TopicPartition::new("t", 0);
    let group: Arc<Group> = Arc::default();
    let mut driver = join(&config, "t", group.clone()).await;
    driver.write(records(0..10)).await.unwrap();
    drop(driver);
    // A backup was restored.
    let restored = "DELETE FROM t WHERE n >= 4; UPDATE sluice_offsets SET next_offset = 4";
    postgres.sql(DATABASE, restored).unwrap();
    let mut driver = join(&config, "t", group.clone()).await;
    let error = driver.try_write(&mut records(10..12)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(group.committed(&partition), Some(4));
    driver.reopen().await;
    driver.write(records(4..12)).await.unwrap();
    assert_eq!(postgres.sql(DATABASE, CONTENT).unwrap(), "12|12|0|11");
}

/// Kills the server ten times while batches are written.
async fn survives_kills(options: &[(&str, &str)]) {
    let mut postgres = postgres();
    let config = config(&postgres, options);
    let done = Arc::new(AtomicBool::new(false));
    let finished = done.clone();
    let group: Arc<Group> = Arc::default();
    let mut driver = join(&config, "t", group).await;
    let writing = tokio::spawn(async move {
        let mut next = 0;
        while !finished.load(Ordering::SeqCst) {
            driver.write(records(next..next + 2000)).await.unwrap();
            next += 2000;
        }
        next
    });
    let killing = tokio::task::spawn_blocking(move || {
        let mut random = fastrand::Rng::with_seed(9);
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(random.u64(20..400)));
            postgres.kill9().unwrap();
            postgres.restart().unwrap();
        }
        postgres
    });
    let postgres = killing.await.unwrap();
    done.store(true, Ordering::SeqCst);
    let written = writing.await.unwrap();
    let expected = format!("{written}|{written}|0|{}", written - 1);
    assert_eq!(postgres.sql(DATABASE, CONTENT).unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_ten_times_holds_every_row_once() {
    survives_kills(&[EXACTLY[0], EXACTLY[1], ("batch.size", "500")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upserts_survive_a_server_killed_ten_times_without_an_offsets_table() {
    let options = [
        ("auto.create", "true"),
        ("insert.mode", "upsert"),
        ("pk.mode", "record_value"),
        ("pk.fields", "n"),
        ("batch.size", "500"),
    ];
    survives_kills(&options).await;
}

#[tokio::test]
async fn what_may_pass_is_tried_again_until_max_retries() {
    let postgres = postgres();
    for state in ["40001", "40P01", "57P01", "53200"] {
        let made = format!(
            "DROP TABLE IF EXISTS t; DROP SEQUENCE IF EXISTS tries; CREATE TABLE t (n int); CREATE SEQUENCE tries; \
             CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('tries') < 4 THEN RAISE EXCEPTION 'passing' USING ERRCODE = '{state}'; END IF; RETURN NEW; END $$; \
             CREATE TRIGGER fail BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION fail()"
        );
        // A statement's trigger returns nothing of use.
        postgres
            .sql(DATABASE, &made.replace("RETURN NEW", "RETURN NULL"))
            .unwrap();
        let mut driver = sink(&config(&postgres, &[]), "t").await;
        driver.write(records(0..5)).await.unwrap();
        assert_eq!(
            postgres.sql(DATABASE, CONTENT).unwrap(),
            "5|5|0|4",
            "{state}"
        );
        postgres
            .sql(DATABASE, "ALTER SEQUENCE tries RESTART")
            .unwrap();
        let mut driver = sink(&config(&postgres, &[("max.retries", "2")]), "t").await;
        let error = driver.write(records(5..10)).await.unwrap_err();
        assert!(
            error.to_string().contains("failed 3 times in a row"),
            "{error}"
        );
        assert!(error.trace().contains(state), "{}", error.trace());
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_again() {
    let postgres = postgres();
    let mut driver = sink(&config(&postgres, &EXACTLY), "t").await;
    for round in 0..5 {
        driver
            .write(records(round * 10..round * 10 + 10))
            .await
            .unwrap();
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sluice'";
        postgres.sql(DATABASE, cut).unwrap();
    }
    assert_eq!(postgres.sql(DATABASE, CONTENT).unwrap(), "50|50|0|49");
}

#[tokio::test]
async fn offsets_of_what_is_written_are_handed_out_although_the_server_is_gone() {
    let mut postgres = postgres();
    let config = config(&postgres, &[("auto.create", "true"), ("batch.size", "10")]);
    let mut driver = sink(&config, "t").await;
    // The second ten wait for the first to be written.
    driver.put(records(0..10)).await.unwrap();
    driver.put(records(10..20)).await.unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while !postgres
        .sql(DATABASE, CONTENT)
        .is_ok_and(|content| content.starts_with("20"))
    {
        assert!(Instant::now() < until, "the records are not written");
        // As the worker does: the next round submits what has gathered.
        driver.put(Vec::new()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    postgres.kill9().unwrap();
    driver.put(records(20..30)).await.unwrap_or(());
    let durable = driver.task.flush().await.unwrap();
    let offset = durable
        .get(&TopicPartition::new("t", 0))
        .map(|next| next.offset.value());
    assert_eq!(offset, Some(20));
    assert!(driver.task.flush().await.unwrap_err().is_retriable());
    postgres.restart().unwrap();
    driver.write(Vec::new()).await.unwrap();
    assert_eq!(postgres.sql(DATABASE, CONTENT).unwrap(), "30|30|0|29");
}

#[tokio::test]
async fn giving_up_a_partition_drops_what_waits_for_a_lock() {
    let postgres = postgres();
    postgres.sql(DATABASE, "CREATE TABLE t (n int)").unwrap();
    let mut driver = sink(&config(&postgres, &[]), "t").await;
    let blocker = tokio_postgres_session(&postgres).await;
    blocker.batch_execute("BEGIN; LOCK TABLE t").await.unwrap();
    driver.put(records(0..10)).await.unwrap();
    driver.close(&[partition("t")]).await;
    blocker.batch_execute("COMMIT").await.unwrap();
    driver.open(&[partition("t")]).await;
    driver.write(records(0..10)).await.unwrap();
    assert_eq!(postgres.sql(DATABASE, CONTENT).unwrap(), "10|10|0|9");
}

async fn tokio_postgres_session(postgres: &sluice_services::Postgres) -> tokio_postgres::Client {
    let mut config = tokio_postgres::Config::new();
    config
        .host("127.0.0.1")
        .port(postgres.port())
        .user(sluice_services::Postgres::USER)
        .password(sluice_services::Postgres::PASSWORD)
        .dbname(DATABASE);
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
