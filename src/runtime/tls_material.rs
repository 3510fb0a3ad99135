//! Certificates and keys in PEM, for HTTPS listeners and for requests to other workers' ones.

use connect_core::{Error, Result};
use pkcs8::EncryptedPrivateKeyInfo;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::rest_options::TlsOptions;

/// A certificate chain and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl TlsOptions {
    /// What this side shows; `None` if nothing is given, or only half of it.
    ///
    /// # Errors
    /// A configuration error that names the key: a file that cannot be read, a certificate or key that is none.
    pub fn identity(&self) -> Result<Option<Identity>> {
        let (certificates, key) = match (&self.keystore, &self.key, &self.certificates) {
            (Some(file), None, None) => {
                let text = read(file, "ssl.keystore.location")?;
                (text.clone(), text)
            }
            (None, Some(key), Some(certificates)) => (certificates.clone(), key.expose().clone()),
            _ => return Ok(None),
        };
        let certificates = certificates_in(&certificates, "ssl.keystore.certificate.chain")?;
        Ok(Some((certificates, private_key(&key, self)?)))
    }

    /// Whose certificates are trusted; `None` if that is not said.
    ///
    /// # Errors
    /// As for [`TlsOptions::identity`].
    pub fn trusted_roots(&self) -> Result<Option<RootCertStore>> {
        let trusted = match (&self.truststore, &self.trusted) {
            (Some(file), _) => read(file, "ssl.truststore.location")?,
            (None, Some(text)) => text.clone(),
            (None, None) => return Ok(None),
        };
        let key = "ssl.truststore.certificates";
        let mut roots = RootCertStore::empty();
        for certificate in certificates_in(&trusted, key)? {
            let added = roots.add(certificate);
            added.map_err(|cause| {
                let text = "a certificate cannot be trusted";
                Error::config(text).operation(key).source(cause)
            })?;
        }
        Ok(Some(roots))
    }
}

fn private_key(text: &str, options: &TlsOptions) -> Result<PrivateKeyDer<'static>> {
    let wrong = |why: &str| Error::config(why.to_owned()).operation("ssl.keystore.key");
    const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
    const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
    let Some((_, rest)) = text.split_once(BEGIN) else {
        return PrivateKeyDer::from_pem_slice(text.as_bytes())
            .map_err(|cause| wrong("there is no private key in PEM").source(cause));
    };
    let password = options
        .key_password
        .as_ref()
        .ok_or_else(|| wrong("the private key is encrypted: set ssl.key.password"))?;
    let body = rest.split_once(END).map_or(rest, |(body, _)| body);
    let pem = format!("{BEGIN}{body}{END}\n");
    let (_, encrypted) = pkcs8::SecretDocument::from_pem(pem.trim())
        .map_err(|_| wrong("the encrypted private key is not PEM"))?;
    let key = EncryptedPrivateKeyInfo::try_from(encrypted.as_bytes())
        .and_then(|encrypted| encrypted.decrypt(password.expose()))
        .map_err(|_| wrong("the private key cannot be decrypted: is ssl.key.password right?"))?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

fn certificates_in(text: &str, what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = || Error::config("there is no certificate in PEM").operation(what.to_owned());
    let certificates: std::result::Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(wrong()),
        Err(cause) => Err(wrong().source(cause)),
    }
}

fn read(file: &str, what: &str) -> Result<String> {
    connect_core::named_file::read_text(file).map_err(|cause| {
        Error::config("the file cannot be read as PEM")
            .operation(what.to_owned())
            .target(file.to_owned())
            .source(cause)
    })
}
