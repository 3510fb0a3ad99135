//! Looks at the account before tasks are made, and names what is wrong.

use connect_core::{Error, ErrorKind, Result};

use crate::config::{Authenticator, SnowflakeSinkConfig};
use crate::error::SnowflakeError;
use crate::naming::quoted;
use crate::session::Session;

/// Logs in, and looks at role, database, schema and warehouse.
///
/// # Errors
/// What is wrong, by the option that says it.
pub(crate) async fn check(config: &SnowflakeSinkConfig) -> Result<()> {
    let session = Session::new(config).map_err(|error| error.into_error("check", "Snowflake"))?;
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
            return Err(Error::config(text));
        }
    }
    if found.get(0, "WAREHOUSE").is_none() {
        let text = "no warehouse: set snowflake.warehouse.name, or give the user a default warehouse that the role may use";
        return Err(Error::config(text));
    }
    may_create(config, &session, found.get(0, "ROLE").unwrap_or_default()).await
}

/// A connector makes a stage and tables: found out with a stage that goes with the session.
async fn may_create(config: &SnowflakeSinkConfig, session: &Session, role: &str) -> Result<()> {
    let stage = quoted("SLUICE_PRIVILEGE_CHECK");
    let create = format!(
        "CREATE TEMPORARY STAGE IF NOT EXISTS {stage} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')"
    );
    match session.run(&create).await {
        Ok(_) => Ok(()),
        Err(SnowflakeError::Refused { code, message }) if code == "003001" => {
            let login = &config.login;
            let text = format!(
                "role {role} needs USAGE on database {} and USAGE, CREATE STAGE and CREATE TABLE on schema {}: {message}",
                login.database, login.schema
            );
            Err(Error::new(ErrorKind::Auth, text))
        }
        Err(error) => Err(error.into_error("check", "privileges")),
    }
}

/// The option that a refused login is about.
fn explained(config: &SnowflakeSinkConfig, error: SnowflakeError) -> Error {
    let login = &config.login;
    let SnowflakeError::Refused { code, message } = &error else {
        return error.into_error("log in to", &login.url);
    };
    let advice = match (code.as_str(), config.authenticator()) {
        ("390144", _) => format!(
            "the key pair was refused: the public key of snowflake.private.key must be RSA_PUBLIC_KEY of user {}, the account must be {} and this machine's clock right",
            login.user,
            config.account()
        ),
        ("390100", Authenticator::Password) => {
            format!(
                "snowflake.user.name={} or snowflake.password is wrong",
                login.user
            )
        }
        ("390189", _) => {
            let role = login.role.as_deref().unwrap_or_default();
            format!(
                "snowflake.role.name={role}: it does not exist, or user {} does not have it",
                login.user
            )
        }
        ("390201", _) => {
            let mut kinds = [
                ("database", "snowflake.database.name", Some(&login.database)),
                ("schema", "snowflake.schema.name", Some(&login.schema)),
                (
                    "warehouse",
                    "snowflake.warehouse.name",
                    login.warehouse.as_ref(),
                ),
            ]
            .into_iter();
            match kinds.find(|(kind, _, _)| message.contains(&format!("requested {kind}"))) {
                Some((_, option, Some(value))) => {
                    format!("{option}={value}: it does not exist, or the role may not use it")
                }
                _ => return error.into_error("log in to", &login.url),
            }
        }
        _ => return error.into_error("log in to", &login.url),
    };
    let cause = std::io::Error::other(error.to_string());
    let kind = if code == "390201" {
        ErrorKind::Config
    } else {
        ErrorKind::Auth
    };
    Error::new(kind, advice).source(cause)
}
