//! Who is let in.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use rsa::rand_core::OsRng;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use sluice_stand_in_snowflake::{SnowflakeOptions, SnowflakeStandIn};

use crate::client::{Client, PASSWORD, SCHEMA, by_password, refused, server};

struct KeyPair {
    private: String,
    public: String,
    fingerprint: String,
}

impl KeyPair {
    fn generate() -> Self {
        let key = RsaPrivateKey::new(&mut OsRng, 2048).unwrap();
        let public = key.to_public_key();
        let der = public.to_public_key_der().unwrap();
        let digest = Sha256::digest(der.as_bytes());
        Self {
            private: key.to_pkcs8_pem(LineEnding::LF).unwrap().to_string(),
            public: public.to_public_key_pem(LineEnding::LF).unwrap(),
            fingerprint: format!("SHA256:{}", STANDARD.encode(digest)),
        }
    }
}

fn registered() -> &'static KeyPair {
    static PAIR: OnceLock<KeyPair> = OnceLock::new();
    PAIR.get_or_init(KeyPair::generate)
}

fn stranger() -> &'static KeyPair {
    static PAIR: OnceLock<KeyPair> = OnceLock::new();
    PAIR.get_or_init(KeyPair::generate)
}

/// What a token says, to be changed.
struct Claims {
    signer: &'static KeyPair,
    fingerprint: &'static str,
    account: &'static str,
    subject: &'static str,
    /// Seconds from now.
    issued: i64,
    expires: i64,
}

impl Claims {
    fn right() -> Self {
        Self {
            signer: registered(),
            fingerprint: &registered().fingerprint,
            account: "TESTACCOUNT",
            subject: "TESTACCOUNT.LOADER",
            issued: -5,
            expires: 60,
        }
    }

    fn login(&self) -> Json {
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({
            "iss": format!("{}.LOADER.{}", self.account, self.fingerprint),
            "sub": self.subject,
            "iat": now + self.issued,
            "exp": now + self.expires,
        });
        let key = EncodingKey::from_rsa_pem(self.signer.private.as_bytes()).unwrap();
        let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key);
        by_token(&token.unwrap())
    }
}

fn by_token(token: &str) -> Json {
    json!({"data": {
        "ACCOUNT_NAME": "TESTACCOUNT", "LOGIN_NAME": "LOADER",
        "AUTHENTICATOR": "SNOWFLAKE_JWT", "TOKEN": token,
    }})
}

async fn with_key() -> SnowflakeStandIn {
    let options = SnowflakeOptions::local(Some(registered().public.clone()));
    SnowflakeStandIn::start(options).await.unwrap()
}

#[tokio::test]
async fn a_token_must_be_right_in_every_part() {
    let server = with_key().await;
    let login = Claims::right().login();
    assert!(Client::login(&server, SCHEMA, &login).await.is_ok());
    type Change = fn(&mut Claims);
    let wrong: [(&str, Change); 9] = [
        ("the signature", |claims| claims.signer = stranger()),
        ("the fingerprint", |claims| {
            claims.fingerprint = &stranger().fingerprint;
        }),
        ("the account", |claims| claims.account = "OTHER"),
        // The name of an account with its region is the usual mistake.
        ("a region", |claims| {
            claims.account = "TESTACCOUNT.EU-WEST-1";
        }),
        ("the subject", |claims| claims.subject = "TESTACCOUNT.OTHER"),
        ("lower case", |claims| claims.subject = "testaccount.loader"),
        ("the end", |claims| claims.expires = -3700),
        ("the age", |claims| claims.issued = -3700),
        ("a clock that is ahead", |claims| claims.issued = 600),
    ];
    for (what, change) in wrong {
        let mut claims = Claims::right();
        change(&mut claims);
        let outcome = Client::login(&server, SCHEMA, &claims.login()).await;
        assert_eq!(outcome.map(drop), refused("390144"), "{what}");
    }
}

#[tokio::test]
async fn a_token_without_a_signature_is_none() {
    let server = with_key().await;
    let key = EncodingKey::from_secret(registered().public.as_bytes());
    let claims = json!({"iss": "TESTACCOUNT.LOADER", "sub": "TESTACCOUNT.LOADER", "exp": i64::MAX});
    let symmetric = jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap();
    for token in [symmetric.as_str(), "", "a.b.c"] {
        let outcome = Client::login(&server, SCHEMA, &by_token(token)).await;
        assert_eq!(outcome.map(drop), refused("390144"), "{token}");
    }
}

#[tokio::test]
async fn a_user_without_a_key_has_none() {
    let server = server().await;
    let outcome = Client::login(&server, SCHEMA, &Claims::right().login()).await;
    assert_eq!(outcome.map(drop), refused("390144"));
}

#[tokio::test]
async fn a_password_must_be_the_users() {
    let server = server().await;
    for (user, password) in [("LOADER", "wrong"), ("LOADER", ""), ("NOBODY", PASSWORD)] {
        let login = by_password(user, password);
        let outcome = Client::login(&server, SCHEMA, &login).await;
        assert_eq!(outcome.map(drop), refused("390100"), "{user}");
    }
    let login =
        json!({"data": {"ACCOUNT_NAME": "OTHER", "LOGIN_NAME": "LOADER", "PASSWORD": PASSWORD}});
    let outcome = Client::login(&server, SCHEMA, &login).await;
    assert_eq!(outcome.map(drop), refused("390422"));
}

#[tokio::test]
async fn what_a_login_names_must_be_there() {
    let server = server().await;
    let mut asking = by_password("LOADER", PASSWORD);
    asking["data"]["SESSION_PARAMETERS"] = json!({"CLIENT_VALIDATE_DEFAULT_PARAMETERS": true});
    for query in [
        "databaseName=NOWHERE",
        "databaseName=SHOP&schemaName=NOWHERE",
        "warehouse=NOWHERE",
        // A quoted name keeps its case.
        "databaseName=%22shop%22",
    ] {
        let outcome = Client::login(&server, query, &asking).await;
        assert_eq!(outcome.map(drop), refused("390201"), "{query}");
        // Who does not ask is told nothing, and has none.
        let login = by_password("LOADER", PASSWORD);
        assert!(Client::login(&server, query, &login).await.is_ok());
    }
    let outcome = Client::login(&server, "roleName=OWNER", &asking).await;
    assert_eq!(outcome.map(drop), refused("390189"));
    let client = Client::login(&server, "", &asking).await.unwrap();
    assert_eq!(
        client.sql("SELECT COUNT(*) FROM T").await,
        refused("090105")
    );
}
