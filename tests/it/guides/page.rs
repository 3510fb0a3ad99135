//! The commands of a page: what stands in its fences, line by line.
//!
//! Lines of a `console` fence that begin with `$ ` are commands, with the lines that continue them; other lines are what
//! a command prints. Every line of an `sh` fence that is not indented is a command that the runner does not run.

use std::collections::VecDeque;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// A command and what the page shows of its output.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Its line in the page, from 1.
    pub(super) line: usize,
    /// The heading above it.
    pub(super) section: String,
    pub(super) command: String,
    pub(super) shown: Vec<String>,
    /// True in a `console` fence.
    pub(super) is_run: bool,
}

/// The commands of a file.
pub(super) fn read(path: &Path) -> Result<Vec<Step>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    steps(&text).with_context(|| path.display().to_string())
}

fn steps(text: &str) -> Result<Vec<Step>> {
    let mut lines: VecDeque<_> = (1..).zip(text.lines()).collect();
    let (mut steps, mut section) = (Vec::new(), String::new());
    while let Some((_, line)) = lines.pop_front() {
        if let Some(heading) = line.strip_prefix('#') {
            heading
                .trim_start_matches(['#', ' '])
                .clone_into(&mut section);
        }
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let mut block = VecDeque::new();
        loop {
            let line = lines.pop_front().context("a fence is not closed")?;
            if line.1 == "```" {
                break;
            }
            block.push_back(line);
        }
        match info {
            "console" => steps.extend(block_steps(block, &section, true)?),
            "sh" => steps.extend(block_steps(block, &section, false)?),
            _ => ensure!(
                !block.iter().any(|(_, line)| line.starts_with("$ ")),
                "a command in a fence of another kind: {block:?}"
            ),
        }
    }
    Ok(steps)
}

fn block_steps(
    mut block: VecDeque<(usize, &str)>,
    section: &str,
    is_run: bool,
) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    while let Some((line, text)) = block.pop_front() {
        if let Some(command) = command_of(text, is_run) {
            steps.push(Step {
                line,
                section: section.to_owned(),
                command: whole(command, &mut block)?,
                is_run,
                ..Step::default()
            });
        } else if !text.trim().is_empty() {
            let step = steps.last_mut().context("output before any command")?;
            step.shown.push(text.to_owned());
        }
    }
    Ok(steps)
}

fn command_of(line: &str, is_run: bool) -> Option<&str> {
    match line.strip_prefix("$ ") {
        None if !is_run && !line.starts_with([' ', '#']) && !line.is_empty() => Some(line),
        command => command,
    }
}

/// The command with its continued lines and its here-document.
fn whole(first: &str, block: &mut VecDeque<(usize, &str)>) -> Result<String> {
    let mut command = first.to_owned();
    while command.ends_with('\\') {
        let (_, more) = block
            .pop_front()
            .context("a continued line ends the fence")?;
        command = format!("{command}\n{more}");
    }
    let end = first
        .split_once("<<")
        .map(|(_, word)| word.trim_matches('\''));
    while let Some(end) = end {
        let (_, more) = block.pop_front().context("a here-document is not closed")?;
        command = format!("{command}\n{more}");
        if more == end {
            break;
        }
    }
    Ok(command)
}

/// True if the output has the shown lines, in this order, other lines between them. `…` stands for anything, and blanks
/// count once; with `numbers_vary` a number stands for any.
pub(super) fn is_shown(shown: &[String], output: &str, numbers_vary: bool) -> bool {
    let form = |line: &str| plain(line, numbers_vary);
    let output: Vec<_> = output.lines().map(form).collect();
    let mut rest = output.iter();
    shown.iter().all(|line| {
        let line = form(line);
        rest.by_ref().any(|printed| fits(&line, printed))
    })
}

fn plain(line: &str, numbers_vary: bool) -> String {
    let words: Vec<_> = line.split_whitespace().collect();
    let line = words.join(" ");
    if !numbers_vary {
        return line;
    }
    let mut text = String::new();
    for character in line.chars() {
        match character {
            '0'..='9' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            other => text.push(other),
        }
    }
    text
}

fn fits(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        // The last part ends the line; an empty one takes all.
        rest = if part.is_empty() { "" } else { after };
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n```console\n$ cat > file <<'END'\n$ not a command\nEND\n\n$ curl \\\n    url\n{\"a\":1}\n```\n\
                        ## More\n```sh\n$ docker run x \\\n    y\nkubectl apply\n```\n";

    #[test]
    fn commands_have_their_continued_lines_here_documents_outputs_and_headings() {
        let steps = steps(PAGE).unwrap();
        let of = |step: &Step| {
            (
                step.line,
                step.section.clone(),
                step.command.clone(),
                step.is_run,
            )
        };
        let expected = [
            (3, "Page", "cat > file <<'END'\n$ not a command\nEND", true),
            (7, "Page", "curl \\\n    url", true),
            (13, "More", "docker run x \\\n    y", false),
            (15, "More", "kubectl apply", false),
        ];
        let expected = expected.map(|(line, section, command, is_run)| {
            (line, section.to_owned(), command.to_owned(), is_run)
        });
        assert_eq!(steps.iter().map(of).collect::<Vec<_>>(), expected);
        assert_eq!(steps[1].shown, ["{\"a\":1}"]);
    }

    #[test]
    fn a_command_that_no_fence_marks_is_an_error() {
        assert!(steps("```\n$ ls\n```\n").is_err());
        assert!(steps("```console\n$ ls\n").is_err());
    }

    #[test]
    fn outputs_are_compared_by_lines_in_order() {
        let shown = |lines: &[&str]| {
            lines
                .iter()
                .map(|&line| line.to_owned())
                .collect::<Vec<_>>()
        };
        let output = "NAME   STATE\nsink   RUNNING 17 s\nend";
        assert!(is_shown(&shown(&["NAME STATE", "sink …"]), output, false));
        assert!(is_shown(&shown(&["sink RUNNING 3 s"]), output, true));
        assert!(is_shown(&shown(&["… 17 s"]), output, false));
        assert!(!is_shown(&shown(&["sink RUNNING 3 s"]), output, false));
        assert!(!is_shown(&shown(&["sink …", "NAME STATE"]), output, false));
        assert!(!is_shown(&shown(&["sink RUNNING"]), output, false));
    }
}
