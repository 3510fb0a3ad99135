//! Where values are kept: in properties files, in folders of small files, in the environment.

use std::path::{Path, PathBuf};

use connect_core::config::{ConfigMap, OptionError};
use connect_core::{Error, Result, named_file};
use regex::Regex;
use tracing::warn;

use crate::runtime::properties;

/// One provider.
#[derive(Debug)]
pub(super) enum Provider {
    /// Kafka's FileConfigProvider: the path is a properties file, the key an entry.
    File(AllowedPaths),
    /// Kafka's DirectoryConfigProvider: the path is a folder, the key a file, its whole content the value.
    Directory(AllowedPaths),
    /// Kafka's EnvVarConfigProvider: the key is a variable, if its whole name matches.
    Environment(Option<Regex>),
}

impl Provider {
    /// Reads `class` and `param.…`; `prefix` stands before them in the worker's properties.
    pub(super) fn of(prefix: &str, options: &ConfigMap) -> Result<Self, OptionError> {
        let key = format!("{prefix}class");
        let Some(class) = options.get("class") else {
            let reason = format!(
                "Missing required configuration \"{key}\": FileConfigProvider, DirectoryConfigProvider or EnvVarConfigProvider"
            );
            return Err(OptionError::new(&key, &reason));
        };
        match class.trim().rsplit('.').next().unwrap_or_default() {
            "FileConfigProvider" => Ok(Self::File(AllowedPaths::of(prefix, options)?)),
            "DirectoryConfigProvider" => Ok(Self::Directory(AllowedPaths::of(prefix, options)?)),
            "EnvVarConfigProvider" => Ok(Self::Environment(allowlist(prefix, options)?)),
            _ => Err(OptionError::invalid(
                &key,
                class,
                "there are FileConfigProvider, DirectoryConfigProvider and EnvVarConfigProvider",
            )),
        }
    }

    /// The value of a key; `None` if there is none.
    pub(super) fn get(&self, path: &str, key: &str) -> Result<Option<String>> {
        match self {
            Self::File(allowed) => from_file(allowed, path, key),
            Self::Directory(allowed) => from_folder(allowed, path, key),
            Self::Environment(_) if !path.is_empty() => Err(Error::config(format!(
                "Path is not supported for EnvVarConfigProvider, invalid value '{path}'"
            ))),
            Self::Environment(Some(allowed)) if !allowed.is_match(key) => Ok(None),
            Self::Environment(_) => Ok(std::env::var(key).ok()),
        }
    }
}

fn allowlist(prefix: &str, options: &ConfigMap) -> Result<Option<Regex>, OptionError> {
    let Some(pattern) = options.get("param.allowlist.pattern") else {
        return Ok(None);
    };
    let whole = Regex::new(pattern).and_then(|_| Regex::new(&format!("^(?:{pattern})$")));
    whole.map(Some).map_err(|error| {
        let key = format!("{prefix}param.allowlist.pattern");
        OptionError::invalid(&key, pattern, &error.to_string())
    })
}

fn from_file(allowed: &AllowedPaths, path: &str, key: &str) -> Result<Option<String>> {
    if path.is_empty() {
        return Ok(None);
    }
    let text = match allowed.find(Path::new(path)) {
        Ok(Some(file)) => named_file::read_text(file),
        Ok(None) => return Ok(None),
        Err(cause) => Err(cause),
    };
    let unreadable = || Error::config(format!("Could not read properties from file {path}"));
    let text = text.map_err(|cause| unreadable().source(cause))?;
    let entries = properties::parse(&text).map_err(|cause| unreadable().source(cause))?;
    Ok(entries.get(key).cloned())
}

fn from_folder(allowed: &AllowedPaths, path: &str, key: &str) -> Result<Option<String>> {
    // A name, not a way out of the folder.
    let is_name = Path::new(key).file_name().is_some_and(|name| name == key);
    if path.is_empty() || !is_name {
        return Ok(None);
    }
    let file = Path::new(path).join(key);
    if !file.is_file() {
        return Ok(None);
    }
    let found = match allowed.find(&file) {
        Ok(Some(found)) => named_file::read_text(found),
        Ok(None) => return Ok(None),
        Err(cause) => Err(cause),
    };
    found.map(Some).map_err(|cause| {
        Error::config(format!("Could not read file {}", file.display())).source(cause)
    })
}

/// Files and folders a provider may read; all if none are named.
#[derive(Debug)]
pub(super) struct AllowedPaths(Vec<PathBuf>);

impl AllowedPaths {
    fn of(prefix: &str, options: &ConfigMap) -> Result<Self, OptionError> {
        let list = options
            .get("param.allowed.paths")
            .map_or("", String::as_str);
        let mut paths = Vec::new();
        for path in list
            .split(',')
            .map(str::trim)
            .filter(|path| !path.is_empty())
        {
            match std::fs::canonicalize(path) {
                Ok(found) if Path::new(path).is_absolute() => paths.push(found),
                _ => {
                    let key = format!("{prefix}param.allowed.paths");
                    let reason = "each must be an absolute path of a file or folder that is there";
                    return Err(OptionError::invalid(&key, path, reason));
                }
            }
        }
        Ok(Self(paths))
    }

    /// The file behind `path`, links followed; `None` if it lies outside.
    fn find(&self, path: &Path) -> std::io::Result<Option<PathBuf>> {
        let file = std::fs::canonicalize(path)?;
        if self.0.is_empty() || self.0.iter().any(|allowed| file.starts_with(allowed)) {
            return Ok(Some(file));
        }
        warn!(path = %path.display(), "lies outside allowed.paths of its config provider");
        Ok(None)
    }
}
