//! Private keys: PKCS#8, encrypted or not, with or without PEM armour.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pkcs8::der::SecretDocument;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo};
use rsa::RsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;

/// The key as unencrypted PKCS#8 in PEM.
///
/// # Errors
/// What is wrong with it; never a part of it.
pub(crate) fn to_pem(text: &str, passphrase: Option<&str>) -> Result<String, String> {
    let der = to_der(text)?;
    let passphrase = passphrase.filter(|passphrase| !passphrase.is_empty());
    let document = match (PrivateKeyInfo::try_from(der.as_slice()), passphrase) {
        (Ok(_), _) => SecretDocument::try_from(der.as_slice())
            .map_err(|_| "not a private key in PKCS#8".to_owned())?,
        (Err(_), Some(passphrase)) => decrypted(&der, passphrase)?,
        (Err(_), None) if EncryptedPrivateKeyInfo::try_from(der.as_slice()).is_ok() => {
            return Err(
                "the key is encrypted: snowflake.private.key.passphrase is needed".to_owned(),
            );
        }
        (Err(_), None) => {
            return Err(
                "not a private key in PKCS#8; convert it with openssl pkcs8 -topk8".to_owned(),
            );
        }
    };
    if RsaPrivateKey::from_pkcs8_der(document.as_bytes()).is_err() {
        return Err("not an RSA key".to_owned());
    }
    let pem = document
        .to_pem("PRIVATE KEY", LineEnding::LF)
        .map_err(|_| "the key cannot be written as PEM".to_owned())?;
    Ok(pem.to_string())
}

fn to_der(text: &str) -> Result<Vec<u8>, String> {
    // A key in one line keeps its line breaks as \n in some files.
    let text = text.replace("\\n", "\n");
    let mut body = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("-----") {
        body.push_str(before);
        let (_title, after) = after
            .split_once("-----")
            .ok_or("the PEM header is not closed")?;
        rest = after;
    }
    body.push_str(rest);
    body.retain(|c| !c.is_whitespace());
    if body.starts_with("${") {
        let text =
            "a placeholder that no provider of the worker has looked up: see config.providers";
        return Err(text.to_owned());
    }
    if body.is_empty() {
        return Err("there is no key".to_owned());
    }
    STANDARD
        .decode(body)
        .map_err(|_| "not base64, as a PEM file has it".to_owned())
}

fn decrypted(der: &[u8], passphrase: &str) -> Result<SecretDocument, String> {
    let encrypted = EncryptedPrivateKeyInfo::try_from(der)
        .map_err(|_| "not a private key in PKCS#8".to_owned())?;
    encrypted.decrypt(passphrase).map_err(|_| {
        "cannot be decrypted: the passphrase is wrong, or the encryption is not PBES2 with AES or 3DES".to_owned()
    })
}
