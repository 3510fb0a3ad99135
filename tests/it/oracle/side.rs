//! One of the two workers that are compared: where it listens, and what stands for a variable of the list.

use std::path::{Path, PathBuf};

use anyhow::Result;
use connect_core::config::OptionType;
use sluice::kafka::client_options::Client;

use super::http::{self, Answer, Request};
use super::script::Call;

/// A value for every option of a client, as members of a JSON object.
fn all_overrides(client: Client) -> String {
    let value = |kind: OptionType| match kind {
        OptionType::Boolean => "True",
        OptionType::Int | OptionType::Short | OptionType::Long => " 7 ",
        OptionType::Double => "0.5",
        OptionType::List => "a , b",
        OptionType::Class => "java.lang.String",
        OptionType::String | OptionType::Password => " text ",
    };
    let options = client.definition().options().iter();
    let members = options.map(|option| {
        format!(
            "\"{}.override.{}\":\"{}\"",
            client.name(),
            option.name,
            value(option.kind)
        )
    });
    members.collect::<Vec<_>>().join(",")
}

/// A worker under comparison.
pub(super) struct Side {
    /// `host:port`
    pub(super) address: String,
    /// The folder its connectors read from and write to.
    pub(super) folder: PathBuf,
    /// The version of its FileStream connectors.
    version: String,
}

impl Side {
    /// A worker at `address` whose connectors use `folder`; three lines wait there to be read.
    pub(super) fn new(address: String, folder: &Path, version: &str) -> Result<Self> {
        std::fs::write(folder.join("in.txt"), "a\nb\nc\n")?;
        Ok(Self {
            address,
            folder: folder.to_owned(),
            version: version.to_owned(),
        })
    }

    /// `text` with the values of the variables.
    pub(super) fn filled(&self, text: &str) -> String {
        if !text.contains('$') {
            return text.to_owned();
        }
        let folder = self.folder.display();
        let deep_object = || format!("{}1{}", "{\"a\":".repeat(20_000), "}".repeat(20_000));
        let mut text = text.to_owned();
        for client in [Client::Producer, Client::Consumer, Client::Admin] {
            let variable = format!("$ALL_{}", client.name().to_ascii_uppercase());
            if text.contains(&variable) {
                text = text.replace(&variable, &all_overrides(client));
            }
        }
        text.replace("$VERY_LONG", &"n".repeat(100_000))
            .replace("$LONG", &"n".repeat(5000))
            .replace("$MEGABYTES", &"x".repeat(if text.contains("$MEGABYTES") { 3 << 20 } else { 0 }))
            .replace("$DEEP_LIST", &"[".repeat(20_000))
            .replace("$DEEP_OBJECT", &deep_object())
            .replace("$SOURCE", r#""connector.class":"FileStreamSource","file":"$DIR/in.txt","topic":"oracle-lines""#)
            .replace("$SINK", r#""connector.class":"FileStreamSink","file":"$DIR/out.txt","topics":"oracle-lines","value.converter":"org.apache.kafka.connect.storage.StringConverter""#)
            .replace("$AT_ONE", r#"{"partition":{"kafka_topic":"oracle-lines","kafka_partition":0},"offset":{"kafka_offset":1}}"#)
            .replace("$DIR", &folder.to_string())
            .replace("$VERSION", &self.version)
    }

    pub(super) async fn call(&self, call: &Call) -> Result<Answer> {
        let body = call.body.as_deref().map(|body| match body {
            "<empty>" => Vec::new(),
            "<invalid-utf8>" => b"{\"name\":\"\xff\xfe\",\"config\":{}}".to_vec(),
            body => self.filled(body).into_bytes(),
        });
        let mut headers = call.headers.clone();
        if body.is_some() && !headers.iter().any(|(name, _)| name == "Content-Type") {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        let request = Request {
            method: call.method.clone(),
            path: self.filled(&call.path),
            headers,
            body,
        };
        http::send(&self.address, &request).await
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer> {
        let call = Call {
            method: "GET".to_owned(),
            path: path.to_owned(),
            ..Call::default()
        };
        self.call(&call).await
    }

    /// `text` of an answer without what differs from one worker to another.
    pub(super) fn neutral(&self, text: &str) -> String {
        text.replace(&self.address, "HOST")
            .replace(&self.folder.display().to_string(), "DIR")
            .replace(&format!("\"{}\"", self.version), "\"VERSION\"")
            .replace(&format!("[{}]", self.version), "[VERSION]")
    }
}
