//! The option tables of the README are those of the code. `SLUICE_WRITE_DOCS=1 cargo test -p sluice-transforms --test
//! readme` writes them anew.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fmt::Write as _;
use std::path::Path;

use connect_core::config::ConfigDef;
use connect_core::config::reference::{BEGIN, END, rewrite};
use connect_core::plugin::{predicate_plugins, transform_plugins};
use sluice_transforms as _;

/// Each class, those for keys and values together, with its options.
fn classes() -> Vec<(String, ConfigDef)> {
    let transforms = transform_plugins();
    let transforms = transforms.iter().filter_map(|plugin| {
        let names = match plugin.class.rsplit_once('$') {
            Some((class, "Key")) => format!("`{class}$Key` and `$Value`"),
            Some(_) => return None,
            None => format!("`{}`", plugin.class),
        };
        Some((names, (plugin.definition)()))
    });
    let predicates = predicate_plugins();
    let predicates = predicates
        .iter()
        .map(|plugin| (format!("`{}`", plugin.class), (plugin.definition)()));
    transforms.chain(predicates).collect()
}

fn section(names: &str, definition: &ConfigDef) -> String {
    let table = rewrite(&format!("{BEGIN}{END}"), definition).unwrap();
    // Under the class' own title it needs no other.
    let table = table
        .replace(BEGIN, "")
        .replace(END, "")
        .replace("### Options", "");
    let class = names.trim_matches('`').split(['$', '`']).next().unwrap();
    let title = class.rsplit('.').next().unwrap();
    match table.trim() {
        "" => format!("\n### {title}\n\n{names}: no options.\n"),
        rows => format!("\n### {title}\n\n{names}\n\n{rows}\n"),
    }
}

#[test]
fn the_readme_lists_every_class_with_its_options() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let mut fresh = format!("{before}{BEGIN}\n");
    for (names, definition) in classes() {
        fresh.push_str(&section(&names, &definition));
    }
    write!(fresh, "\n{END}{after}").unwrap();
    if std::env::var_os("SLUICE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let current = std::fs::read_to_string(&path).unwrap();
    assert!(
        current == fresh,
        "README.md is stale: run this test with SLUICE_WRITE_DOCS=1"
    );
}
