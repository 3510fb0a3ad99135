//! The options section of a plugin's README, generated between two markers.

use std::fmt::Write;

use super::{ConfigDef, Default, OptionDef};

/// Where the generated part begins.
pub const BEGIN: &str = "<!-- options:begin -->";
/// Where it ends.
pub const END: &str = "<!-- options:end -->";

/// `page` with the part between the markers written anew; `None` if it has no markers.
pub fn rewrite(page: &str, definition: &ConfigDef) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!(
        "{before}{BEGIN}\n{}{END}{after}",
        section(definition)
    ))
}

fn section(definition: &ConfigDef) -> String {
    let mut text = String::new();
    let mut group = None;
    let supported = |option: &&OptionDef| option.unsupported.is_none();
    for option in definition.options().iter().filter(supported) {
        if option.group != group {
            group = option.group;
            let title = group.unwrap_or("Other");
            write!(text, "\n### {title}\n\n{HEAD}").expect("writing to a string cannot fail");
        }
        row(&mut text, option);
    }
    let refused: Vec<_> = definition
        .options()
        .iter()
        .filter_map(|option| Some(format!("`{}` ({})", option.name, option.unsupported?)))
        .collect();
    if !refused.is_empty() {
        write!(
            text,
            "\nRefused for now, by name, unless left at the default: {}.\n",
            refused.join(", ")
        )
        .expect("writing to a string cannot fail");
    }
    text.push('\n');
    text
}

const HEAD: &str = "| Key | Type | Default | Importance | What it does |\n|---|---|---|---|---|\n";

fn row(text: &mut String, option: &OptionDef) {
    let default = match option.default {
        Default::Required => "required".to_owned(),
        Default::Null => "–".to_owned(),
        Default::Text("") => "empty".to_owned(),
        Default::Text(value) => format!("`{value}`"),
    };
    let mut documentation = option
        .documentation
        .replace('\n', "<br>")
        .replace('|', "\\|");
    if let Some(values) = option.validator.valid_values() {
        let _infallible = write!(documentation, " Valid: {values}.");
    }
    let (name, kind) = (option.name, option.kind.name().to_ascii_lowercase());
    let importance = option.importance.name().to_ascii_lowercase();
    writeln!(
        text,
        "| `{name}` | {kind} | {default} | {importance} | {documentation} |"
    )
    .expect("writing to a string cannot fail");
}
