//! What the sink takes for granted of Snowflake: checked against the stand-in always, and against an account if one is
//! configured.
//!
//! `SLUICE_SNOWFLAKE_URL`, `_USER`, `_PASSWORD` or `_PRIVATE_KEY` (and `_PASSPHRASE`), `_DATABASE`, `_SCHEMA`, and, where the
//! user's defaults are not meant, `_ROLE` and `_WAREHOUSE`; then
//! `cargo test -p sluice-connector-snowflake assumptions -- --ignored`. What is made there is dropped at the end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connect_core::clock::ManualClock;
use connect_core::config::{ConfigMap, ConnectorConfig};
use connect_core::data::{Datum, Offset, SinkRecord, TopicPartition, Value};
use connect_core::plugin::{Assignment, Connector, MemoryBudget, SinkTaskContext, TaskId};
use connect_core::testkit::{self, Group};
use sluice_stand_in_snowflake::{SnowflakeOptions, SnowflakeStandIn};

use crate::config::SnowflakeSinkConfig;
use crate::error::SnowflakeError;
use crate::file::OpenFile;
use crate::naming::quoted;
use crate::session::{Rows, Session};
use crate::upload::Destination;

/// Options that an account may need, with what follows `SLUICE_SNOWFLAKE_`.
const VARIABLES: [(&str, &str); 9] = [
    ("snowflake.url.name", "URL"),
    ("snowflake.user.name", "USER"),
    ("snowflake.password", "PASSWORD"),
    ("snowflake.private.key", "PRIVATE_KEY"),
    ("snowflake.private.key.passphrase", "PASSPHRASE"),
    ("snowflake.database.name", "DATABASE"),
    ("snowflake.schema.name", "SCHEMA"),
    ("snowflake.role.name", "ROLE"),
    ("snowflake.warehouse.name", "WAREHOUSE"),
];

fn of_environment() -> ConfigMap {
    let value = |(option, variable): &(&str, &str)| {
        let value = std::env::var(format!("SLUICE_SNOWFLAKE_{variable}")).ok()?;
        Some(((*option).to_owned(), value))
    };
    VARIABLES.iter().filter_map(value).collect()
}

fn of_stand_in(server: &SnowflakeStandIn) -> ConfigMap {
    let url = server.url();
    let options = [
        ("snowflake.url.name", url.as_str()),
        ("snowflake.account.name", "testaccount"),
        ("snowflake.user.name", "loader"),
        ("snowflake.password", "test-secret"),
        ("snowflake.database.name", "SHOP"),
        ("snowflake.schema.name", "PUBLIC"),
    ];
    options
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Two sessions and names that nobody else has.
struct Account {
    config: Arc<SnowflakeSinkConfig>,
    one: Session,
    two: Session,
    table: String,
    stage: String,
    connector: String,
}

/// What a statement did: its rows, or the code of the refusal.
async fn outcome(session: &Session, sql: &str) -> Result<Rows, String> {
    session.run(sql).await.map_err(|error| match error {
        SnowflakeError::Refused { code, .. } => code,
        other => other.to_string(),
    })
}

async fn run(session: &Session, sql: &str) -> Rows {
    session.run(sql).await.unwrap()
}

impl Account {
    async fn new(config: &ConfigMap) -> Self {
        let config = Arc::new(SnowflakeSinkConfig::from_map(config).unwrap());
        let unique = format!("CHECK_{:016X}", fastrand::u64(..));
        let account = Self {
            one: Session::new(&config).unwrap(),
            two: Session::new(&config).unwrap(),
            config,
            table: quoted(&format!("SLUICE_{unique}")),
            stage: quoted(&format!("SLUICE_STAGE_{unique}")),
            connector: unique,
        };
        let table = &account.table;
        let create = format!("CREATE TABLE {table} (\"A\" NUMBER(10,0), \"B\" VARIANT)");
        run(&account.one, &create).await;
        let stage = &account.stage;
        let create =
            format!("CREATE TEMPORARY STAGE {stage} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')");
        run(&account.one, &create).await;
        account
    }

    async fn stage(&self, name: &str, content: &str) {
        let mut file = OpenFile::new();
        file.lines().extend_from_slice(content.as_bytes());
        let content: Bytes = file.finish().await.unwrap();
        let reply = self.one.put(&self.stage, "").await.unwrap();
        let destination = Destination::of(&reply).unwrap();
        let uploaded = destination.upload(name, content).await;
        assert!(uploaded.is_ok(), "{uploaded:?}");
    }

    fn copy(&self, file: &str) -> String {
        let (table, stage) = (&self.table, &self.stage);
        format!(
            "COPY INTO {table} (\"A\", \"B\") FROM (SELECT $1:\"a\"::NUMBER(10,0), $1:\"b\" FROM @{stage}/) \
             FILES = ('{file}') FILE_FORMAT = (TYPE = 'JSON' COMPRESSION = 'GZIP') ON_ERROR = ABORT_STATEMENT"
        )
    }

    fn insert(&self) -> String {
        format!("INSERT INTO {} (\"A\") VALUES (1)", self.table)
    }

    async fn count(&self, session: &Session) -> i64 {
        let sql = format!("SELECT COUNT(*)::VARCHAR FROM {}", self.table);
        let rows = run(session, &sql).await;
        rows.first().unwrap().parse().unwrap()
    }

    async fn empty(&self) {
        run(&self.one, &format!("DELETE FROM {}", self.table)).await;
    }

    /// A stage for whose files Snowflake does the encryption takes them as they are; COPY loads each once.
    async fn files_are_loaded_once(&self) {
        self.stage("1.json.gz", "{\"a\":1,\"b\":{\"c\":null}}\n{\"a\":2}\n")
            .await;
        let loaded = run(&self.one, &self.copy("1.json.gz")).await;
        assert_eq!(loaded.get(0, "status"), Some("LOADED"));
        assert_eq!(loaded.get(0, "rows_loaded"), Some("2"));
        let again = run(&self.one, &self.copy("1.json.gz")).await;
        let count = crate::copy::loaded(&again).unwrap();
        assert_eq!((count, self.count(&self.two).await), (0, 2));
        let forced = format!("{} FORCE = TRUE", self.copy("1.json.gz"));
        run(&self.one, &forced).await;
        assert_eq!(self.count(&self.two).await, 4);
        let missing = outcome(&self.one, &self.copy("2.json.gz")).await;
        assert_eq!(missing.err().as_deref(), Some("091016"));
        self.empty().await;
    }

    /// A load that is rolled back is forgotten, and may be repeated: else the sink has to use force.
    async fn the_history_of_loads_rolls_back(&self) {
        self.stage("3.json.gz", "{\"a\":3}\n").await;
        run(&self.one, "BEGIN TRANSACTION").await;
        run(&self.one, &self.copy("3.json.gz")).await;
        run(&self.one, "ROLLBACK").await;
        assert_eq!(self.count(&self.two).await, 0);
        let repeated = run(&self.one, &self.copy("3.json.gz")).await;
        assert_eq!(crate::copy::loaded(&repeated).unwrap(), 1);
        self.empty().await;
    }

    /// A statement that fails leaves the transaction open, with what was done before it.
    async fn a_failed_statement_ends_nothing(&self) {
        run(&self.one, "BEGIN TRANSACTION").await;
        let id = run(&self.one, "SELECT CURRENT_TRANSACTION()::VARCHAR AS \"ID\"").await;
        run(&self.one, &self.insert()).await;
        let failed = outcome(&self.one, &self.copy("nowhere.json.gz")).await;
        assert_eq!(failed.err().as_deref(), Some("091016"));
        let still = run(&self.one, "SELECT CURRENT_TRANSACTION()::VARCHAR AS \"ID\"").await;
        assert_eq!(still.first(), id.first());
        run(&self.one, "COMMIT").await;
        assert_eq!(self.count(&self.two).await, 1);
        self.empty().await;
    }

    /// With AUTOCOMMIT off, nothing is committed but by COMMIT and DDL; a BEGIN after a query is no error.
    async fn nothing_commits_by_itself(&self) {
        run(
            &self.one,
            "ALTER SESSION SET LOCK_TIMEOUT = 30 AUTOCOMMIT = FALSE",
        )
        .await;
        run(&self.one, "SELECT 1::VARCHAR AS \"ONE\"").await;
        run(&self.one, "BEGIN TRANSACTION").await;
        run(&self.one, &self.insert()).await;
        assert_eq!(self.count(&self.two).await, 0);
        run(&self.one, "ROLLBACK").await;
        run(&self.one, &self.insert()).await;
        assert_eq!(self.count(&self.two).await, 0);
        run(&self.one, "COMMIT").await;
        assert_eq!(self.count(&self.two).await, 1);
        run(&self.one, "ALTER SESSION SET AUTOCOMMIT = TRUE").await;
        self.empty().await;
    }

    /// DDL commits: that is why the sink never runs it in a transaction.
    async fn ddl_commits(&self) {
        run(&self.one, "BEGIN TRANSACTION").await;
        run(&self.one, &self.insert()).await;
        let again = format!("CREATE TABLE IF NOT EXISTS {} (\"A\" FLOAT)", self.table);
        run(&self.one, &again).await;
        run(&self.one, "ROLLBACK").await;
        assert_eq!(self.count(&self.two).await, 1);
        self.empty().await;
    }

    /// Who waits in vain for a table is told so, sees who holds it, and may abort that.
    async fn a_holder_can_be_seen_and_aborted(&self) {
        run(&self.one, &self.insert()).await;
        let update = format!(
            "MERGE INTO {} AS t USING (SELECT 1 AS one) AS s ON t.\"A\" = s.one \
             WHEN MATCHED THEN UPDATE SET \"A\" = 2",
            self.table
        );
        run(&self.one, "BEGIN TRANSACTION").await;
        let asked = run(&self.one, "SELECT CURRENT_TRANSACTION()::VARCHAR AS \"ID\"").await;
        run(&self.one, &update).await;
        run(&self.two, "ALTER SESSION SET LOCK_TIMEOUT = 1").await;
        let waited = outcome(&self.two, &update).await;
        assert_eq!(waited.err().as_deref(), Some("000625"));
        let locks = run(&self.two, "SHOW LOCKS").await;
        let table = self.table.trim_matches('"');
        let holder = crate::loader::holder_of(&locks, table);
        assert_eq!(holder.as_deref(), asked.first());
        let abort = format!("SELECT SYSTEM$ABORT_TRANSACTION('{}')", holder.unwrap());
        run(&self.two, &abort).await;
        // A commit of what was aborted is no error, and commits nothing.
        outcome(&self.one, "COMMIT").await.unwrap_or_default();
        let merged = run(&self.two, &update).await;
        assert_eq!(merged.first(), Some("1"));
        self.empty().await;
    }

    /// The whole way: rows, a restart with a replay, and each row once.
    async fn the_sink_delivers_each_record_once(&self) {
        let clock = ManualClock::default();
        for from in [0, 5] {
            let context = SinkTaskContext {
                task: TaskId {
                    connector: self.connector.as_str().into(),
                    task: 0,
                },
                clock: Arc::new(clock.clone()),
                runtime: Arc::new(Group::default()),
                memory: MemoryBudget::new(64 << 20).join(),
            };
            let mut task = self.config.sink_task(context).unwrap();
            let partition = TopicPartition::new(&*self.connector, 0);
            let committed = (from > 0).then(|| Offset::new(from).into());
            task.open(&[Assignment {
                partition: partition.clone(),
                committed,
            }])
            .await
            .unwrap();
            let mut records: Vec<_> = (from..from + 10).map(|n| self.record(n)).collect();
            task.put(&mut records).await.unwrap();
            clock.advance(Duration::from_secs(3600));
            let durable = task.flush().await.unwrap();
            let end = durable.get(&partition).map(|next| next.offset.value());
            assert_eq!(end, Some(from + 10));
        }
        let counted = format!(
            "SELECT COUNT(*)::VARCHAR AS \"ROWS_\", COUNT(DISTINCT RECORD_METADATA:\"offset\"::NUMBER(38,0))::VARCHAR \
             AS \"OFFSETS\" FROM {}",
            quoted(&crate::naming::sanitized(&self.connector))
        );
        let counted = run(&self.two, &counted).await;
        assert_eq!(counted.get(0, "ROWS_"), Some("15"));
        assert_eq!(counted.get(0, "OFFSETS"), Some("15"));
    }

    fn record(&self, offset: i64) -> SinkRecord {
        let partition = TopicPartition::new(&*self.connector, 0);
        let value = Datum::schemaless(Value::Int64(offset));
        testkit::record(partition, offset, Datum::null(), value)
    }

    async fn drop_all(&self) {
        let sanitized = crate::naming::sanitized(&self.connector);
        let offsets = crate::naming::ConnectorNames::of(&self.connector).offsets;
        for table in [self.table.clone(), quoted(&sanitized), quoted(&offsets)] {
            run(&self.one, &format!("DROP TABLE IF EXISTS {table}")).await;
        }
        let stage = crate::naming::ConnectorNames::of(&self.connector).stage;
        run(&self.one, &format!("DROP STAGE IF EXISTS {stage}")).await;
    }
}

async fn all_hold(config: &ConfigMap) {
    let typed = SnowflakeSinkConfig::from_map(config).unwrap();
    typed.start().await.unwrap();
    let account = Account::new(config).await;
    account.files_are_loaded_once().await;
    account.the_history_of_loads_rolls_back().await;
    account.a_failed_statement_ends_nothing().await;
    account.nothing_commits_by_itself().await;
    account.ddl_commits().await;
    account.a_holder_can_be_seen_and_aborted().await;
    account.the_sink_delivers_each_record_once().await;
    account.drop_all().await;
}

#[tokio::test]
async fn hold_in_the_stand_in() {
    let options = SnowflakeOptions::local(None);
    let server = SnowflakeStandIn::start(options).await.unwrap();
    all_hold(&of_stand_in(&server)).await;
    assert!(server.tables().is_empty(), "{:?}", server.tables());
}

#[tokio::test]
#[ignore = "needs an account: SLUICE_SNOWFLAKE_URL and others"]
async fn hold_in_an_account() {
    all_hold(&of_environment()).await;
}
