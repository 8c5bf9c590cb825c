//! Pure: help on what concerns many commands.

use std::fmt::Write as _;

use super::super::render::Format;
use crate::admin::metrics;

/// How output is printed, and what scripts may rely on.
pub(super) fn output() -> String {
    let mut text =
        "What commands print. Data goes to standard output, everything else to standard error.\n\n\
         -o, --output chooses the format of every command that reads:\n\n"
            .to_owned();
    let formats = [
        (
            Format::Table,
            "columns for people: those that fit, on a terminal",
        ),
        (Format::Wide, "all columns, in full"),
        (
            Format::Json,
            "one document: schema, generated_at, site, items",
        ),
        (Format::Jsonl, "one object a line, as soon as it is known"),
        (Format::Yaml, "the JSON document as YAML"),
        (Format::Csv, "the columns, with a header (RFC 4180)"),
        (
            Format::Name,
            "bare names or ids, one a line, for xargs and for - of conflicts ack",
        ),
    ];
    for (format, about) in formats {
        line(&mut text, format.word(), about);
    }
    text.push_str(
        "\nWhere the output is no terminal, the table has no colour, nothing is cut, and times stand in full\n\
         (RFC 3339, UTC). No format is ever chosen by where the output goes.\n\n\
         For scripts, in JSON: keys are only added. Units stand in names (_us, _bytes, _entries, _per_s).\n\
         Numbers that identify and use all 64 bits are strings. A time stands twice: ..._at as text and\n\
         ..._us as microseconds since 1970. What is not known is null, and never zero. States are words in\n\
         lower case, the same in metrics. What each command prints is described by a JSON Schema:\n\n    \
             cfs-repl schema\n    \
             cfs-repl schema status\n\n\
         Lists take --columns, --sort, --limit and --no-headers; --watch asks again and again. A list of\n\
         conflicts is printed page by page and held in memory nowhere; of a table, and under --sort, the text of\n\
         each row is held: some ten MB for 100 000 of them. A document that was cut off in the middle does not\n\
         parse, and its exit code is that of the failure.\n\n\
         Names of files, and all that other sites say, are shown with control characters and marks of direction\n\
         escaped, in every format: as \\n or \\u{202e}, and in JSON as \\u202e, which is the same value. A name that\n\
         is no UTF-8 is shown with \\xNN, and stands as a whole under a key that ends in _hex.\n\n\
         A failure is told as what, why and what to do; with json, jsonl and yaml as one object on standard\n\
         error. Codes: cfs-repl help exit-codes\n",
    );
    text
}

/// What conflicts are, and what to do about them.
pub(super) fn conflicts() -> String {
    let mut text = "A conflict: two sites changed the same thing, and neither had seen what the other did. Every site\n\
         decides alike, by the later stamp, without asking; nothing waits for you. What lost is kept\n\
         (conflicts.keep and conflicts.retention of the configuration) and stays on record.\n\n\
         Kinds:\n\n"
        .to_owned();
    let kinds = [
        (
            "register",
            "content, mode, owner, times, flags or an attribute were written twice",
        ),
        ("write_unlink", "one site wrote what the other removed"),
        (
            "name_clash",
            "two got one name: one keeps it, the other stands beside it",
        ),
        (
            "rmdir_create",
            "a removed directory stays for what others put into it",
        ),
        (
            "move_cycle",
            "a move would have put a directory into itself",
        ),
        (
            "suid_dropped",
            "set-uid and set-gid bits are not given to bytes of another site",
        ),
        ("content_lost", "every site says that it has not the bytes"),
        (
            "merged",
            "different things were changed, and both changes stand: for information",
        ),
    ];
    for (kind, about) in kinds {
        line(&mut text, kind, about);
    }
    text.push_str(
        "\nSee what nobody looked at yet, then one of them, with an id of the list or the beginning of one:\n\n    \
             cfs-repl conflicts list --unacked\n\n    \
             conflicts show ID                    both versions, and why one won\n    \
             conflicts show ID --diff             what differs, where both are text\n    \
             conflicts show ID --save-loser FILE  the bytes that lost\n\n\
         \"The order is not certain\" means that the stamps are less apart than the clocks of both sites may be.\n\n\
         Then one of:\n\n    \
             conflicts ack ID --note TEXT         all is well; shows at all sites, discards nothing\n    \
             conflicts restore ID                 put what lost back, as a new change, at all sites\n    \
             conflicts restore ID --as PATH       put it beside\n    \
             conflicts restore ID --over-later    the same over work that is later than what won\n    \
             conflicts unack ID                   take an acknowledgement back\n\n\
         A conflict that a later version settled, which had seen both, is \"superseded\" and needs nobody.\n\n\
         To be told: [alerts] in the configuration runs a program or posts to a web server; conflicts watch\n\
         prints a line for each change, and goes on with --after where it was stopped; the metric is\n\
         cfs_repl_conflicts_open.\n",
    );
    text
}

/// Who may do what, and what is secret.
pub(super) fn security() -> String {
    "Who may do what, and what is secret.\n\n\
     Between sites\n\n\
     Every connection is TLS 1.3 with certificates of both sides, and the certificate names the site: a\n\
     certificate of the cluster's authority for another site is refused. There is no mode without TLS.\n\
     Certificates are read again by the command reload or SIGHUP; new connections use the new ones. A\n\
     certificate that ends within 14 days is told by status, an event, an alert and a metric. The next one is\n\
     issued by cfs-repl pki issue at the site that holds ca.key, which makes a new key, too; how it gets to\n\
     the site of a member: cfs-repl help join\n\n\
     A site that has a valid certificate is believed in what it says about files: it can change or delete\n\
     what is replicated. A site that deletes too much at once is held by the brake until somebody looks.\n\
     Set-uid and set-gid bits do not come with bytes of another site.\n\n\
     Secrets\n\n\
     tls.key, tls.ca_key and tokens of peer invite. Keys are files that their owner alone may read, and\n\
     are in no flag and no variable. A token works once, and for an hour unless told otherwise; who has it\n\
     may join. Nothing secret is in status, events, logs or the support-bundle.\n\n\
     The daemon\n\n\
     answers commands on a unix socket: its own user and root, members of admin.read_group, who may look,\n\
     and of admin.write_group, who may act. The kernel tells it who asks; the user is on record with\n\
     everything that is changed. Bytes of losers need the right to act: they may be of files that their\n\
     reader cannot open. With admin.listen it answers over the network, TLS 1.3 with certificates of both\n\
     sides, those whose certificate has a name in admin.allow; they may act. Files of the state folder\n\
     are for their owner alone.\n\n\
     Files are opened below tree.root only, without following symbolic links out of it. Numbers over HTTP\n\
     (metrics.listen) have no access control and name no files; the address is the control, and the default\n\
     is none. What [alerts] exec names runs as the user of the daemon.\n\n\
     Names and text of others are made printable before a terminal shows them: see the topic output.\n\n\
     Check a site: cfs-repl doctor\n"
        .to_owned()
}

/// Every metric with its meaning.
pub(super) fn metrics() -> String {
    let mut text = "Metrics in the text format of Prometheus: /metrics where metrics.listen says so, and by:\n\n    \
             cfs-repl check --format prometheus\n\n\
         Names and labels are only added to. What is not known has no sample. \"site\" names the peer.\n\
         Alert rules and a dashboard for Grafana are in contrib/.\n\n"
        .to_owned();
    for (name, about) in metrics::names() {
        let written = writeln!(text, "    {name}\n        {about}");
        written.unwrap_or_default();
    }
    text
}

fn line(text: &mut String, word: &str, about: &str) {
    let written = writeln!(text, "    {word:<14}{about}");
    written.unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_fits_a_terminal_of_a_hundred_columns() {
        for text in [output(), conflicts(), security(), metrics()] {
            let widest = text
                .lines()
                .max_by_key(|line| line.chars().count())
                .unwrap();
            assert!(widest.chars().count() <= 104, "{widest}");
        }
    }

    #[test]
    fn every_metric_is_explained() {
        let text = metrics();
        let count = metrics::names().count();
        assert!(count >= 25);
        assert_eq!(text.matches("    cfs_repl_").count(), count);
    }
}
