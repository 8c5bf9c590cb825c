//! `cfs-repl man`: the manual pages, from the same words as `--help`.

use std::fs;
use std::path::PathBuf;

use clap_mangen::Man;

use super::exit::{CliResult, Exit, Failure};
use super::help::{environment, exit_codes, subcommand};
use super::ui::Ui;

/// Print a manual page, or write all of them
///
/// To read one: cfs-repl man conflicts show | man -l -
///
/// To install all: cfs-repl man --dir /usr/local/share/man/man1
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// A command, with its subcommand if it has one; the program itself, if not given
    words: Vec<String>,
    /// Write all pages into this directory, and over older ones
    #[arg(long, value_name = "DIR", conflicts_with = "words")]
    dir: Option<PathBuf>,
}

pub(super) fn run(ui: &mut Ui, args: &ManArgs) -> CliResult {
    let mut parser = super::parser();
    parser.build();
    let Some(dir) = &args.dir else {
        let command = subcommand(&mut parser, &args.words)?.clone();
        return ui.data(&page(command)?.1);
    };
    let mut commands = vec![parser];
    let mut count = 0_u32;
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands().cloned());
        let (name, text) = page(command)?;
        fs::write(dir.join(&name), text).map_err(|error| {
            Failure::new(Exit::Failure, format!("cannot write {name}"))
                .cause(error)
                .hint("name a directory that exists and can be written")
        })?;
        count += 1;
    }
    ui.say(&format!("wrote {count} pages"));
    Ok(())
}

/// File name and text of the page of a command.
fn page(command: clap::Command) -> Result<(String, String), Failure> {
    let is_whole = command.get_name() == "cfs-repl";
    let man = Man::new(command).manual("cfs-repl");
    let mut bytes = Vec::new();
    man.render(&mut bytes)
        .map_err(|error| Failure::new(Exit::Failure, "cannot make the page").cause(error))?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if is_whole {
        text.push_str(&section("EXIT STATUS", &exit_codes()));
        text.push_str(&section("ENVIRONMENT", &environment()));
    }
    Ok((man.get_filename(), text))
}

/// Text that stands in a page as it is.
fn section(head: &str, text: &str) -> String {
    let mut page = format!(".SH \"{head}\"\n.nf\n");
    for line in text.lines() {
        // A line that begins so would be a request to the formatter.
        if line.starts_with(['.', '\'']) {
            page.push_str("\\&");
        }
        page.push_str(&line.replace('\\', "\\e").replace('-', "\\-"));
        page.push('\n');
    }
    page.push_str(".fi\n");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_stands_as_it_is_gives_the_formatter_no_orders() {
        assert_eq!(
            section("X", ".so /etc/passwd\n'br\na\\fB --b\n"),
            ".SH \"X\"\n.nf\n\\&.so /etc/passwd\n\\&'br\na\\efB \\-\\-b\n.fi\n"
        );
    }
}
