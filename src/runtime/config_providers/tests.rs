//! What placeholders become, and what is never shown.

use std::path::Path;

use connect_core::config::ConfigMap;

use super::{ConfigProviders, PLACEHOLDER, Resolved};

const PACKAGE: &str = "org.apache.kafka.common.config.provider";

fn map(pairs: &[(&str, &str)]) -> ConfigMap {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// The three providers under their usual names, and more settings.
fn providers(more: &[(&str, &str)]) -> ConfigProviders {
    let mut properties = map(&[
        ("config.providers", "env, file,dir"),
        (
            "config.providers.env.class",
            &format!("{PACKAGE}.EnvVarConfigProvider"),
        ),
        (
            "config.providers.file.class",
            &format!("{PACKAGE}.FileConfigProvider"),
        ),
        ("config.providers.dir.class", "DirectoryConfigProvider"),
    ]);
    properties.extend(map(more));
    ConfigProviders::of(&properties).unwrap()
}

fn resolve(providers: &ConfigProviders, raw: &str) -> Resolved {
    providers.resolve(&map(&[("option", raw)])).unwrap()
}

fn value(providers: &ConfigProviders, raw: &str) -> String {
    resolve(providers, raw).config["option"].clone()
}

fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn placeholders_are_replaced_wherever_they_stand() {
    let folder = folder_with(&[
        ("db.properties", "user=app\npassword = s3cr\\u00e9t\n"),
        ("token", "abc\n"),
    ]);
    let path = shown(folder.path());
    let providers = providers(&[]);
    let file = |key: &str| format!("${{file:{path}/db.properties:{key}}}");
    assert_eq!(value(&providers, &file("password")), "s3crét");
    let both = format!("{}:{}@host", file("user"), file("password"));
    assert_eq!(value(&providers, &both), "app:s3crét@host");
    assert_eq!(
        value(&providers, &format!("${{dir:{path}:token}}")),
        "abc\n"
    );
    let cargo = std::env::var("CARGO_PKG_NAME").unwrap();
    assert_eq!(
        value(&providers, "a ${env:CARGO_PKG_NAME} b"),
        format!("a {cargo} b")
    );
}

#[test]
fn what_is_not_known_stays_as_it_is() {
    let folder = folder_with(&[("db.properties", "user=app")]);
    let path = shown(folder.path());
    let providers = providers(&[]);
    for raw in [
        "${vault:secret:key}",
        "${env:SLUICE_NO_SUCH_VARIABLE}",
        "${env}",
        "$env:HOME",
        &format!("${{file:{path}/db.properties:password}}"),
        &format!("${{dir:{path}:nothing}}"),
        &format!("${{dir:{path}:../db.properties}}"),
        "${topic}-${partition}",
    ] {
        assert_eq!(value(&providers, raw), raw);
    }
}

#[test]
fn values_are_not_resolved_again() {
    let folder = folder_with(&[("odd.properties", "a=${env:CARGO_PKG_NAME}")]);
    let raw = format!("${{file:{}/odd.properties:a}}", shown(folder.path()));
    assert_eq!(value(&providers(&[]), &raw), "${env:CARGO_PKG_NAME}");
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_that_names_option_and_file() {
    let config = map(&[("connection.password", "${file:/no/such/file:key}")]);
    let error = providers(&[]).resolve(&config).unwrap_err().trace();
    for words in [
        "connection.password",
        "Could not read properties from file /no/such/file",
    ] {
        assert!(error.contains(words), "{error}");
    }
    let config = map(&[("option", "${env:path:KEY}")]);
    let error = providers(&[]).resolve(&config).unwrap_err().trace();
    assert!(error.contains("invalid value 'path'"), "{error}");
}

#[test]
fn a_pipe_that_nobody_writes_to_holds_nobody_up() {
    let folder = folder_with(&[("name", "x")]);
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let file = map(&[("a", &format!("${{file:{}:key}}", shown(&pipe)))]);
    assert!(providers(&[]).resolve(&file).is_err());
    // Of a folder only files are keys.
    let dir = format!("${{dir:{}:pipe}}", shown(folder.path()));
    assert_eq!(value(&providers(&[]), &dir), dir);
}

#[test]
fn what_lies_outside_the_allowed_paths_is_not_read() {
    let inside = folder_with(&[("a.properties", "key=inside")]);
    let outside = folder_with(&[("a.properties", "key=outside")]);
    let link = inside.path().join("link.properties");
    std::os::unix::fs::symlink(outside.path().join("a.properties"), &link).unwrap();
    let allowed = shown(inside.path());
    let providers = providers(&[
        ("config.providers.file.param.allowed.paths", &allowed),
        (
            "config.providers.env.param.allowlist.pattern",
            "CARGO_PKG_.*",
        ),
    ]);
    let file = |path: &Path| format!("${{file:{}:key}}", path.display());
    assert_eq!(
        value(&providers, &file(&inside.path().join("a.properties"))),
        "inside"
    );
    let climbing = inside
        .path()
        .join("..")
        .join(outside.path().file_name().unwrap());
    for path in [
        outside.path().join("a.properties"),
        link,
        climbing.join("a.properties"),
    ] {
        assert_eq!(value(&providers, &file(&path)), file(&path));
    }
    assert_ne!(
        value(&providers, "${env:CARGO_PKG_NAME}"),
        "${env:CARGO_PKG_NAME}"
    );
    assert_eq!(value(&providers, "${env:PATH}"), "${env:PATH}");
}

#[test]
fn wrong_providers_are_named() {
    for (properties, words) in [
        (
            map(&[("config.providers", "a")]),
            "config.providers.a.class",
        ),
        (
            map(&[
                ("config.providers", "a"),
                ("config.providers.a.class", "x.Vault"),
            ]),
            "x.Vault",
        ),
        (
            map(&[
                ("config.providers", "a"),
                ("config.providers.a.class", "EnvVarConfigProvider"),
                ("config.providers.a.param.allowlist.pattern", "("),
            ]),
            "allowlist.pattern",
        ),
        (
            map(&[
                ("config.providers", "a"),
                ("config.providers.a.class", "FileConfigProvider"),
                ("config.providers.a.param.allowed.paths", "relative"),
            ]),
            "allowed.paths",
        ),
    ] {
        let errors = ConfigProviders::of(&properties).unwrap_err();
        let text: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert!(text.join(" ").contains(words), "{text:?}");
    }
}

#[test]
fn texts_show_placeholders_not_values() {
    let folder = folder_with(&[(
        "db.properties",
        "password=hunter2\nlonger=hunter2hunter2\nshort=abc",
    )]);
    let file = |key: &str| format!("${{file:{}/db.properties:{key}}}", shown(folder.path()));
    let raw = format!("{} {} {}", file("password"), file("longer"), file("short"));
    let redaction = resolve(&providers(&[]), &raw).redaction;
    let text = redaction.apply("tried hunter2, then hunter2hunter2, abc".to_owned());
    assert_eq!(
        text,
        format!("tried {}, then {}, abc", file("password"), file("longer"))
    );
}

#[test]
fn a_value_is_hidden_however_it_is_spelled() {
    let folder = folder_with(&[("secret", "se cret/\"1\"\nline%2\n")]);
    let raw = format!("${{dir:{}:secret}}", shown(folder.path()));
    let redaction = resolve(&providers(&[]), &raw).redaction;
    for told in [
        "se cret/\"1\"\nline%2\n",
        "se cret/\"1\"\nline%2",
        r#"se cret/\"1\"\nline%2"#,
        "se%20cret/%221%22line%2",
    ] {
        assert_eq!(redaction.apply(format!("<{told}>")), format!("<{raw}>"));
    }
}

#[test]
fn the_expression_is_one() {
    assert!(PLACEHOLDER.is_match("${a:b}"));
}
