//! Logins: by password or by a JWT that the user's key signed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::error::{Refusal, Result};
use crate::session::{Session, Token};
use crate::world::{SnowflakeOptions, User, World};

/// A token is good for an hour after it was issued, whatever it says.
const OLDEST: i64 = 3600;

/// What a login asks for, beside who it is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Wishes {
    pub(crate) database_name: Option<String>,
    pub(crate) schema_name: Option<String>,
    pub(crate) warehouse: Option<String>,
    pub(crate) role_name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    iat: i64,
    exp: i64,
}

fn field<'a>(body: &'a Json, name: &str) -> Option<&'a str> {
    body.pointer("/data")?.get(name)?.as_str()
}

/// Opens a session; the reply's `data`.
///
/// # Errors
/// 390100, 390144, 390189, 390201: as Snowflake refuses.
pub(crate) fn login(world: &mut World, body: &Json, wishes: &Wishes) -> Result<Json> {
    let user = authenticated(&world.options, body)?.clone();
    let validates = body
        .pointer("/data/SESSION_PARAMETERS/CLIENT_VALIDATE_DEFAULT_PARAMETERS")
        .is_some_and(|value| value == &Json::Bool(true));
    let role = role(&user, wishes)?;
    let options = &world.options;
    let database = known(
        "database",
        wishes.database_name.as_deref(),
        std::slice::from_ref(&options.database),
        validates,
    )?;
    let schema = known(
        "schema",
        wishes.schema_name.as_deref(),
        std::slice::from_ref(&options.schema),
        validates,
    )?;
    let warehouse = known(
        "warehouse",
        wishes.warehouse.as_deref(),
        &options.warehouses,
        validates,
    )?;
    let session = Session {
        read_only: options.read_only_roles.contains(&role),
        role,
        schema: schema.filter(|_| database.is_some()),
        database,
        warehouse: warehouse.or(user.default_warehouse.clone()),
        ..Session::of_user(world.catalog.next_number(), &user, options)
    };
    let reply = reply(options, &session);
    world.logins += 1;
    world.sessions.insert(session.id, session);
    Ok(reply)
}

fn reply(options: &SnowflakeOptions, session: &Session) -> Json {
    json!({
        "masterToken": session.master.text,
        "token": session.token.text,
        "validityInSeconds": options.session_validity.as_secs(),
        "masterValidityInSeconds": options.master_validity.as_secs(),
        "displayUserName": session.user,
        "serverVersion": "9.0.0",
        "firstLogin": false,
        "remMeToken": null,
        "remMeValidityInSeconds": 0,
        "healthCheckInterval": 45,
        "newClientForUpgrade": null,
        "sessionId": session.id,
        "parameters": [
            {"name": "CLIENT_PREFETCH_THREADS", "value": 4},
            {"name": "TIMEZONE", "value": "UTC"},
            {"name": "AUTOCOMMIT", "value": true},
        ],
        "sessionInfo": {
            "databaseName": session.database,
            "schemaName": session.schema,
            "warehouseName": session.warehouse,
            "roleName": session.role,
        },
        "idToken": null,
        "responseData": null,
    })
}

fn authenticated<'a>(options: &'a SnowflakeOptions, body: &Json) -> Result<&'a User> {
    let wrong = || {
        let text = "Incorrect username or password was specified.";
        Refusal::new("390100", "08001", text)
    };
    let login = field(body, "LOGIN_NAME").unwrap_or_default().to_uppercase();
    let account = field(body, "ACCOUNT_NAME")
        .unwrap_or_default()
        .to_uppercase();
    let user = options.users.iter().find(|user| user.name == login);
    if account.split('.').next() != Some(options.account.as_str()) {
        return Err(Refusal::new(
            "390422",
            "08001",
            "the account does not exist",
        ));
    }
    match field(body, "AUTHENTICATOR").unwrap_or("SNOWFLAKE") {
        "SNOWFLAKE_JWT" => {
            let token = field(body, "TOKEN").unwrap_or_default();
            let user = user.ok_or_else(invalid_token)?;
            check_token(options, user, token).ok_or_else(invalid_token)?;
            Ok(user)
        }
        "SNOWFLAKE" => {
            let user = user.ok_or_else(wrong)?;
            let given = field(body, "PASSWORD");
            if given.is_some() && user.password.as_deref() == given {
                Ok(user)
            } else {
                Err(wrong())
            }
        }
        other => {
            let text = format!("authenticator {other} is not offered");
            Err(Refusal::new("390100", "08001", text))
        }
    }
}

fn invalid_token() -> Refusal {
    Refusal::new("390144", "08001", "JWT token is invalid.")
}

/// Signature, names, fingerprint and age.
fn check_token(options: &SnowflakeOptions, user: &User, token: &str) -> Option<()> {
    let pem = user.public_key.as_deref()?;
    let key = DecodingKey::from_rsa_pem(pem.as_bytes()).ok()?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_required_spec_claims(&["iss", "sub", "exp"]);
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation)
        .ok()?
        .claims;
    let subject = format!("{}.{}", options.account, user.name);
    let issuer = format!("{subject}.{}", fingerprint(pem)?);
    let now = jiff::Timestamp::now().as_second();
    let young = claims.iat <= now + 60 && now - claims.iat < OLDEST && claims.exp > now;
    (claims.sub == subject && claims.iss == issuer && young).then_some(())
}

/// `SHA256:` and the digest of the public key.
fn fingerprint(pem: &str) -> Option<String> {
    let body: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let der = STANDARD.decode(body.trim()).ok()?;
    Some(format!("SHA256:{}", STANDARD.encode(Sha256::digest(der))))
}

fn role(user: &User, wishes: &Wishes) -> Result<String> {
    let Some(wished) = wishes.role_name.as_deref().filter(|name| !name.is_empty()) else {
        return Ok(user.roles.first().cloned().unwrap_or_default());
    };
    let wished = identifier(wished);
    if user.roles.contains(&wished) {
        return Ok(wished);
    }
    let text = format!(
        "Role '{wished}' specified in the connect string does not exist or not authorized. Contact your local system administrator, or attempt to login with another role, e.g. PUBLIC."
    );
    Err(Refusal::new("390189", "08001", text))
}

/// A name as SQL reads it: quoted as it is, else in upper case.
fn identifier(name: &str) -> String {
    match name
        .strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'))
    {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_uppercase(),
    }
}

/// What is wished for, if it is there; a client that asks for it is told what is not.
fn known(
    kind: &str,
    wished: Option<&str>,
    there: &[String],
    validates: bool,
) -> Result<Option<String>> {
    let Some(wished) = wished.filter(|name| !name.is_empty()).map(identifier) else {
        return Ok(None);
    };
    if there.contains(&wished) {
        return Ok(Some(wished));
    }
    if !validates {
        return Ok(None);
    }
    let text = format!(
        "Object does not exist, or operation cannot be performed: \"The requested {kind} does not exist or not authorized.\""
    );
    Err(Refusal::new("390201", "08004", text))
}

/// A new session token for a master token that holds; the reply's `data`.
///
/// # Errors
/// 390114, 390104
pub(crate) fn renew(world: &mut World, master: &str) -> Result<Json> {
    let (session_validity, master_validity) = (
        world.options.session_validity,
        world.options.master_validity,
    );
    let session = world
        .sessions
        .values_mut()
        .find(|session| session.master.text == master);
    let Some(session) = session else {
        return Err(Refusal::new("390104", "08001", "ID Token is invalid."));
    };
    if session.master.is_expired() {
        let text = "Authentication token has expired.  The user must authenticate again.";
        return Err(Refusal::new("390114", "08001", text));
    }
    session.token = Token::new("session", session_validity);
    session.master = Token::new("master", master_validity);
    Ok(json!({
        "sessionToken": session.token.text,
        "validityInSecondsST": session_validity.as_secs(),
        "masterToken": session.master.text,
        "validityInSecondsMT": master_validity.as_secs(),
        "sessionId": session.id,
    }))
}
