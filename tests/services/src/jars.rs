//! Apache Kafka's jars and Apicurio Registry, through Maven.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache::filled_once;

/// The version of Apache Kafka that tests run against.
const VERSION: &str = "4.3.1";

/// The version of Apicurio Registry that tests run against.
const REGISTRY_VERSION: &str = "2.4.2.Final";

/// Tools print their whole configuration without this.
const LOGGING: &str = r#"<Configuration status="ERROR"><Appenders><Console name="console" target="SYSTEM_ERR"><PatternLayout pattern="%d %p %m (%c)%n"/></Console></Appenders><Loggers><Root level="WARN"><AppenderRef ref="console"/></Root></Loggers></Configuration>"#;

/// The folder with Apache Kafka's jars and `log4j2.xml`; fetched now if they are not there.
pub fn kafka_jars() -> Result<PathBuf> {
    filled_once(&format!("kafka-{VERSION}"), |folder| {
        fetch(folder, &kafka_dependencies())?;
        fs::write(folder.join("log4j2.xml"), LOGGING)?;
        Ok(())
    })
}

/// A `plugin.path` for Kafka Connect: its FileStream connectors and its basic authentication; fetched now if need be.
pub(crate) fn connect_plugins() -> Result<PathBuf> {
    filled_once(&format!("connect-plugins-{VERSION}"), |folder| {
        let alone = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>";
        for artifact in ["connect-file", "connect-basic-auth-extension"] {
            let wanted = dependency("org.apache.kafka", artifact, VERSION, alone);
            fetch(&folder.join(artifact), &wanted)?;
        }
        Ok(())
    })
}

/// A folder with Apicurio's Avro converter, which descends from Confluent's, and Avro; fetched now if need be.
pub fn avro_converter_jars() -> Result<PathBuf> {
    filled_once(&format!("avro-converter-{REGISTRY_VERSION}"), |folder| {
        let alone = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>";
        let wanted = dependency(
            "io.apicurio",
            "apicurio-registry-utils-converter",
            REGISTRY_VERSION,
            alone,
        ) + &dependency("org.apache.avro", "avro", "1.11.4", alone);
        fetch(folder, &wanted)
    })
}

/// The folder with Apicurio Registry, unpacked; fetched now if need be.
pub(crate) fn registry_folder() -> Result<PathBuf> {
    filled_once(&format!("apicurio-registry-{REGISTRY_VERSION}"), |folder| {
        let whole = "<classifier>all</classifier><type>tar.gz</type><exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>";
        let wanted = dependency(
            "io.apicurio",
            "apicurio-registry-app",
            REGISTRY_VERSION,
            whole,
        );
        fetch(folder, &wanted)?;
        let packed = folder.join(format!(
            "apicurio-registry-app-{REGISTRY_VERSION}-all.tar.gz"
        ));
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(&packed).arg("-C").arg(folder);
        if !tar.status().context("starting tar")?.success() {
            bail!("{} could not be unpacked", packed.display());
        }
        Ok(fs::remove_file(packed)?)
    })
}

fn fetch(folder: &Path, dependencies: &str) -> Result<()> {
    let project = tempfile::tempdir()?;
    let pom = project.path().join("pom.xml");
    fs::write(&pom, pom_xml(dependencies))?;
    let output = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(&pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", folder.display()))
        .output()
        .context("starting mvn: is Maven installed? `make test` installs it on Debian")?;
    if !output.status.success() {
        bail!(
            "mvn could not fetch what the tests need: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    Ok(())
}

fn dependency(group: &str, artifact: &str, version: &str, more: &str) -> String {
    format!(
        "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>{more}</dependency>"
    )
}

fn kafka_dependencies() -> String {
    let artifacts = [
        "kafka_2.13",
        "kafka-tools",
        "connect-runtime",
        "connect-json",
        "connect-transforms",
    ];
    let mut dependencies: String = artifacts
        .iter()
        .map(|artifact| dependency("org.apache.kafka", artifact, VERSION, ""))
        .collect();
    dependencies += &dependency("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4", "");
    dependencies
}

fn pom_xml(dependencies: &str) -> String {
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>tests</groupId><artifactId>kafka</artifactId><version>1</version>\
         <dependencies>{dependencies}</dependencies></project>"
    )
}
