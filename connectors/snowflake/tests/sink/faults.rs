//! What Snowflake and the network do to a task that is not to blame, and what is for a person to mend.

use std::time::Duration;

use connect_core::testkit::SinkDriver;
use connect_core::{ErrorKind, RetryVerdict};
use sluice_stand_in_snowflake::{Fault, Point, SnowflakeOptions};

use crate::harness::{OFFSETS, STAGE, World, each_once, json_record, numbered, partition};
use crate::keys::registered;

const STATEMENTS: [Point; 6] = [
    Point::Put,
    Point::Begin,
    Point::Copy,
    Point::Merge,
    Point::Commit,
    Point::Remove,
];

/// A task that has loaded ten records.
async fn underway(world: &World) -> SinkDriver {
    let mut driver = world.driver(&[]).await;
    driver.write(numbered(0, 0..10)).await.unwrap();
    driver
}

/// It loads ten more, each once.
async fn goes_on(world: &World, mut driver: SinkDriver) {
    driver.write(numbered(0, 10..20)).await.unwrap();
    assert_eq!(world.places("SALES"), each_once(1, 20));
}

/// Something happens while it hangs at a point of the next ten; each is loaded once all the same.
async fn survives_meanwhile(point: Point, happens: impl FnOnce(&World)) {
    let world = World::new().await;
    let driver = underway(&world).await;
    world.server.faults().next(point, Fault::HangBefore);
    let meanwhile = async {
        world.server.faults().hung().await;
        happens(&world);
        world.server.faults().release();
    };
    tokio::join!(goes_on(&world, driver), meanwhile);
}

/// A task that has loaded ten records meets the fault while it loads ten more.
async fn survives(world: &World, point: Point, fault: Fault, times: u32) {
    let mut driver = world.driver(&[]).await;
    let begin = world.group.committed(&partition(0)).unwrap_or(0);
    driver.write(numbered(0, begin..begin + 10)).await.unwrap();
    world.server.faults().times(point, fault, times);
    let more = numbered(0, begin + 10..begin + 20);
    driver.write(more).await.unwrap();
    assert_eq!(world.places("SALES"), each_once(1, begin + 20));
}

#[tokio::test]
async fn a_session_token_that_expires_is_renewed_and_the_transaction_goes_on() {
    let world = World::with(SnowflakeOptions::local(Some(registered().public.clone()))).await;
    for point in STATEMENTS {
        survives(&world, point, Fault::Expire, 1).await;
    }
    // Every task had one session, whatever happened to its token.
    assert_eq!(world.server.logins(), STATEMENTS.len() as u64);
}

#[tokio::test]
async fn a_session_that_cannot_be_renewed_is_opened_anew() {
    let mut options = SnowflakeOptions::local(None);
    options.master_validity = Duration::ZERO;
    let world = World::with(options).await;
    let driver = underway(&world).await;
    // As after four hours of silence.
    world.server.expire_sessions();
    goes_on(&world, driver).await;
    assert_eq!(world.server.logins(), 2);
}

#[tokio::test]
async fn tokens_that_hold_for_a_moment_only_do_no_harm() {
    let mut options = SnowflakeOptions::local(None);
    options.session_validity = Duration::from_millis(30);
    let world = World::with(options).await;
    let mut driver = world.driver(&[]).await;
    for batch in 0..20 {
        let records = numbered(0, batch * 5..batch * 5 + 5);
        driver.write(records).await.unwrap();
    }
    assert_eq!(world.places("SALES"), each_once(1, 100));
}

#[tokio::test]
async fn a_session_that_is_gone_in_mid_transaction_is_opened_anew() {
    for point in [Point::Copy, Point::Merge, Point::Commit, Point::Remove] {
        survives_meanwhile(point, |world| world.server.end_sessions()).await;
    }
}

/// By an administrator, or by Snowflake: the session goes on without it.
#[tokio::test]
async fn a_transaction_that_somebody_aborts_is_begun_anew() {
    for point in [Point::Copy, Point::Merge, Point::Commit] {
        survives_meanwhile(point, |world| {
            let open = world.server.sql("SHOW TRANSACTIONS").unwrap();
            let id = open[0][0].as_str().unwrap();
            let abort = format!("SELECT SYSTEM$ABORT_TRANSACTION('{id}')");
            world.server.sql(&abort).unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn a_storm_of_503_and_429_passes() {
    let world = World::new().await;
    survives(&world, Point::Statement, Fault::Status(503), 3).await;
    survives(&world, Point::Statement, Fault::Status(429), 3).await;
    survives(&world, Point::Upload, Fault::Status(503), 2).await;
}

#[tokio::test]
async fn a_storm_that_outlasts_the_tries_of_a_request_is_tried_again_by_the_worker() {
    let world = World::new().await;
    let mut driver = underway(&world).await;
    world
        .server
        .faults()
        .times(Point::Merge, Fault::Status(503), 6);
    let error = driver
        .try_write(&mut numbered(0, 10..20))
        .await
        .unwrap_err();
    assert!(error.is_retriable());
    assert_eq!(error.kind(), ErrorKind::External);
    assert!(
        error.trace().contains("503 after 6 attempts"),
        "{}",
        error.trace()
    );
    driver.write(Vec::new()).await.unwrap();
    assert_eq!(world.places("SALES"), each_once(1, 20));
}

#[tokio::test]
async fn connections_that_are_cut_cost_nothing() {
    let world = World::new().await;
    for point in STATEMENTS.into_iter().chain([Point::Upload]) {
        survives(&world, point, Fault::CutBefore, 1).await;
        survives(&world, point, Fault::CutAfter, 1).await;
    }
}

/// As a COPY of 30 s: the server says "in progress" again and again.
#[tokio::test]
async fn a_statement_in_progress_is_waited_for() {
    let world = World::new().await;
    let while_ = Duration::from_millis(700);
    for point in [Point::Copy, Point::Merge, Point::Commit] {
        survives(&world, point, Fault::InProgress(while_), 1).await;
    }
}

#[tokio::test]
async fn a_token_that_expires_while_a_statement_is_in_progress_is_renewed() {
    let world = World::new().await;
    let driver = underway(&world).await;
    let pause = Fault::InProgress(Duration::from_millis(600));
    world.server.faults().next(Point::Copy, pause);
    let expires = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.server.expire_sessions();
    };
    tokio::join!(goes_on(&world, driver), expires);
}

#[tokio::test]
async fn leave_to_upload_that_has_expired_is_asked_for_again() {
    let world = World::new().await;
    let driver = underway(&world).await;
    world.server.expire_uploads();
    goes_on(&world, driver).await;
}

#[tokio::test]
async fn what_somebody_drops_is_made_anew() {
    let world = World::new().await;
    let mut driver = underway(&world).await;
    world.server.drop_table("SALES");
    driver.write(numbered(0, 10..20)).await.unwrap();
    assert_eq!(world.places("SALES").len(), 10);
    world.server.drop_stage(STAGE);
    driver.write(numbered(0, 20..30)).await.unwrap();
    assert_eq!(world.places("SALES").len(), 20);
    world.server.drop_table(OFFSETS);
    let log = numbered(0, 0..40);
    driver.deliver(&log).await.unwrap();
    assert_eq!(world.places("SALES").len(), 30);
    assert_eq!(world.group.committed(&partition(0)), Some(40));
}

#[tokio::test]
async fn a_staged_file_that_vanishes_before_it_is_loaded_is_staged_again() {
    survives_meanwhile(Point::Copy, |world| world.server.empty_stage(STAGE)).await;
}

#[tokio::test]
async fn what_stays_missing_fails_the_task() {
    let world = World::new().await;
    let mut driver = underway(&world).await;
    world
        .server
        .faults()
        .times(Point::Copy, Fault::Refuse("002003"), 100);
    let error = driver.write(numbered(0, 10..20)).await.unwrap_err();
    assert!(!error.is_retriable());
    assert!(error.trace().contains("002003"), "{}", error.trace());
    assert_eq!(world.places("SALES"), each_once(1, 10));
}

#[tokio::test]
async fn a_suspended_warehouse_is_named_and_waited_for() {
    let world = World::new().await;
    let mut driver = underway(&world).await;
    world.server.suspend_warehouse(true);
    let error = driver
        .try_write(&mut numbered(0, 10..20))
        .await
        .unwrap_err();
    assert!(matches!(error.verdict(), RetryVerdict::After(_)));
    assert!(error.trace().contains("warehouse"), "{}", error.trace());
    world.server.suspend_warehouse(false);
    driver.write(Vec::new()).await.unwrap();
    assert_eq!(world.places("SALES"), each_once(1, 20));
}

#[tokio::test]
async fn a_role_that_loses_a_privilege_fails_the_task() {
    let world = World::new().await;
    let mut driver = underway(&world).await;
    world
        .server
        .faults()
        .next(Point::Copy, Fault::Refuse("003001"));
    let error = driver.write(numbered(0, 10..20)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert!(!error.is_retriable());
    assert_eq!(world.server.open_transactions(), 0);
    assert_eq!(world.places("SALES"), each_once(1, 10));
}

#[tokio::test]
async fn a_password_that_was_changed_fails_the_next_login() {
    let world = World::new().await;
    let mut driver = world.driver(&[("snowflake.password", "old")]).await;
    let error = driver.write(numbered(0, 0..10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert!(error.trace().contains("390100"), "{}", error.trace());
}

#[tokio::test]
async fn a_row_that_its_table_refuses_fails_the_task_and_loads_nothing() {
    let world = World::new().await;
    let made = "CREATE TABLE sales (RECORD_METADATA VARIANT, RECORD_CONTENT NUMBER(2,0))";
    world.server.sql(made).unwrap();
    let mut driver = world.driver(&[]).await;
    let records = vec![json_record(0, "12"), json_record(1, "1234")];
    let error = driver.write(records).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(!error.is_retriable());
    assert!(world.rows("SALES").is_empty());
    assert_eq!(world.group.committed(&partition(0)), Some(0));
}
