//! `sluice plugins`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use connect_core::config::{ConfigDef, find_connector_plugin, find_converter_plugin, reference};
use connect_core::plugin::{ConnectorType, connector_plugins, converter_plugins};

use super::metrics_page;
use super::output::{Table, print_text};

/// The folders, below the connectors' own, whose README holds an options section.
const CONNECTORS: &str = "connectors";
/// The page that holds the options of all converters.
const CONVERTERS: &str = "converters/README.md";

#[derive(Debug, Args)]
pub(super) struct PluginsArgs {
    /// Show this plugin's options
    name: Option<String>,
    /// Fail if what is generated in the documentation (options, metrics) is not that of this binary
    #[arg(long, conflicts_with = "name")]
    check_docs: bool,
    /// Write what is generated in the documentation
    #[arg(long, conflicts_with_all = ["name", "check_docs"])]
    write_docs: bool,
}

pub(super) fn run(args: &PluginsArgs) -> Result<ExitCode> {
    if args.check_docs || args.write_docs {
        return docs(args.write_docs);
    }
    match &args.name {
        Some(name) => show(name)?,
        None => list(),
    }
    Ok(ExitCode::SUCCESS)
}

fn list() {
    let mut table = Table::new(&["TYPE", "CLASS", "VERSION"]);
    for plugin in connector_plugins() {
        let kind = if plugin.kind == ConnectorType::Sink {
            "sink"
        } else {
            "source"
        };
        table.row(vec![
            kind.to_owned(),
            plugin.class.to_owned(),
            plugin.version.to_owned(),
        ]);
    }
    for plugin in converter_plugins() {
        table.row(vec![
            "converter".to_owned(),
            plugin.class.to_owned(),
            plugin.version.to_owned(),
        ]);
    }
    table.print();
}

fn definition(name: &str) -> Result<ConfigDef> {
    match find_converter_plugin(name) {
        Some(plugin) => Ok((plugin.definition)()),
        None => Ok((find_connector_plugin(name)?.definition)()),
    }
}

fn show(name: &str) -> Result<()> {
    let mut table = Table::new(&["KEY", "TYPE", "DEFAULT", "WHAT IT DOES"]);
    for option in definition(name)?.options() {
        let default = match option.default {
            connect_core::config::Default::Required => "required",
            connect_core::config::Default::Null => "",
            connect_core::config::Default::Text(text) => text,
        };
        let what = match option.unsupported {
            Some(why) => format!("not supported yet: {why}"),
            None => option.documentation.replace('\n', " "),
        };
        table.row(vec![
            option.name.to_owned(),
            option.kind.name().to_lowercase(),
            default.to_owned(),
            what,
        ]);
    }
    table.print();
    Ok(())
}

/// Each connector's README is in the folder of its crate, which its class is found by.
fn docs(write: bool) -> Result<ExitCode> {
    let mut stale = Vec::new();
    for plugin in connector_plugins() {
        let Some(path) = readme_of(plugin.class)? else {
            stale.push(format!("{}: no README names it", plugin.class));
            continue;
        };
        let definition = (plugin.definition)();
        let fresh = |page: &str| reference::rewrite_of(page, plugin.class, &definition);
        stale.extend(renew(&path, write, fresh)?);
    }
    for plugin in converter_plugins() {
        let definition = (plugin.definition)();
        if !definition.options().is_empty() {
            let fresh = |page: &str| reference::rewrite_of(page, plugin.class, &definition);
            stale.extend(renew(Path::new(CONVERTERS), write, fresh)?);
        }
    }
    stale.extend(renew(
        Path::new(metrics_page::PAGE),
        write,
        metrics_page::rewrite,
    )?);
    print_text(
        &stale
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    );
    Ok(if stale.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Writes the generated part of a page, or says that it is stale.
fn renew(
    path: &Path,
    write: bool,
    fresh: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>> {
    let shown = path.display();
    let page = std::fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
    let fresh = fresh(&page).with_context(|| format!("{shown} has no generated section"))?;
    if fresh == page {
        return Ok(None);
    }
    if write {
        std::fs::write(path, fresh).with_context(|| format!("writing {shown}"))?;
        return Ok(None);
    }
    Ok(Some(format!("{shown} is stale: run `make docs`")))
}

fn readme_of(class: &str) -> Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(Path::new(CONNECTORS)).context("run it at the project's root")? {
        let path = entry?.path().join("README.md");
        if path.is_file() && std::fs::read_to_string(&path)?.contains(&format!("`{class}`")) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
