//! Modules of the worker stand in one order (src/lib.rs): a file may use its own module and those above, never those below.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the order in which src/lib.rs declares them.
fn declared_order(root: &Path) -> Vec<String> {
    let library = fs::read_to_string(root.join("src/lib.rs")).expect("src/lib.rs is there");
    library
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the sources") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The module at the top of the crate that `file` belongs to.
fn module_of(source: &Path, file: &Path) -> Option<String> {
    let first = file.strip_prefix(source).ok()?.components().next()?;
    let name = Path::new(first.as_os_str()).file_stem()?.to_str()?;
    Some(name.to_owned())
}

/// Names that follow `crate::` in code, comments left out; `use crate::{a::…, b::…}` yields each.
fn used_modules(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    let mut used = Vec::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            used.extend(first_names_of_group(group));
        } else {
            used.push(leading_identifier(rest));
        }
    }
    used
}

fn leading_identifier(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|character| character.is_alphanumeric() || *character == '_')
        .collect()
}

fn first_names_of_group(group: &str) -> Vec<String> {
    let mut depth = 0_i32;
    let mut names = vec![leading_identifier(group)];
    for (position, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(leading_identifier(&group[position + 1..])),
            _ => {}
        }
    }
    names
}

fn upward_uses(root: &Path) -> Vec<String> {
    let order = declared_order(root);
    let rank = |module: &str| order.iter().position(|name| name == module);
    let source = root.join("src");
    let mut found = Vec::new();
    for file in rust_files(&source) {
        let Some(own) = module_of(&source, &file).and_then(|module| rank(&module)) else {
            continue; // lib.rs and main.rs stand below everything
        };
        let text = fs::read_to_string(&file).expect("a readable source");
        for used in used_modules(&text) {
            if rank(&used).is_some_and(|used_rank| used_rank > own) {
                let shown = file.strip_prefix(root).expect("below the root").display();
                found.push(format!("{shown} uses crate::{used}"));
            }
        }
    }
    found
}

#[test]
fn no_module_uses_one_below_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(
        declared_order(root).len() > 2,
        "src/lib.rs lists the modules"
    );
    assert_eq!(upward_uses(root), Vec::<String>::new());
}

#[test]
fn the_check_sees_plain_nested_and_grouped_uses() {
    let text = "use crate::rest::Server;\nuse crate::{kafka::Log, storage::{a, b}, cli};\n// crate::ui\nfn f() { crate::plugins::g() }";
    assert_eq!(
        used_modules(text),
        ["rest", "kafka", "storage", "cli", "plugins"]
    );
}

#[test]
fn only_plugins_names_connectors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let naming: Vec<_> = rust_files(&root.join("src"))
        .into_iter()
        .filter(|file| {
            fs::read_to_string(file)
                .expect("a readable source")
                .contains("sluice_connector_")
        })
        .filter(|file| {
            !file.ends_with("plugins.rs") && !file.to_string_lossy().contains("/produce/")
        })
        .collect();
    assert_eq!(naming, Vec::<PathBuf>::new());
}
