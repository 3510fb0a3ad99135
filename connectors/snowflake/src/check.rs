//! Looks at the account before tasks are made, and names what is wrong.

use connect_core::{Error, ErrorKind};

use crate::config::{Authenticator, SnowflakeSinkConfig};
use crate::error::SnowflakeError;
use crate::naming::quoted;
use crate::session::Session;

/// What is wrong, and the option that says it.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) option: &'static str,
    pub(crate) error: Error,
}

impl Wrong {
    fn config(option: &'static str, text: String) -> Self {
        let error = Error::config(text);
        Self { option, error }
    }
}

/// Logs in, and looks at role, database, schema and warehouse.
///
/// # Errors
/// What is wrong, by the option that says it.
pub(crate) async fn check(config: &SnowflakeSinkConfig) -> Result<(), Wrong> {
    let session = Session::new(config).map_err(|error| Wrong {
        option: match config.authenticator() {
            Authenticator::KeyPair => "snowflake.private.key",
            Authenticator::Password => "snowflake.url.name",
        },
        error: error.into_error("check", "Snowflake"),
    })?;
    let asked = "SELECT CURRENT_DATABASE() AS \"DATABASE\", CURRENT_SCHEMA() AS \"SCHEMA\", \
                 CURRENT_WAREHOUSE() AS \"WAREHOUSE\", CURRENT_ROLE() AS \"ROLE\"";
    let found = session
        .run(asked)
        .await
        .map_err(|error| explained(config, error))?;
    let login = &config.login;
    for (column, option, value) in [
        ("DATABASE", "snowflake.database.name", &login.database),
        ("SCHEMA", "snowflake.schema.name", &login.schema),
    ] {
        if found.get(0, column).is_none() {
            let text = format!("{option}={value}: it does not exist, or the role may not use it");
            return Err(Wrong::config(option, text));
        }
    }
    if found.get(0, "WAREHOUSE").is_none() {
        let text = "no warehouse: set snowflake.warehouse.name, or give the user a default warehouse that the role may use";
        return Err(Wrong::config("snowflake.warehouse.name", text.to_owned()));
    }
    may_create(config, &session, found.get(0, "ROLE").unwrap_or_default()).await
}

/// A connector makes a stage and tables: found out with a stage that goes with the session.
async fn may_create(
    config: &SnowflakeSinkConfig,
    session: &Session,
    role: &str,
) -> Result<(), Wrong> {
    let stage = quoted("SLUICE_PRIVILEGE_CHECK");
    let create = format!(
        "CREATE TEMPORARY STAGE IF NOT EXISTS {stage} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')"
    );
    let error = match session.run(&create).await {
        Ok(_) => return Ok(()),
        Err(SnowflakeError::Refused { code, message }) if code == "003001" => {
            let login = &config.login;
            let text = format!(
                "role {role} needs USAGE on database {} and USAGE, CREATE STAGE and CREATE TABLE on schema {}: {message}",
                login.database, login.schema
            );
            Error::new(ErrorKind::Auth, text)
        }
        Err(error) => error.into_error("check", "privileges"),
    };
    Err(Wrong {
        option: "snowflake.role.name",
        error,
    })
}

/// The option that a refused login is about.
fn explained(config: &SnowflakeSinkConfig, error: SnowflakeError) -> Wrong {
    let login = &config.login;
    let unexplained = |error: SnowflakeError| Wrong {
        option: "snowflake.url.name",
        error: error.into_error("log in to", &login.url),
    };
    let SnowflakeError::Refused { code, message } = &error else {
        return unexplained(error);
    };
    let (option, advice) = match (code.as_str(), config.authenticator()) {
        ("390144", _) => {
            let (user, account) = (&login.user, config.account());
            let text = format!(
                "the key pair was refused: the public key of snowflake.private.key must be RSA_PUBLIC_KEY of user {user}, the account must be {account} and this machine's clock right"
            );
            ("snowflake.private.key", text)
        }
        ("390100", Authenticator::Password) => {
            let user = &login.user;
            let text = format!("snowflake.user.name={user} or snowflake.password is wrong");
            ("snowflake.user.name", text)
        }
        ("390189", _) => {
            let (role, user) = (login.role.as_deref().unwrap_or_default(), &login.user);
            let text = format!(
                "snowflake.role.name={role}: it does not exist, or user {user} does not have it"
            );
            ("snowflake.role.name", text)
        }
        ("390201", _) => match missing(config, message) {
            Some(explained) => explained,
            None => return unexplained(error),
        },
        _ => return unexplained(error),
    };
    let cause = std::io::Error::other(error.to_string());
    let kind = if code == "390201" {
        ErrorKind::Config
    } else {
        ErrorKind::Auth
    };
    Wrong {
        option,
        error: Error::new(kind, advice).source(cause),
    }
}

/// The option that names the object a login asked for in vain.
fn missing(config: &SnowflakeSinkConfig, message: &str) -> Option<(&'static str, String)> {
    let login = &config.login;
    let kinds = [
        ("database", "snowflake.database.name", Some(&login.database)),
        ("schema", "snowflake.schema.name", Some(&login.schema)),
        (
            "warehouse",
            "snowflake.warehouse.name",
            login.warehouse.as_ref(),
        ),
    ];
    let asked = |kind: &str| message.contains(&format!("requested {kind}"));
    let (_, option, value) = kinds.into_iter().find(|(kind, _, _)| asked(kind))?;
    let text = format!(
        "{option}={}: it does not exist, or the role may not use it",
        value?
    );
    Some((option, text))
}
