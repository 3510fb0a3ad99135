//! RSA keys in the forms that users have them.

use std::sync::OnceLock;

use pkcs8::der::SecretDocument;
use pkcs8::pkcs5::pbes2::{EncryptionScheme, Kdf, Parameters, Pbkdf2Params, Pbkdf2Prf};
use pkcs8::{LineEnding, PrivateKeyInfo};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey};
use rsa::rand_core::OsRng;

pub(crate) const PASSPHRASE: &str = "correct horse";

const SALT: [u8; 8] = *b"saltsalt";
const ROUNDS: u32 = 2048;

/// A key pair.
pub(crate) struct KeyPair {
    document: SecretDocument,
    /// PEM.
    pub(crate) public: String,
}

/// The pair whose public key the server knows.
pub(crate) fn registered() -> &'static KeyPair {
    static PAIR: OnceLock<KeyPair> = OnceLock::new();
    PAIR.get_or_init(KeyPair::generate)
}

/// A pair that the server does not know.
pub(crate) fn stranger() -> &'static KeyPair {
    static PAIR: OnceLock<KeyPair> = OnceLock::new();
    PAIR.get_or_init(KeyPair::generate)
}

impl KeyPair {
    fn generate() -> Self {
        let key = RsaPrivateKey::new(&mut OsRng, 2048).unwrap();
        let public = key.to_public_key().to_public_key_pem(LineEnding::LF);
        Self {
            document: key.to_pkcs8_der().unwrap(),
            public: public.unwrap(),
        }
    }

    /// As `openssl pkcs8 -topk8 -nocrypt` writes it.
    pub(crate) fn plain(&self) -> String {
        pem(&self.document, "PRIVATE KEY")
    }

    /// As `openssl pkcs8 -topk8 -v2 aes256` writes it.
    pub(crate) fn encrypted_aes(&self) -> String {
        let vector = [7; 16];
        let parameters = Parameters::pbkdf2_sha256_aes256cbc(ROUNDS, &SALT, &vector);
        self.encrypted(parameters.unwrap())
    }

    /// As `openssl pkcs8 -topk8 -v2 des3` writes it, the form in Snowflake's own guide.
    pub(crate) fn encrypted_des3(&self) -> String {
        let mut kdf = Pbkdf2Params::hmac_with_sha256(ROUNDS, &SALT).unwrap();
        kdf.prf = Pbkdf2Prf::HmacWithSha256;
        self.encrypted(Parameters {
            kdf: Kdf::Pbkdf2(kdf),
            encryption: EncryptionScheme::DesEde3Cbc { iv: &[7; 8] },
        })
    }

    fn encrypted(&self, parameters: Parameters<'_>) -> String {
        let key = PrivateKeyInfo::try_from(self.document.as_bytes()).unwrap();
        let encrypted = key.encrypt_with_params(parameters, PASSPHRASE).unwrap();
        pem(&encrypted, "ENCRYPTED PRIVATE KEY")
    }
}

fn pem(document: &SecretDocument, title: &'static str) -> String {
    document.to_pem(title, LineEnding::LF).unwrap().to_string()
}

/// Without the lines around it and without line breaks, as it stands in most connector JSON.
pub(crate) fn bare(pem: &str) -> String {
    pem.lines()
        .filter(|line| !line.starts_with("-----"))
        .collect()
}
