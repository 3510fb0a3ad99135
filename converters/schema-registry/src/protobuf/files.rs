//! The files of a schema: its own, those it refers to, and those that every registry takes for granted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect_core::{Error, Result};
use prost_reflect::FileDescriptor;
use prost_reflect::prost::Message;
use prost_reflect::prost_types::FileDescriptorProto;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::known::KNOWN;
use crate::format::MOST_LEVELS;
use crate::registry::Resolved;

/// The file's own name; nothing else can be called so.
const ROOT: &str = "\u{0}schema.proto";

/// Compiles the file of a schema.
pub(super) fn compile(schema: &Resolved) -> Result<FileDescriptor> {
    let imports = schema.imports.iter().map(|(_, text)| text);
    if imports
        .chain([&schema.text])
        .any(|text| levels(text) > MOST_LEVELS)
    {
        return Err(Error::data(format!(
            "not a valid Protobuf schema: more than {MOST_LEVELS} levels"
        )));
    }
    let mut resolver = ChainFileResolver::new();
    let own = [(ROOT.to_owned(), schema.text.clone())];
    resolver.add(Texts(
        own.into_iter().chain(schema.imports.clone()).collect(),
    ));
    resolver.add(GoogleFileResolver::new());
    let known = KNOWN
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    resolver.add(Texts(known.collect()));
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    compiler.open_file(ROOT).map_err(|cause| {
        Error::data(format!(
            "not a valid Protobuf schema: {}",
            cause.to_string().replace(ROOT, "it")
        ))
    })?;
    let pool = compiler.descriptor_pool();
    pool.get_file_by_name(ROOT)
        .ok_or_else(|| Error::internal("a file that was compiled is not there"))
}

/// How deep brackets stand in one another. The compiler goes down by recursion, and knows no end.
fn levels(text: &str) -> usize {
    let (mut level, mut deepest) = (0_usize, 0);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let token = match first {
            '"' | '\'' => quoted(rest, first),
            '#' => until(rest, "\n"),
            '/' if rest.starts_with("//") => until(rest, "\n"),
            '/' if rest.starts_with("/*") => until(rest, "*/"),
            other => other.len_utf8(),
        };
        match first {
            '{' | '[' | '(' | '<' => level += 1,
            '}' | ']' | ')' | '>' => level = level.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(level);
        rest = rest.get(token..).unwrap_or_default();
    }
    deepest
}

/// Bytes of a text in quotes; it ends with the line at the latest.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    let ends = |(_, found): &(usize, char)| {
        let ends = *found == '\n' || (*found == quote && !escaped);
        escaped = *found == '\\' && !escaped;
        ends
    };
    let end = text.char_indices().skip(1).find(ends);
    end.map_or(text.len(), |(at, found)| at + found.len_utf8())
}

/// Bytes up to and with `end`.
fn until(text: &str, end: &str) -> usize {
    text.find(end).map_or(text.len(), |at| at + end.len())
}

/// Files by name, as texts.
struct Texts(Vec<(String, String)>);

impl FileResolver for Texts {
    fn resolve_path(&self, path: &std::path::Path) -> Option<String> {
        path.to_str().map(str::to_owned)
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.iter().find(|(own, _)| own == name) {
            Some((_, text)) => match compiled(name, text) {
                Some(file) => Ok(file),
                None => File::from_source(name, text),
            },
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// A file that some clients register as its compiler has written it, in base64.
fn compiled(name: &str, text: &str) -> Option<File> {
    let bytes = STANDARD.decode(text.trim()).ok()?;
    let mut file = FileDescriptorProto::decode(bytes.as_slice()).ok()?;
    file.name = Some(name.to_owned());
    Some(File::from_file_descriptor_proto(file))
}
