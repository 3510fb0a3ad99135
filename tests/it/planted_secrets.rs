//! Secrets planted wherever a user may put one, written out as they are, not behind placeholders: none is told to anybody.
//!
//! What must hold them, and is left out: the files the user wrote, the worker's own store of connector configs, and the answers
//! that give a connector's config back (Kafka Connect's own form: a create, a change, `/config`, `/tasks`, `expand=info`).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Map, Value, json};
use sluice_services::{Service, free_port};

use crate::support::{SLUICE, ready_config, wait_until};

/// Each secret is this and a number.
const PLANTED: &str = "pl4nted-";

/// Secrets given out so far.
#[derive(Default)]
struct Planter(usize);

impl Planter {
    fn secret(&mut self) -> String {
        self.0 += 1;
        format!("{PLANTED}{:03}", self.0)
    }

    fn login(&mut self) -> String {
        let secret = self.secret();
        format!("org.example.PlainLoginModule required username=\"u\" password=\"{secret}\";")
    }
}

/// A worker that logs all it can.
struct Worker {
    port: u16,
    password: String,
    _service: Service,
}

/// The worker's properties, with a secret in each that takes one.
fn properties(folder: &Path, port: u16, planter: &mut Planter) -> Result<(String, String)> {
    let password = planter.secret();
    let users = folder.join("users.properties");
    std::fs::write(&users, format!("admin={password}\n"))?;
    let mut lines = vec![
        format!("listeners=http://127.0.0.1:{port}"),
        format!("data.dir={}", folder.join("data").display()),
        "key.converter=org.apache.kafka.connect.storage.StringConverter".to_owned(),
        "value.converter=org.apache.kafka.connect.json.JsonConverter".to_owned(),
        "value.converter.schemas.enable=false".to_owned(),
        "rest.extension.classes=org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension".to_owned(),
        format!("rest.basic.auth.file={}", users.display()),
        "security.protocol=SASL_SSL".to_owned(),
        "sasl.mechanism=PLAIN".to_owned(),
        format!("sasl.jaas.config={}", planter.login()),
    ];
    for key in [
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.truststore.password",
        "listeners.https.ssl.key.password",
        "some.unknown.password",
    ] {
        lines.push(format!("{key}={}", planter.secret()));
    }
    let basic = planter.secret();
    lines.push(format!("value.converter.basic.auth.user.info=u:{basic}"));
    Ok((lines.join("\n") + "\n", password))
}

impl Worker {
    async fn start(folder: &Path, format: &str, planter: &mut Planter) -> Result<Self> {
        let port = free_port()?;
        let (text, password) = properties(folder, port, planter)?;
        let path = folder.join("worker.properties");
        std::fs::write(&path, text)?;
        let mut command = Command::new(SLUICE);
        command.args(["worker", "--log-format", format]).arg(path);
        command.env("RUST_LOG", "trace");
        let service = Service::start(&command, &folder.join("worker.log"))?;
        let worker = Self {
            port,
            password,
            _service: service,
        };
        wait_until("it answers", Duration::from_secs(30), || async {
            let asked = worker.request(Method::GET, "/").send().await;
            Ok(asked.is_ok_and(|answer| answer.status().is_success()))
        })
        .await?;
        Ok(worker)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let request = Client::new().request(method, url);
        request.basic_auth("admin", Some(&self.password))
    }

    /// Status and body of an answer.
    async fn said(&self, method: Method, path: &str, body: Option<&Value>) -> Result<String> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        Ok(format!("{} {}", answer.status(), answer.text().await?))
    }
}

/// Connectors that cannot reach what they write to or read from, with a secret in every option that takes one.
fn connectors(folder: &Path, planter: &mut Planter) -> Result<Vec<(String, Value)>> {
    let nowhere = "127.0.0.1:1";
    let key = [("aws.access.key.id", "AKIA")];
    let mut s3 = ready_config("s3-sink-sales.json", &key)?;
    s3["store.url"] = json!(format!("http://{nowhere}"));
    s3["aws.secret.access.key"] = json!(planter.secret());
    let mut postgres = ready_config("postgres-sink-data-stream.json", &[])?;
    let in_url = planter.secret();
    postgres["connection.url"] = json!(format!("jdbc:postgresql://{nowhere}/d?password={in_url}"));
    postgres
        .as_object_mut()
        .context("a config")?
        .remove("transforms");
    postgres["connection.password"] = json!(planter.secret());
    let mut url_only = postgres.clone();
    url_only
        .as_object_mut()
        .context("a config")?
        .remove("connection.password");
    let mut snowflake = ready_config("snowflake_connector_password.json", &[])?;
    snowflake["snowflake.url.name"] = json!(format!("http://{nowhere}"));
    snowflake["snowflake.user.name"] = json!("loader");
    snowflake["snowflake.password"] = json!(planter.secret());
    let mut by_key = snowflake.clone();
    by_key
        .as_object_mut()
        .context("a config")?
        .remove("snowflake.password");
    by_key["snowflake.private.key"] = json!(planter.secret());
    by_key["snowflake.private.key.passphrase"] = json!(planter.secret());
    let mut http = ready_config("http-source-users.json", &[])?;
    let (user, token, query) = (planter.secret(), planter.secret(), planter.secret());
    http["http.url"] = json!(format!("http://u:{user}@{nowhere}/users"));
    http["http.headers.secret"] = json!(format!("X-Token: {token}"));
    http["http.query.secret"] = json!(format!("key={query}"));
    let mut basic = ready_config("http-source-users.json", &[])?;
    basic["http.url"] = json!(format!("http://{nowhere}/users"));
    basic["auth.type"] = json!("basic");
    basic["connection.user"] = json!("u");
    basic["connection.password"] = json!(planter.secret());
    let mut bearer = ready_config("http-source-users.json", &[])?;
    bearer["http.url"] = json!(format!("http://{nowhere}/users"));
    bearer["auth.type"] = json!("bearer");
    bearer["bearer.token"] = json!(planter.secret());
    let proxy = planter.secret();
    bearer["http.proxy.url"] = json!(format!("http://u:{proxy}@{nowhere}"));
    let sink = json!({
        "connector.class": "FileStreamSink",
        "file": folder.join("out.txt"),
        "topics": "t",
        "consumer.override.sasl.jaas.config": planter.login(),
        "errors.deadletterqueue.topic.name": "t-dead",
        "producer.override.ssl.key.password": planter.secret(),
        "admin.override.sasl.jaas.config": planter.login(),
    });
    let registry = planter.secret();
    let avro = json!({
        "connector.class": "FileStreamSource",
        "file": folder.join("in.txt"),
        "topic": "avro",
        "value.converter": "io.confluent.connect.avro.AvroConverter",
        "value.converter.schema.registry.url": format!("http://u:{registry}@{nowhere}"),
        "value.converter.basic.auth.credentials.source": "USER_INFO",
        "value.converter.basic.auth.user.info": format!("u:{}", planter.secret()),
    });
    std::fs::write(folder.join("in.txt"), "a line\n")?;
    // What gives the sinks something to write.
    let events = |topic: &str| {
        json!({
            "connector.class": "sluice.datagen.DatagenSourceConnector",
            "kafka.topic": topic,
            "event.type": "sales",
            "count": "5",
        })
    };
    let all = [
        ("events", events("sales_events")),
        ("stream", events("data-stream")),
        ("s3", s3),
        ("postgres", postgres),
        ("postgres-url", url_only),
        ("snowflake", snowflake),
        ("snowflake-key", by_key),
        ("http", http),
        ("http-basic", basic),
        ("http-bearer", bearer),
        ("file", sink),
        ("avro", avro),
    ];
    let named = all.map(|(name, mut config)| {
        config["name"] = json!(name);
        (name.to_owned(), config)
    });
    Ok(named.into())
}

/// The configs, each with a value that is refused beside its secrets.
fn wrong(config: &Value) -> Value {
    let mut config = config.clone();
    config["tasks.max"] = json!("many");
    config
}

/// Options whose value `validate` gives back although it holds a secret, as Kafka Connect does: those that are no passwords.
fn without_given_back(body: &str) -> Result<String> {
    let (status, json) = body.split_once(' ').context("a status")?;
    let json = json.trim_start_matches(|first: char| first != '{');
    let Ok(mut infos) = serde_json::from_str::<Value>(json) else {
        return Ok(body.to_owned());
    };
    for info in infos["configs"].as_array_mut().into_iter().flatten() {
        let kind = &info["definition"]["type"];
        let is_text = kind == "STRING" || kind == "LIST" || kind.is_null();
        if is_text && let Some(value) = info["value"].as_object_mut() {
            value.remove("value");
        }
    }
    Ok(format!("{status} {infos}"))
}

/// Everything that is told about connectors with these configs, by where it was told.
async fn told(worker: &Worker, connectors: &[(String, Value)]) -> Result<Map<String, Value>> {
    let mut told = Map::new();
    let mut note = |place: String, text: String| told.insert(place, text.into());
    for (name, config) in connectors {
        let class = config["connector.class"].as_str().context("a class")?;
        let validate = format!("/connector-plugins/{class}/config/validate");
        for given in [config, &wrong(config)] {
            let said = worker.said(Method::PUT, &validate, Some(given)).await?;
            note(format!("validate {name}"), without_given_back(&said)?);
        }
        let path = format!("/connectors/{name}");
        let put = format!("{path}/config");
        let refused = worker.said(Method::PUT, &put, Some(&wrong(config))).await?;
        ensure!(refused.starts_with("400"), "{refused}");
        note(format!("refused {name}"), refused);
        let made = worker.said(Method::PUT, &put, Some(config)).await?;
        if !made.starts_with('2') {
            note(format!("not made {name}"), made);
        }
        let twice = json!({"name": name, "config": config});
        let said = worker
            .said(Method::POST, "/connectors", Some(&twice))
            .await?;
        if !said.starts_with('2') {
            note(format!("made twice {name}"), said);
        }
    }
    // Until each has failed, or has tried what it cannot reach.
    wait_until("all have tried", Duration::from_secs(60), || async {
        let path = "/connectors?expand=status";
        let answer = worker.request(Method::GET, path).send().await?;
        let statuses: Value = answer.json().await?;
        // Two make events; two are refused when they are made.
        let tried = statuses.as_object().context("statuses")?.values();
        let tried = tried.filter(|of| {
            let text = of.to_string();
            text.contains("FAILED") || !of["status"]["tasks"][0]["sluice"]["last_error"].is_null()
        });
        Ok(tried.count() >= connectors.len() - 4)
    })
    .await?;
    for path in [
        "/connectors?expand=status",
        "/metrics",
        "/health",
        "/openapi.json",
        "/admin/loggers",
        "/connector-plugins?connectorsOnly=false",
        "/nowhere",
    ] {
        note(path.to_owned(), worker.said(Method::GET, path, None).await?);
    }
    for (name, _) in connectors {
        for path in ["status", "offsets", "topics", "tasks/0/status"] {
            let path = format!("/connectors/{name}/{path}");
            note(path.clone(), worker.said(Method::GET, &path, None).await?);
        }
        for call in ["restart?includeTasks=true", "tasks/0/restart"] {
            let path = format!("/connectors/{name}/{call}");
            note(path.clone(), worker.said(Method::POST, &path, None).await?);
        }
    }
    let stranger = Client::new().get(format!("http://127.0.0.1:{}/", worker.port));
    note("stranger".to_owned(), stranger.send().await?.text().await?);
    Ok(told)
}

/// What the commands print about these connectors.
fn printed(
    worker: &Worker,
    folder: &Path,
    connectors: &[(String, Value)],
) -> Result<Map<String, Value>> {
    let url = format!("http://admin:{}@127.0.0.1:{}", worker.password, worker.port);
    let mut printed = Map::new();
    let mut run = |arguments: &[&str]| -> Result<()> {
        let mut command = Command::new(SLUICE);
        command.args(arguments).env("CONNECT_REST_URL", &url);
        let output = command.env("RUST_LOG", "trace").output()?;
        let [out, err] = [output.stdout, output.stderr];
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&out),
            String::from_utf8_lossy(&err)
        );
        printed.insert(arguments.join(" "), text.into());
        Ok(())
    };
    run(&["connector", "list"])?;
    run(&["connector", "--json", "status"])?;
    run(&["pipeline", "status", "retail-s3"])?;
    for (name, config) in connectors {
        run(&["connector", "status", name])?;
        run(&["connector", "logs", name])?;
        run(&["dlq", "list", name])?;
        let file = folder.join("deployed.json");
        std::fs::write(&file, json!({"name": name, "config": config}).to_string())?;
        let file = file.display().to_string();
        run(&["connector", "deploy", &file, "--timeout", "1"])?;
        std::fs::remove_file(file)?;
    }
    Ok(printed)
}

/// All that the worker wrote below the folder but what must hold secrets.
fn written(folder: &Path, into: &mut Map<String, Value>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let users_own = ["worker.properties", "users.properties", "connectors.json"];
        if path.is_dir() {
            written(&path, into)?;
        } else if !users_own.iter().any(|name| path.ends_with(name)) {
            let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            into.insert(path.display().to_string(), text.into());
        }
    }
    Ok(())
}

/// The places that tell a secret, each with the line that does.
fn leaks(told: &Map<String, Value>) -> Vec<String> {
    let lines = told.iter().flat_map(|(place, text)| {
        let text = text.as_str().unwrap_or_default();
        text.lines().map(move |line| (place, line))
    });
    let leaks = lines.filter_map(|(place, line)| {
        let at = line.find(PLANTED)?;
        let from = line.floor_char_boundary(at.saturating_sub(150));
        let to = line.floor_char_boundary((at + 40).min(line.len()));
        Some(format!("{place}: …{}…", &line[from..to]))
    });
    leaks.take(60).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_planted_secret_is_told() -> Result<()> {
    let mut found = Vec::new();
    for format in ["text", "json"] {
        let folder = tempfile::tempdir()?;
        let mut planter = Planter::default();
        let worker = Worker::start(folder.path(), format, &mut planter).await?;
        let connectors = connectors(folder.path(), &mut planter)?;
        let mut told = told(&worker, &connectors).await?;
        told.extend(printed(&worker, folder.path(), &connectors)?);
        written(folder.path(), &mut told)?;
        let logged = told.iter().find(|(place, _)| place.ends_with("worker.log"));
        let logged = logged.and_then(|(_, text)| text.as_str());
        ensure!(
            logged.is_some_and(|text| text.contains("TRACE")),
            "all is logged"
        );
        ensure!(told.len() > 80, "{} places", told.len());
        found.extend(leaks(&told));
    }
    ensure!(
        found.is_empty(),
        "{} leaks:\n{}",
        found.len(),
        found.join("\n")
    );
    Ok(())
}

#[test]
fn a_worker_that_cannot_start_does_not_tell_why_with_a_secret() -> Result<()> {
    let wrong = [
        "bootstrap.servers=127.0.0.1:1",
        "listeners=nowhere",
        "offset.flush.interval.ms=soon",
        "ssl.keystore.location=/nowhere.pem\nlisteners=https://127.0.0.1:0",
        "sasl.mechanism=GSSAPI\nbootstrap.servers=127.0.0.1:1",
        "bootstrap.servers=127.0.0.1:1\ngroup.id=g",
    ];
    for line in wrong {
        let folder = tempfile::tempdir()?;
        let (text, _) = properties(folder.path(), free_port()?, &mut Planter::default())?;
        let path = folder.path().join("worker.properties");
        std::fs::write(&path, format!("{text}{line}\nrequest.timeout.ms=1000\n"))?;
        let mut command = Command::new("timeout");
        command.args(["30", SLUICE, "worker"]).arg(path);
        let output = command.env("RUST_LOG", "trace").output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            !output.status.success() && !said.contains(PLANTED),
            "{line}: {said}"
        );
    }
    Ok(())
}
