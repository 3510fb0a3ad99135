//! The options section of a plugin's README, generated between two markers. A README of several plugins names the class in
//! the first marker: `<!-- options:begin java.Class -->`.

use std::fmt::Write;

use super::{ConfigDef, Default, OptionDef};

/// Where the generated part of a README's only plugin begins.
pub const BEGIN: &str = "<!-- options:begin -->";
/// Where it ends.
pub const END: &str = "<!-- options:end -->";

/// `page` with the part between the only markers written anew; `None` if it has no markers.
pub fn rewrite(page: &str, definition: &ConfigDef) -> Option<String> {
    rewrite_of(page, "", definition)
}

/// `page` with the part between the markers for `class` written anew; `None` if it has no markers.
pub fn rewrite_of(page: &str, class: &str, definition: &ConfigDef) -> Option<String> {
    let named = format!("<!-- options:begin {class} -->");
    let begin = if page.contains(&named) { &named } else { BEGIN };
    let (before, rest) = page.split_once(begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!(
        "{before}{begin}\n{}{END}{after}",
        section(definition)
    ))
}

fn section(definition: &ConfigDef) -> String {
    let mut text = String::new();
    let mut title = None;
    let supported = |option: &&OptionDef| option.unsupported.is_none();
    for option in definition.options().iter().filter(supported) {
        let group = option.group.unwrap_or("Options");
        if title.replace(group) != Some(group) {
            write!(text, "\n### {group}\n\n{HEAD}").expect("writing to a string cannot fail");
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
