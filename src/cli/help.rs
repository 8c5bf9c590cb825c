//! `cfs-repl help [TOPIC]`: help on a command, or on something that concerns all of them.

use std::fmt::Write;
use std::path::Path;

use super::exit::{CliResult, Exit, Failure};
use super::ui::Ui;
use crate::admin::view::EVENT_NAMES;
use crate::config::{Config, Example, Role};

mod topics;

/// A topic: its name, and its text.
type Topic = (&'static str, fn() -> String);

const TOPICS: [Topic; 9] = [
    ("exit-codes", exit_codes),
    ("environment", environment),
    ("config", config),
    ("output", topics::output),
    ("conflicts", topics::conflicts),
    ("security", topics::security),
    ("metrics", topics::metrics),
    ("join", join),
    ("events", events),
];

/// Print help on a command or a topic: exit-codes, environment, config, output, conflicts, security, metrics,
/// join, events
#[derive(Debug, clap::Args)]
pub(super) struct HelpArgs {
    /// A command, with its subcommand if it has one, or a topic
    words: Vec<String>,
}

pub(super) fn run(ui: &mut Ui, args: &HelpArgs) -> CliResult {
    if let [word] = args.words.as_slice()
        && let Some((_, text)) = TOPICS.iter().find(|(name, _)| name == word)
    {
        return ui.data(&text());
    }
    let mut parser = super::parser();
    // Fills in what subcommands inherit, such as the global flags.
    parser.build();
    let command = subcommand(&mut parser, &args.words)?;
    let text = command.render_long_help().ansi().to_string();
    ui.data(&text)
}

/// The command that these words name.
pub(super) fn subcommand<'a>(
    parser: &'a mut clap::Command,
    words: &[String],
) -> Result<&'a mut clap::Command, Failure> {
    let mut command = parser;
    for word in words {
        command = command.find_subcommand_mut(word).ok_or_else(|| {
            let topics: Vec<&str> = TOPICS.iter().map(|(name, _)| *name).collect();
            let topics = topics.join(", ");
            Failure::new(Exit::Usage, format!("no command or topic \"{word}\""))
                .cause(format!("topics are: {topics}"))
                .hint("cfs-repl --help lists the commands")
        })?;
    }
    Ok(command)
}

pub(super) fn exit_codes() -> String {
    let mut text = "Exit codes of every command; scripts may rely on them.\n\n".to_owned();
    for exit in Exit::ALL {
        let line = writeln!(
            text,
            "{:>4}  {:<18}  {}",
            exit.code(),
            exit.word(),
            exit.meaning()
        );
        line.unwrap_or_default();
    }
    text
}

pub(super) fn environment() -> String {
    "Environment variables that cfs-repl reads.\n\n\
     CFS_REPL_CONFIG  configuration file, where --config is not given\n\
     CFS_REPL_SERVER  daemon to ask, where --server is not given\n\
     CFS_REPL_IDENTITY\n                 \
     certificate to show to it, where --identity is not given\n\
     CFS_REPL_<SECTION>__<KEY>\n                 \
         this key of the configuration, over every file: CFS_REPL_TREE__SETTLE=2s;\n                 \
         lists with commas, or as in TOML\n\
     NO_COLOR         when not empty: no colour\n\
     CLICOLOR_FORCE   when not empty: colour even where the output is no terminal\n\
     TERM             dumb: no colour\n"
        .to_owned()
}

/// ROOT and STATE are what the refusals name, so that the commands can be typed as they stand.
fn join() -> String {
    let (join, run) = (Exit::PreconditionLost.code(), Exit::Config.code());
    let told = format!("(\"populated\", exit code {join} of join and {run} of run)");
    "How a site joins, and how it joins anew. ROOT is tree.root of the site, STATE its state.dir.\n\
     Nothing below deletes a file; what ends in .before is yours to look through.\n\n\
     A further site\n\n\
     is invited by the site that holds the key of the authority (tls.ca_key, as after init\n\
     --new-authority), while cfs-repl runs there:\n\n    \
         cfs-repl peer invite\n\n\
     The token is a secret, works once and for an hour; `cfs-repl peer invitations` lists those there\n\
     are, and `cfs-repl peer revoke ID` withdraws one. At the new machine:\n\n    \
         cfs-repl join TOKEN --root ROOT --listen 0.0.0.0:7443\n    \
         cfs-repl run\n\n\
     Its key is made there and stays there. The site that invited keeps the new one in\n\
     STATE/peers.toml. Other sites are told by hand, by a [[peer]] in their configuration that join\n\
     prints, and then the command reload there; until then they and the new one lack each other's changes.\n\n\
     It starts with an empty tree and a new state folder, and gets everything from the others: from\n\
     their journals while these are whole, and else as a snapshot of what one of them knows. That goes\n\
     on after less than a minute, else anew; nothing shows in the tree before all of it is there.\n\n\
     A certificate is good for a year. The site that holds the key of the authority issues the next\n\
     one, with a new key, which is made there. CLUSTER is site.cluster, TLS the folder of tls.ca_key:\n\n    \
         cfs-repl pki issue --site NAME --cluster CLUSTER --dir TLS\n\n\
     Bring TLS/NAME.pem and TLS/NAME.key over a secure channel (scp) to where tls.cert and tls.key of\n\
     the site name them, remove both in TLS, and at the site:\n\n    \
         cfs-repl reload\n\n\
     Refused because both trees had files POPULATED\n\n\
     They can be compared: join with the flag --match, or, at a site that was started already, with\n\
     existing = \"match\" in [tree], STATE moved away as below, and ROOT/.cfs-repl moved away, too. Until\n\
     everything of the others is there, the site only receives. Files of the same path and bytes are\n\
     taken for the cluster's and are not sent; with other bytes they give way, are on record as\n\
     conflicts, and `cfs-repl conflicts restore` brings them back. Files with several names, and what is\n\
     of another kind, are renamed beside what arrives. Modes, owners, times and attributes become those\n\
     of the cluster. What only this site has is then added for all, also what was removed elsewhere in\n\
     the past. Sites with such trees join one after the other.\n\n\
     Or the site takes the other's tree. With cfs-repl stopped:\n\n    \
         mv ROOT ROOT.before && mkdir ROOT\n    \
         mv STATE STATE.before\n\n\
     Start it. When `cfs-repl status` says ok, see what the trees differ in, and copy back what only\n\
     the old one has:\n\n    \
         cfs-repl compare ROOT.before ROOT\n    \
         rsync -a --ignore-existing --exclude=/.cfs-repl ROOT.before/ ROOT/\n\n\
     Its state folder was lost, or an older one was put back (\"not_kept\", \"rolled_back\")\n\n\
     What a site wrote comes from that site alone: without its journal it would never get back\n\
     what it had written itself, and a journal that was rolled back would write other entries under\n\
     numbers that are taken. If the newest state folder and the tree that belongs to it are still\n\
     there, put them back: a disk that is not mounted looks the same. If not, say at one other site\n\
     that the journal of this one ended. NAME is its name:\n\n    \
         cfs-repl sites remove NAME --confirm NAME\n\n\
     A site that was invited is invited again. Another one, which stands as a [[peer]] in the\n\
     configurations, comes back as below.\n\n\
     Fenced, or refused because what it lacks is no longer kept (\"fenced\", \"not_kept\")\n\n\
     The site had been away longer than state.max_absence, or state.journal_budget was not enough\n\
     for what it lacked. Its journal stays refused for ever; the site comes back with another one and\n\
     takes over what the others know. There, with cfs-repl stopped:\n\n    \
         mv STATE STATE.before && mkdir -m 700 STATE\n    \
         cp -p STATE.before/peers.toml STATE/ # if there is one\n    \
         mv ROOT ROOT.before && mkdir ROOT\n\n\
     (With the tree in its place, and only ROOT/.cfs-repl moved away, existing = \"match\" in [tree]\n\
     compares it, as above.) Start it. When `cfs-repl status` says ok, copy back what was written there\n\
     and never sent; what was removed elsewhere meanwhile is in the old tree, too, so look before:\n\n    \
         cfs-repl compare ROOT.before ROOT\n    \
         rsync -a --ignore-existing --exclude=/.cfs-repl ROOT.before/ ROOT/\n\n\
     The bytes of losers that were kept there are in ROOT.before/.cfs-repl/trash. When two sites fenced\n\
     each other, one of them comes back so, and the other one stays as it is.\n"
        .replace("POPULATED", &told)
}

fn events() -> String {
    let mut text =
        "Names of events, for alerts and for the flag --name of events. Fixed: only added to.\n\n"
            .to_owned();
    for (name, about) in EVENT_NAMES {
        text.push_str(&format!("    {name:<24}{about}\n"));
    }
    text
}

fn config() -> String {
    Config::example(&Example {
        site_id: 1,
        name: "fra-1",
        cluster: "prod",
        role: Role::default(),
        primary_site_id: None,
        existing: crate::config::Existing::Bring,
        root: Path::new("/srv/media"),
        state: Path::new("/var/lib/cfs-repl"),
        listen: None,
        ca_key: false,
        tls: None,
        peers: &[],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_on_joining_fits_a_terminal_and_tells_codes_and_renewal() {
        let text = join();
        assert!(text.contains("exit code 8 of join and 6 of run)"), "{text}");
        assert!(text.contains("cfs-repl pki issue --site NAME --cluster CLUSTER --dir TLS\n"));
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(104), "{widest:?}");
    }
}
