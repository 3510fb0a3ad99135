//! A car dealer's six systems to CSV objects and to Postgres: real Kafka, real Postgres, an S3 server that fails; the
//! worker with the sinks is killed, then all three hold the same events.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sluice_services::{Kafka, KafkaOptions, Postgres, PostgresOptions};
use sluice_stand_in_s3::{S3Options, S3StandIn, list_objects};

use crate::support::{WorkerProcess, kcat, ready_config, wait_until};

const TYPES: [&str; 6] = [
    "sales",
    "payments",
    "interactions",
    "inventory",
    "procurement",
    "telemetry",
];
/// Events of each type.
const EVENTS: usize = 1000;
const BUCKET: &str = "automotive";
const CSV_SINK: &str = "s3-sink-automotive-csv";
const POSTGRES_SINK: &str = "postgres-sink-automotive";
const DUCKDB: &str = "duckdb==2.0.0";

/// What was produced: fields that are not null, by `event_id`.
type Events = BTreeMap<String, serde_json::Map<String, Value>>;
/// What a store holds: fields that are not null, as text, by `event_id`.
type Stored = BTreeMap<String, BTreeMap<String, String>>;

struct Services {
    kafka: Kafka,
    postgres: Postgres,
    s3: S3StandIn,
    folder: tempfile::TempDir,
}

impl Services {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let s3 = S3Options::local(folder.path().join("s3"), BUCKET);
        Ok(Self {
            kafka: Kafka::start(&KafkaOptions::default())?,
            postgres: Postgres::start(&PostgresOptions::default())?,
            s3: S3StandIn::start(s3).await?,
            folder,
        })
    }

    /// Topics of one and two partitions, the database, and a bucket that fails.
    fn prepare(&self) -> Result<()> {
        for (number, name) in (0..).zip(TYPES) {
            self.kafka.create_topic(&topic(name), 1 + number % 2, &[])?;
        }
        self.postgres.sql("postgres", "CREATE DATABASE warehouse")?;
        self.s3.faults().one_in(5);
        Ok(())
    }

    fn worker(&self, name: &str) -> Result<WorkerProcess> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder)?;
        WorkerProcess::start(&folder, Some(self.kafka.bootstrap()))
    }

    /// The generators have a worker of their own: killed, they would write their last events again.
    async fn deploy_sources(&self, worker: &WorkerProcess) -> Result<()> {
        let count = EVENTS.to_string();
        for name in TYPES {
            let changes = [("rate", "30"), ("count", count.as_str())];
            let name = format!("dealer-{name}-source");
            let config = ready_config(&format!("{name}.json"), &changes)?;
            worker.put_config(&name, &config).await?;
        }
        Ok(())
    }

    /// What the ready configs of the sinks have to be told here.
    fn sinks(&self) -> Result<[(&'static str, Value); 2]> {
        // A killed worker is missed sooner.
        let sooner = [
            ("consumer.override.session.timeout.ms", "6000"),
            ("consumer.override.heartbeat.interval.ms", "1000"),
        ];
        let store = self.s3.url();
        let mut to_s3 = vec![
            ("store.url", store.as_str()),
            ("aws.access.key.id", "test"),
            ("aws.secret.access.key", "test-secret"),
            ("s3.retry.backoff.ms", "20"),
            // Not five minutes: the last events are to be seen.
            ("rotate.schedule.interval.ms", "5000"),
        ];
        to_s3.extend(sooner);
        let warehouse = self.postgres.jdbc_url("warehouse");
        let mut to_postgres = vec![
            ("connection.url", warehouse.as_str()),
            ("connection.user", Postgres::USER),
            ("connection.password", Postgres::PASSWORD),
        ];
        to_postgres.extend(sooner);
        let config = |name: &str, changes: &[_]| ready_config(&format!("{name}.json"), changes);
        Ok([
            (CSV_SINK, config(CSV_SINK, &to_s3)?),
            (POSTGRES_SINK, config(POSTGRES_SINK, &to_postgres)?),
        ])
    }

    async fn deploy_sinks(&self, worker: &WorkerProcess) -> Result<()> {
        for (name, config) in self.sinks()? {
            worker.put_config(name, &config).await?;
        }
        Ok(())
    }

    fn objects(&self) -> Result<Vec<String>> {
        let objects = list_objects(self.s3.folder(), BUCKET)?;
        Ok(objects.into_iter().map(|(key, _)| key).collect())
    }

    fn path(&self, key: &str) -> PathBuf {
        self.s3.folder().join(BUCKET).join(key)
    }

    /// Rows in all objects. No text of these events holds a line break.
    fn rows_in_s3(&self) -> Result<usize> {
        let mut rows = 0;
        for key in self.objects()? {
            rows += std::fs::read_to_string(self.path(&key))?.lines().count() - 1;
        }
        Ok(rows)
    }

    fn rows_in_postgres(&self) -> Result<usize> {
        let mut rows = 0;
        for name in TYPES {
            let count = format!("SELECT count(*) FROM {}", topic(name));
            let answer = self.postgres.sql("warehouse", &count)?;
            rows += answer.trim().parse::<usize>()?;
        }
        Ok(rows)
    }
}

fn topic(name: &str) -> String {
    format!("{name}_topic")
}

/// The topic's events, read by kcat; an event that is there twice is an error.
fn in_kafka(kafka: &Kafka, topic: &str) -> Result<Events> {
    let mut events = Events::new();
    for line in kcat::lines(&kafka.bootstrap(), topic, "%s")? {
        let mut event: serde_json::Map<String, Value> = serde_json::from_str(&line)?;
        event.retain(|_, value| !value.is_null());
        let id = event.get("event_id").and_then(Value::as_str);
        let id = id.context("an event without event_id")?.to_owned();
        ensure!(
            events.insert(id.clone(), event).is_none(),
            "{id} is in {topic} twice"
        );
    }
    Ok(events)
}

/// An object as tests/it/read_csv.py prints it.
#[derive(serde::Deserialize)]
struct CsvFile {
    path: String,
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What a command prints; an error with its words if it fails.
fn output_of(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let (out, err) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8_lossy(out).into_owned();
    ensure!(output.status.success(), "{command:?}: {out}{err}");
    Ok(out)
}

/// The interpreter that knows DuckDB.
fn python() -> Result<PathBuf> {
    let path = output_of(Command::new(root().join("scripts/python.sh")).arg(DUCKDB))?;
    Ok(path.trim().into())
}

/// Every object, read by DuckDB.
fn read_objects(services: &Services) -> Result<Vec<CsvFile>> {
    let keys = services.objects()?;
    let output = output_of(
        Command::new(python()?)
            .arg(root().join("tests/it/read_csv.py"))
            .args(keys.iter().map(|key| services.path(key))),
    )?;
    let files: Vec<CsvFile> = output
        .lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect::<Result<_>>()?;
    ensure!(
        files.len() == keys.len(),
        "{} of {} objects were read",
        files.len(),
        keys.len()
    );
    Ok(files)
}

/// The rows of a type's objects; names and sizes are checked on the way.
fn in_s3(services: &Services, files: &[CsvFile], name: &str) -> Result<Stored> {
    let mut stored = Stored::new();
    let folder = services.path(name);
    for file in files {
        let path = Path::new(&file.path);
        if path.parent() != Some(&folder) {
            continue;
        }
        let object = path.file_name().unwrap_or_default().to_string_lossy();
        ensure!(
            is_named(&object, name),
            "an object of another name: {object}"
        );
        let count = file.rows.len();
        ensure!((1..=100).contains(&count), "{object} has {count} rows");
        for row in &file.rows {
            let cells = file.columns.iter().cloned().zip(row.iter().cloned());
            let row = cells.filter_map(|(column, cell)| Some((column, cell?)));
            insert(&mut stored, row.collect(), &object)?;
        }
    }
    Ok(stored)
}

/// `sales_20260226_102345.csv`, with `_<partition>_<start offset>` if the name alone would not be the only one.
fn is_named(object: &str, name: &str) -> bool {
    let stem = object
        .strip_prefix(name)
        .and_then(|rest| rest.strip_suffix(".csv"));
    let lengths = |stem: &str| -> Vec<usize> {
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let parts = stem.strip_prefix('_').unwrap_or_default().split('_');
        parts
            .map(|part| if digits(part) { part.len() } else { 0 })
            .collect()
    };
    stem.is_some_and(|stem| matches!(lengths(stem)[..], [8, 6] | [8, 6, 1, 10]))
}

fn in_postgres(postgres: &Postgres, table: &str) -> Result<Stored> {
    let rows = postgres.sql(
        "warehouse",
        &format!("SELECT row_to_json(t) FROM {table} t"),
    )?;
    let mut stored = Stored::new();
    for row in rows.lines() {
        let row: serde_json::Map<String, Value> = serde_json::from_str(row)?;
        let text = |(column, value): (String, Value)| match value {
            Value::Null => None,
            Value::String(text) => Some((column, text)),
            other => Some((column, other.to_string())),
        };
        insert(
            &mut stored,
            row.into_iter().filter_map(text).collect(),
            table,
        )?;
    }
    Ok(stored)
}

fn insert(stored: &mut Stored, row: BTreeMap<String, String>, place: &str) -> Result<()> {
    let id = row.get("event_id").context("a row without event_id")?;
    if let Some(other) = stored.insert(id.clone(), row) {
        bail!("a row of {place} is there twice: {other:?}");
    }
    Ok(())
}

/// The same events, each with the same fields; numbers by their value, since Postgres keeps no spelling.
fn assert_agree(events: &Events, stored: &Stored, place: &str) -> Result<()> {
    ensure!(
        events.len() == stored.len(),
        "{} events, {} in {place}",
        events.len(),
        stored.len()
    );
    for (id, event) in events {
        let row = stored
            .get(id)
            .with_context(|| format!("{id} is not in {place}"))?;
        let same = |(field, value): (&String, &Value)| {
            row.get(field).is_some_and(|cell| is_same(value, cell))
        };
        ensure!(
            event.len() == row.len() && event.iter().all(same),
            "{place} has {row:?} for {event:?}"
        );
    }
    Ok(())
}

fn is_same(value: &Value, cell: &str) -> bool {
    match value {
        Value::String(text) => text == cell,
        Value::Number(number) => cell.parse().ok() == number.as_f64(),
        Value::Bool(flag) => cell.parse() == Ok(*flag),
        // Nested values are not among these events' fields.
        _ => false,
    }
}

/// Each kill comes when both sinks have written since the last one, somewhere in mid-flight.
async fn kill_on_the_way(services: &Services, worker: &mut WorkerProcess) -> Result<()> {
    let mut chance = fastrand::Rng::with_seed(20_260_226);
    for kill in 0..5 {
        let (objects, rows) = (
            services.rows_in_s3()?,
            services.rows_in_postgres().unwrap_or(0),
        );
        let moved = wait_until("both sinks write", Duration::from_secs(60), || async {
            Ok(services.rows_in_s3()? > objects && services.rows_in_postgres()? > rows)
        });
        moved
            .await
            .with_context(|| format!("after kill {kill}: {}", worker.log()))?;
        tokio::time::sleep(Duration::from_millis(chance.u64(0..700))).await;
        worker.kill9()?;
        worker.launch()?;
    }
    ensure!(
        services.rows_in_s3()? < TYPES.len() * EVENTS,
        "the last kill came too late to show anything"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn six_topics_csv_objects_and_tables_agree_whatever_is_killed() -> Result<()> {
    let services = Services::start().await?;
    services.prepare()?;
    let generators = services.worker("generators")?;
    let mut worker = services.worker("sinks")?;
    services.deploy_sinks(&worker).await?;
    services.deploy_sources(&generators).await?;
    kill_on_the_way(&services, &mut worker).await?;

    let expected = TYPES.len() * EVENTS;
    let arrived = wait_until("all events arrive", Duration::from_secs(120), || async {
        Ok(services.rows_in_s3()? >= expected && services.rows_in_postgres()? >= expected)
    });
    arrived.await.with_context(|| worker.log())?;
    let files = read_objects(&services)?;
    for name in TYPES {
        let events = in_kafka(&services.kafka, &topic(name))?;
        ensure!(events.len() == EVENTS, "{} events of {name}", events.len());
        assert_agree(
            &events,
            &in_s3(&services, &files, name)?,
            &format!("S3, {name}"),
        )?;
        let table = topic(name);
        assert_agree(&events, &in_postgres(&services.postgres, &table)?, &table)?;
    }
    for sink in [CSV_SINK, POSTGRES_SINK] {
        assert_eq!(worker.states(sink).await?, "RUNNING [RUNNING, RUNNING]");
    }
    let injected = services.s3.faults().injected();
    ensure!(
        injected > 5,
        "{injected} faults are too few to show anything"
    );
    worker.stop()?;
    Ok(())
}
