//! What pages presuppose, at the addresses that they name: real services and stand-ins, each behind its usual port.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use axum::extract::Query;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use sluice_services::{Kafka, KafkaOptions, Postgres, PostgresOptions, kafka_jars};
use sluice_stand_in_s3::{S3Options, S3StandIn};
use sluice_stand_in_schema_registry::{Credentials, RegistryStandIn};
use sluice_stand_in_snowflake::{SnowflakeOptions, SnowflakeStandIn};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::support::SLUICE;

/// What a page says it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// `localhost:9092`
    Kafka,
    /// `localhost:5432`, user and password `postgres`
    Postgres,
    /// `localhost:9000` in the place of AWS: `AWS_ENDPOINT_URL_S3`
    S3,
    /// `localhost:8000/users`, and `data/in/users.csv`
    Users,
    /// `localhost:8081`
    SchemaRegistry,
    /// The stand-in; it starts when the page has made its key pair.
    Snowflake,
}

/// Python's packages that pages use.
const PACKAGES: [&str; 2] = ["duckdb==2.0.0", "awscli==1.45.11"];
const SNOWFLAKE_PORT: u16 = 8085;
/// `cargo run` is what a newcomer waits for a compiler with: here the binary is there already.
const CARGO: &str = r#"#!/bin/sh
[ "$1 $2 $3" = "run --release --" ] || exit 64
shift 3
echo "the binary that is there already, instead of cargo run: sluice $*"
exec sluice "$@"
"#;

/// Services die, and the folder is removed, when dropped.
pub(super) struct Surroundings {
    folder: TempDir,
    snowflake: Option<SnowflakeStandIn>,
    _kafka: Option<Kafka>,
    _postgres: Option<Postgres>,
    _s3: Option<S3StandIn>,
    _registry: Option<RegistryStandIn>,
}

/// Downloads, once for all: inside there is no network to get anything from.
pub(super) fn fetch() -> Result<()> {
    kafka_jars()?;
    python().map(|_| ())
}

impl Surroundings {
    pub(super) async fn start(needs: &[Need]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let has = |need| needs.contains(&need);
        let mut all = Self {
            snowflake: None,
            _kafka: has(Need::Kafka)
                .then(|| Kafka::start(&KafkaOptions::default()))
                .transpose()?,
            _postgres: has(Need::Postgres).then(postgres).transpose()?,
            _s3: None,
            _registry: None,
            folder,
        };
        all.copy_tree()?;
        all.make_programs()?;
        if let Some(kafka) = &all._kafka {
            let port = kafka
                .bootstrap()
                .rsplit(':')
                .next()
                .context("a port")?
                .parse()?;
            forward(9092, port).await?;
        }
        if let Some(postgres) = &all._postgres {
            forward(5432, postgres.port()).await?;
        }
        if has(Need::S3) {
            all._s3 = Some(s3(&all.folder.path().join("s3")).await?);
        }
        if has(Need::SchemaRegistry) {
            let registry = RegistryStandIn::start(Credentials::Anyone).await?;
            let port = registry
                .url()
                .rsplit(':')
                .next()
                .context("a port")?
                .parse()?;
            forward(8081, port).await?;
            all._registry = Some(registry);
        }
        if has(Need::Users) {
            all.serve_users().await?;
        }
        Ok(all)
    }

    /// The fresh clone.
    pub(super) fn tree(&self) -> PathBuf {
        self.folder.path().join("sluice")
    }

    pub(super) fn outputs(&self) -> &Path {
        self.folder.path()
    }

    /// The environment of the user's shell.
    pub(super) fn variables(&self) -> Result<Vec<(&'static str, String)>> {
        let programs = [
            self.programs(),
            python()?.parent().context("a folder")?.to_owned(),
        ];
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = programs.into_iter().chain(std::env::split_paths(&path));
        let path = std::env::join_paths(path)?.to_string_lossy().into_owned();
        Ok(vec![
            ("PATH", path),
            ("AWS_ENDPOINT_URL_S3", "http://localhost:9000".to_owned()),
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
            ("PGPASSWORD", "postgres".to_owned()),
        ])
    }

    /// What someone with the right to it does in Snowflake: the user gets the public key of the page's key pair.
    pub(super) async fn alter_user(&mut self) -> Result<()> {
        let key = fs::read_to_string(self.tree().join("keys/rsa_key.pub"))?;
        let mut options = SnowflakeOptions::local(Some(key));
        options.address.set_port(SNOWFLAKE_PORT);
        options.account = "XY12345".to_owned();
        options.database = "RETAIL".to_owned();
        options.schema = "SALES".to_owned();
        options.warehouses = vec!["KAFKA_LOADING".to_owned()];
        for user in &mut options.users {
            user.name = "KAFKA_LOADER".to_owned();
            user.roles = vec!["KAFKA_CONNECTOR".to_owned()];
            user.default_warehouse = None;
        }
        self.snowflake = Some(SnowflakeStandIn::start(options).await?);
        Ok(())
    }

    /// Rows of the table that the page on Snowflake loads; `None` without Snowflake.
    pub(super) fn rows_in_snowflake(&self) -> Option<usize> {
        let snowflake = self.snowflake.as_ref()?;
        let tables = snowflake.tables();
        let table = tables.iter().find(|table| *table == "SALES_EVENTS");
        Some(table.map_or(0, |table| snowflake.row_count(table)))
    }

    /// The files that git knows, as they are now: what a clone has after the next commit.
    fn copy_tree(&self) -> Result<()> {
        const COPY: &str = r#"git ls-files -z | xargs -0 sh -c 'for f; do [ -f "$f" ] && printf "%s\0" "$f"; done; :' sh | tar --null -T - -c | tar -x -C "$1""#;
        fs::create_dir(self.tree())?;
        let mut copy = Command::new("bash");
        copy.args(["-o", "pipefail", "-c", COPY, "copy"])
            .arg(self.tree());
        let status = copy.current_dir(env!("CARGO_MANIFEST_DIR")).status()?;
        ensure!(status.success(), "the tree cannot be copied");
        Ok(())
    }

    fn programs(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    /// The binary, and the tools that Kafka's users have.
    fn make_programs(&self) -> Result<()> {
        fs::create_dir(self.programs())?;
        std::os::unix::fs::symlink(SLUICE, self.programs().join("sluice"))?;
        let jars = kafka_jars()?;
        let jars = jars.display();
        let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
        let tool = format!(
            "#!/bin/sh\nexec java -Xmx128m -XX:TieredStopAtLevel=1 -cp '{jars}/*' {class} \"$@\"\n"
        );
        for (name, text) in [("cargo", CARGO), ("kafka-consumer-groups.sh", &tool)] {
            let path = self.programs().join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    async fn serve_users(&self) -> Result<()> {
        let folder = self.tree().join("data/in");
        fs::create_dir_all(&folder)?;
        fs::write(
            folder.join("users.csv"),
            "id,name\n1001,\"Doe, Jane\"\n1002,Max\n",
        )?;
        let listener = TcpListener::bind("127.0.0.1:8000").await?;
        let router = Router::new().route("/users", get(users));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct Page {
    page: usize,
}

/// Three users, on the first page.
async fn users(Query(page): Query<Page>) -> Json<Value> {
    let ids = if page.page == 1 { 1..4 } else { 0..0 };
    let rows: Vec<_> = ids
        .map(|id| json!({ "id": id, "name": format!("user {id}") }))
        .collect();
    Json(json!({ "data": rows }))
}

fn postgres() -> Result<Postgres> {
    let postgres = Postgres::start(&PostgresOptions::default())?;
    postgres.sql(
        "postgres",
        "CREATE ROLE postgres SUPERUSER LOGIN PASSWORD 'postgres'",
    )?;
    Ok(postgres)
}

async fn s3(folder: &Path) -> Result<S3StandIn> {
    let mut options = S3Options::local(folder, "bronze");
    options.buckets.push("automotive".to_owned());
    options.address.set_port(9000);
    Ok(S3StandIn::start(options).await?)
}

/// What connects to `port` reaches the service at `service`.
async fn forward(port: u16, service: u16) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", service)).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    Ok(())
}

/// The interpreter that knows the packages.
fn python() -> Result<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/python.sh");
    let output = Command::new(script)
        .args(PACKAGES)
        .output()
        .context("starting python.sh")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "python.sh: {said}");
    Ok(String::from_utf8(output.stdout)?.trim().into())
}
