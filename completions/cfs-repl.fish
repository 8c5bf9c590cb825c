# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_cfs_repl_global_optspecs
    string join \n s/server= identity= o/output= json color= timeout= utc local q/quiet v/verbose h/help V/version
end

function __fish_cfs_repl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_cfs_repl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_cfs_repl_using_subcommand
    set -l cmd (__fish_cfs_repl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -s V -l version -d 'Print version'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "status" -d 'Show whether all is well, why not, and what to do'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "top" -d 'Show the dashboard: what is wrong, where, since when and why; and act on it'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "dashboard" -d 'Show the dashboard: what is wrong, where, since when and why; and act on it'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "lag" -d 'Show how far each peer is behind, and how far this site is behind it'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "conflicts" -d 'See what lost where two sites changed the same thing, and bring it back'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "sites" -d 'Look at the other sites, and act on them'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "events" -d 'Show what happened: sites that came and went, conflicts, what operators did; oldest first'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "journal" -d 'Look into the journal and the received logs'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "compact" -d 'See what compaction would leave out of what is to be sent to a peer, and why'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "wait" -d 'Wait until something is so, at most for --timeout'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "check" -d 'Say in one look whether all is well, for a monitoring system'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "config" -d 'Check the configuration, show what holds, or print its schema'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "doctor" -d 'Look whether a site has all that it needs, and say what to type where it has not'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "support-bundle" -d 'Collect what somebody who helps needs to know, in one file'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "init" -d 'Write a commented configuration and create the state folder'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "peer" -d 'Bring new sites in'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "join" -d 'Join a cluster as a new site, with a token that a site of it printed'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "reload" -d 'Have the daemon read its configuration and certificates again'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "log-level" -d 'Change what the daemon logs, until it is changed again or the daemon ends'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "pki" -d 'Make a certificate authority for a lab, and certificates by it'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "run" -d 'Run the daemon of a site in the foreground'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "demo" -d 'Start two sites on this machine and watch them keep in step'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "pair" -d 'Keep two directories on this machine in step until Ctrl-C'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "compare" -d 'Compare two directory trees'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "version" -d 'Print the version of this program, of what it was built with, and of the daemon, if it answers at once'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "schema" -d 'Print the JSON Schema of what a command prints, or list the schemas'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "man" -d 'Print a manual page, or write all of them'
complete -c cfs-repl -n "__fish_cfs_repl_needs_command" -f -a "help" -d 'Print help on a command or a topic: exit-codes, environment, config, output, conflicts, security, metrics, join, events'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand status" -l watch -d 'Ask again every 2 s, or as often as given, until Ctrl-C' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand status" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand status" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand status" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand status" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand status" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand status" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand status" -l exit-code -d 'Exit with 20 or 21 when something is wrong'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand status" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand status" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand status" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand status" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand status" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -l screen -d 'Begin with this screen: 1 overview, 2 site, 3 shards, 4 conflicts, 5 events, 6 journal' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -l theme -d 'Colours; without it those for dark terminals, or none as NO_COLOR and --color say' -r -f -a "dark\t''
light\t''
high-contrast\t''
mono\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -l record -d 'Keep what the daemon tells in this new file, to be played by --replay' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -l replay -d 'Play what --record kept; no daemon is asked' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -l speed -d 'Play so many times faster, 0.25 to 64' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -l read-only -d 'Change nothing: keys that act are greyed'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -l ascii -d 'Draw with ASCII alone'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -l no-mouse -d 'Leave the mouse to the terminal'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -l screen -d 'Begin with this screen: 1 overview, 2 site, 3 shards, 4 conflicts, 5 events, 6 journal' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -l theme -d 'Colours; without it those for dark terminals, or none as NO_COLOR and --color say' -r -f -a "dark\t''
light\t''
high-contrast\t''
mono\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -l record -d 'Keep what the daemon tells in this new file, to be played by --replay' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -l replay -d 'Play what --record kept; no daemon is asked' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -l speed -d 'Play so many times faster, 0.25 to 64' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -l read-only -d 'Change nothing: keys that act are greyed'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -l ascii -d 'Draw with ASCII alone'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -l no-mouse -d 'Leave the mouse to the terminal'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand dashboard" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l shard -d 'Show this shard alone, 0 to 255, or 256 for what is about no inode' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l max-age -d 'Tell which lags are over this, or not known' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l columns -d 'Only these columns, in this order' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l sort -d 'In the order of this column, or against it with - before its name; by value, what is not known last' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l limit -d 'At most so many' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l watch -d 'Ask again every 2 s, or as often as given, until Ctrl-C' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l per-shard -d 'Show every shard by itself, those that are furthest behind first'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l exit-code -d 'Exit with 20 or 21 when they are'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l no-headers -d 'Without the line of headings'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand lag" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -f -a "list" -d 'List conflicts, oldest first'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -f -a "show" -d 'Show one conflict: both versions, why one won, and where the bytes are that lost'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -f -a "ack" -d 'Acknowledge conflicts: somebody looked at them. Shows at all sites and discards nothing'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -f -a "unack" -d 'Take the acknowledgement of conflicts back, at all sites'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -f -a "restore" -d 'Put what lost back, as a new change; it goes to all sites, unless this one only receives'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and not __fish_seen_subcommand_from list show ack unack restore watch" -f -a "watch" -d 'Follow conflicts: a line for each one that is new, acknowledged, settled or restored, until Ctrl-C'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l site -d 'Only those in which this site wrote one of the versions' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l path -d 'Only those with a path below the root like this: * within a name, ** for any directories' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l inode -d 'Only those of this inode' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l since -d 'Only those that were noticed within this time' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l columns -d 'Only these columns, in this order' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l sort -d 'In the order of this column, or against it with - before its name; by value, what is not known last' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l limit -d 'At most so many' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l watch -d 'Ask again every 2 s, or as often as given, until Ctrl-C' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l unacked -d 'Only those that still matter and nobody acknowledged'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l acked -d 'Only those that somebody acknowledged'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l lossy -d 'Only those in which bytes lost'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l no-headers -d 'Without the line of headings'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from show" -l save-loser -d 'Write the bytes that lost to this file, which must not exist' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from show" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from show" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from show" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from show" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from show" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from show" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from show" -l diff -d 'Show what differs between what lost and what is shown, where both are text of 1 MiB at most'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from show" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from show" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from show" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l site -d 'Only those in which this site wrote one of the versions' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l path -d 'Only those with a path below the root like this: * within a name, ** for any directories' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l inode -d 'Only those of this inode' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l since -d 'Only those that were noticed within this time' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l expect -d 'How many --all has to mean, or nothing is done' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l note -d 'Why, for whoever looks next' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l all -d 'All that are open, or of these those for which everything holds that is given besides'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l lossy -d 'Only those in which bytes lost'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l yes -d 'Do it however many --all means'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l dry-run -d 'Only say what would be done'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from ack" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from unack" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from unack" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from unack" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from unack" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from unack" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from unack" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from unack" -l dry-run -d 'Only say what would be done'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from unack" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from unack" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from unack" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from unack" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from unack" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from unack" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from restore" -l as -d 'Where to put it, as a path below the root; where it was, if not given' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from restore" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from restore" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from restore" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from restore" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from restore" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from restore" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from restore" -l over-later -d 'Put it there although what stands there is later than what won; that goes to the trash'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from restore" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from restore" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from restore" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from restore" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from restore" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -l site -d 'Only those in which this site wrote one of the versions' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -l path -d 'Only those with a path below the root like this: * within a name, ** for any directories' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -l inode -d 'Only those of this inode' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -l since -d 'Begin with what happened within this time' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -l after -d 'Begin behind the line of this number' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -l lossy -d 'Only those in which bytes lost'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand conflicts; and __fish_seen_subcommand_from watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -f -a "list" -d 'List the other sites, and how they are reached'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -f -a "show" -d 'Show all that is known of one site'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -f -a "resume" -d 'Let a site go on that the brake holds, or that was paused'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -f -a "pause" -d 'Stop the exchange with a site, both ways, until it is resumed; also over a restart'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -f -a "reconnect" -d 'Make the connection to a site anew at once, without waiting for the next attempt'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and not __fish_seen_subcommand_from list show resume pause reconnect remove" -f -a "remove" -d 'Take a site out for good: nothing is kept for it or exchanged with it any more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -l columns -d 'Only these columns, in this order' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -l sort -d 'In the order of this column, or against it with - before its name; by value, what is not known last' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -l limit -d 'At most so many' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -l watch -d 'Ask again every 2 s, or as often as given, until Ctrl-C' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -l no-headers -d 'Without the line of headings'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from show" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from show" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from show" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from show" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from show" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from show" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from show" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from show" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from show" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from resume" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from resume" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from resume" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from resume" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from resume" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from resume" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from resume" -l confirm -d 'What the site deleted is meant: needed when the brake holds it'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from resume" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from resume" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from resume" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from resume" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from resume" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from pause" -l note -d 'Why, for whoever looks next' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from pause" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from pause" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from pause" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from pause" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from pause" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from pause" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from pause" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from pause" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from pause" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from pause" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from pause" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from reconnect" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from reconnect" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from reconnect" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from reconnect" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from reconnect" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from reconnect" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from reconnect" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from reconnect" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from reconnect" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from reconnect" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from reconnect" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from reconnect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from remove" -l confirm -d 'The name once more: what it has not received is lost to it' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from remove" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from remove" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from remove" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from remove" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from remove" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from remove" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from remove" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from remove" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from remove" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from remove" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand sites; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -l since -d 'Only what happened within this time' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -l level -d 'Only what is at least as bad: info, warn, error' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -l site -d 'Only what concerns this site' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -l name -d 'Only events of this name; may be repeated' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -l limit -d 'At most so many of the past, the latest ones' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -s f -l follow -d 'Go on with what happens from here on, until Ctrl-C'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand events" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -f -a "tail" -d 'Show the last entries, oldest first'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -f -a "show" -d 'Show one entry in full'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -f -a "stat" -d 'Show every log in numbers, and what stands in it by operation'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -f -a "verify" -d 'Check every record of every log'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and not __fish_seen_subcommand_from tail show stat verify export" -f -a "export" -d 'Print every entry in full, one JSON object a line'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -s n -l lines -d 'How many' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -l shard -d 'Only those of this shard; 256 is the control stream' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -l op -d 'Only those that do this; may be given several times' -r -f -a "create\t''
unlink\t''
rename\t''
write\t''
truncate\t''
setattr\t''
link\t''
symlink\t''
mkdir\t''
setxattr\t''
removexattr\t''
noop\t''
conflict_ack\t''
member\t''
resume_point\t''
horizon\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -l inode -d 'Only those of this inode' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -l path -d 'Only those that name something like this: entries hold a name and no directories, and writes hold no name' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -l since -d 'Only those that were stamped within this time' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -l config -d 'Configuration of the site: it names the state folder and the sites' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -l state -d 'State folder, in place of the one in the configuration; a copy of one will do' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -l of -d 'The log of what this site sent, by its name or number, in place of the own journal' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -s f -l follow -d 'Go on with what comes, until Ctrl-C'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from tail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from show" -l config -d 'Configuration of the site: it names the state folder and the sites' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from show" -l state -d 'State folder, in place of the one in the configuration; a copy of one will do' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from show" -l of -d 'The log of what this site sent, by its name or number, in place of the own journal' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from show" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from show" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from show" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from show" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from show" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from show" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from show" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from show" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from stat" -l config -d 'Configuration of the site: it names the state folder and the sites' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from stat" -l state -d 'State folder, in place of the one in the configuration; a copy of one will do' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from stat" -l of -d 'The log of what this site sent, by its name or number, in place of the own journal' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from stat" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from stat" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from stat" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from stat" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from stat" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from stat" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from stat" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from stat" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from stat" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from stat" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from stat" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from verify" -l config -d 'Configuration of the site: it names the state folder and the sites' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from verify" -l state -d 'State folder, in place of the one in the configuration; a copy of one will do' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from verify" -l of -d 'The log of what this site sent, by its name or number, in place of the own journal' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from verify" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from verify" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from verify" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from verify" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from verify" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from verify" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from verify" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from verify" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from verify" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from verify" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -l shard -d 'Only those of this shard; 256 is the control stream' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -l op -d 'Only those that do this; may be given several times' -r -f -a "create\t''
unlink\t''
rename\t''
write\t''
truncate\t''
setattr\t''
link\t''
symlink\t''
mkdir\t''
setxattr\t''
removexattr\t''
noop\t''
conflict_ack\t''
member\t''
resume_point\t''
horizon\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -l inode -d 'Only those of this inode' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -l path -d 'Only those that name something like this: entries hold a name and no directories, and writes hold no name' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -l since -d 'Only those that were stamped within this time' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -l config -d 'Configuration of the site: it names the state folder and the sites' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -l state -d 'State folder, in place of the one in the configuration; a copy of one will do' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -l of -d 'The log of what this site sent, by its name or number, in place of the own journal' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand journal; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -l site -d 'This peer alone; each of them, if not given' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -l shard -d 'This shard alone; 256 is the control stream' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -l show -d 'List the single entries that are kept, or dropped' -r -f -a "kept\t''
dropped\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -l state -d 'Read this state folder and ask no daemon; a copy of one will do' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -l dry-run -d 'Only look. Compaction belongs to sending, so there is nothing else to ask for'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compact" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand wait" -l for -d 'What to wait for: connected, and not held, paused or fenced; synced; \'lag<5s\': peers are less than that behind' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand wait" -l site -d 'This peer alone; all, if not given' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand wait" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand wait" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand wait" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand wait" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand wait" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand wait" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand wait" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand wait" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand wait" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand wait" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand wait" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand wait" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -l site -d 'This peer alone; all, if not given' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -l warn -d 'Lag from which on a peer is worth a look' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -l crit -d 'Lag from which on a peer needs a human' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -l format -d 'In which language' -r -f -a "text\t'One line, then the causes'
nagios\t'Output of a Nagios plugin: a line with performance data, then the causes'
prometheus\t'Metrics, for a textfile collector'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and not __fish_seen_subcommand_from check show schema" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and not __fish_seen_subcommand_from check show schema" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and not __fish_seen_subcommand_from check show schema" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and not __fish_seen_subcommand_from check show schema" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and not __fish_seen_subcommand_from check show schema" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and not __fish_seen_subcommand_from check show schema" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and not __fish_seen_subcommand_from check show schema" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and not __fish_seen_subcommand_from check show schema" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and not __fish_seen_subcommand_from check show schema" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and not __fish_seen_subcommand_from check show schema" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and not __fish_seen_subcommand_from check show schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and not __fish_seen_subcommand_from check show schema" -f -a "check" -d 'Say everything that is wrong with the configuration, and what is worth a look'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and not __fish_seen_subcommand_from check show schema" -f -a "show" -d 'Show every key of the configuration and what holds for it'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and not __fish_seen_subcommand_from check show schema" -f -a "schema" -d 'Print the JSON Schema of the configuration, for editors'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from check" -l config -d 'Configuration file' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from check" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from check" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from check" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from check" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from check" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from check" -l tls -d 'Read keys and certificates: whether they belong together, their names, and when they end'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from check" -l connect -d 'Try to reach the endpoints of the peers over TCP, each for --timeout. A peer that none of its endpoints reaches is an error'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from check" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from check" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'Configuration file' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from show" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from show" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from show" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from show" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from show" -l origin -d 'Show where each value comes from, and the default where it is another one; JSON always does'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from show" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from show" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from schema" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from schema" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from schema" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from schema" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from schema" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from schema" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from schema" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from schema" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from schema" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from schema" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand config; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand doctor" -l config -d 'Configuration of the site' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand doctor" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand doctor" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand doctor" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand doctor" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand doctor" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand doctor" -l exit-code -d 'Exit with 20 or 21 when something is wrong'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand doctor" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand doctor" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand doctor" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand doctor" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand doctor" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand support-bundle" -l output-file -d 'File to write; must not exist. cfs-repl-SITE-TIME.tar in this directory, if not given' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand support-bundle" -l log -d 'Log of the daemon, where systemd has it not: its end is put in' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand support-bundle" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand support-bundle" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand support-bundle" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand support-bundle" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand support-bundle" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand support-bundle" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand support-bundle" -l with-names -d 'Put names of files in, too: paths, exclude patterns, notes'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand support-bundle" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand support-bundle" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand support-bundle" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand support-bundle" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand support-bundle" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand support-bundle" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l site-id -d 'Number of this site, different on every site; 1 with --new-authority, if not given' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l name -d 'Name of this site, as in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l cluster -d 'Name of the cluster, the same on every site' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l role -d 'What this site does: bidirectional sends and applies, primary sends only, replica applies only' -r -f -a "bidirectional\t''
primary\t''
replica\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l primary-site-id -d 'With --role replica: the site that it follows' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l root -d 'Top of the directory tree to keep in step; must exist' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l state -d 'Folder for the journal and the state, outside the tree' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l listen -d 'Address on which other sites are accepted; without it this site only dials' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l peer -d 'Another site, and where it listens; without endpoints it dials this one. May be repeated' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l tls -d 'Folder of ca.pem, NAME.pem and NAME.key; by default "tls" beside the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l config -d 'File to write' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l new-authority -d 'Make the authority of a new cluster and the certificate of this site, too: it can invite the other sites then'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and not __fish_seen_subcommand_from invite invitations revoke" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and not __fish_seen_subcommand_from invite invitations revoke" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and not __fish_seen_subcommand_from invite invitations revoke" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and not __fish_seen_subcommand_from invite invitations revoke" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and not __fish_seen_subcommand_from invite invitations revoke" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and not __fish_seen_subcommand_from invite invitations revoke" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and not __fish_seen_subcommand_from invite invitations revoke" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and not __fish_seen_subcommand_from invite invitations revoke" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and not __fish_seen_subcommand_from invite invitations revoke" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and not __fish_seen_subcommand_from invite invitations revoke" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and not __fish_seen_subcommand_from invite invitations revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and not __fish_seen_subcommand_from invite invitations revoke" -f -a "invite" -d 'Print a token with which one machine joins as a new site'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and not __fish_seen_subcommand_from invite invitations revoke" -f -a "invitations" -d 'List the invitations that this site made, oldest first, without their secrets'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and not __fish_seen_subcommand_from invite invitations revoke" -f -a "revoke" -d 'Withdraw an invitation: its token does not work any more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -l name -d 'Name that the new site is to have; it chooses one, if not given' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -l valid -d 'How long the token works; at most 30 days' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -l endpoint -d 'Where the new site reaches this one; by default what conduit.listen says, with the name of this machine where that is all addresses. May be repeated' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -l dry-run -d 'Only say whether it could be made'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invite" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -l columns -d 'Only these columns, in this order' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -l sort -d 'In the order of this column, or against it with - before its name; by value, what is not known last' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -l limit -d 'At most so many' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -l no-headers -d 'Without the line of headings'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from invitations" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from revoke" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from revoke" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from revoke" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from revoke" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from revoke" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from revoke" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from revoke" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from revoke" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from revoke" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from revoke" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from revoke" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand peer; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -l root -d 'Top of the directory tree to keep in step; must exist' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -l name -d 'Name of this site; by default that of the token, or of the machine' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -l state -d 'Folder for the journal and the state, outside the tree' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -l listen -d 'Address on which other sites are accepted; without it this site only dials' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -l endpoint -d 'Where other sites reach this one; by default what --listen says. May be repeated' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -l tls -d 'Folder for key and certificates; by default "tls" beside the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -l config -d 'File to write' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -l match -d 'Compare the files that are there with the cluster\'s tree instead of refusing them (tree.existing)'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -l dry-run -d 'Ask whether it would be taken in, and write nothing'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand join" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand reload" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand reload" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand reload" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand reload" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand reload" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand reload" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand reload" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand reload" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand reload" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand reload" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand reload" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand reload" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand log-level" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand log-level" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand log-level" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand log-level" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand log-level" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand log-level" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand log-level" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand log-level" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand log-level" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand log-level" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand log-level" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand log-level" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and not __fish_seen_subcommand_from init issue" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and not __fish_seen_subcommand_from init issue" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and not __fish_seen_subcommand_from init issue" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and not __fish_seen_subcommand_from init issue" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and not __fish_seen_subcommand_from init issue" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and not __fish_seen_subcommand_from init issue" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and not __fish_seen_subcommand_from init issue" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and not __fish_seen_subcommand_from init issue" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and not __fish_seen_subcommand_from init issue" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and not __fish_seen_subcommand_from init issue" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and not __fish_seen_subcommand_from init issue" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and not __fish_seen_subcommand_from init issue" -f -a "init" -d 'Make the authority: ca.pem, which every site needs, and ca.key, which stays in its folder'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and not __fish_seen_subcommand_from init issue" -f -a "issue" -d 'Issue a certificate: SITE.pem and SITE.key, to be taken to that site with ca.pem'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from init" -l cluster -d 'Name of the cluster' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from init" -l dir -d 'Folder of the authority; created when it is missing' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from init" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from init" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from init" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from init" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from init" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from init" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from init" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from init" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from init" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from init" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from issue" -l site -d 'Name of the site' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from issue" -l cluster -d 'Name of the cluster, as when the authority was made' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from issue" -l days -d 'How long it is valid' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from issue" -l dir -d 'Folder of the authority' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from issue" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from issue" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from issue" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from issue" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from issue" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from issue" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from issue" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from issue" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from issue" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from issue" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pki; and __fish_seen_subcommand_from issue" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand run" -l config -d 'Configuration file' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand run" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand run" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand run" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand run" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand run" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand run" -l adopt-copy -d 'The tree was restored by copy: take its files for those that were there. Once, after a restore'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand run" -l accept-clock -d 'The clock of this machine is right, however far it is ahead of the last change. Once, when status asks for it'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand run" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand run" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand run" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand run" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand run" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand demo" -l from -d 'Fill site A\'s tree with a copy of this directory; by default with the checkout this is run in' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand demo" -l dir -d 'Folder for everything, which must be empty or missing; by default one below the folder for temporary files' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand demo" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand demo" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand demo" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand demo" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand demo" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand demo" -l keep -d 'Leave both sites running, and print the commands to type next'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand demo" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand demo" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand demo" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand demo" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand demo" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pair" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pair" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pair" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pair" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pair" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pair" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pair" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pair" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pair" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pair" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand pair" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compare" -l show -d 'How many differences to list; all are counted' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compare" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compare" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compare" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compare" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compare" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compare" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compare" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compare" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compare" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compare" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand compare" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand version" -l config -d 'Configuration of the daemon: its socket is in the state folder. Not read with --server' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand version" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand version" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand version" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand version" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand version" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand version" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand version" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand version" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand version" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand version" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand schema" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand schema" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand schema" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand schema" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand schema" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand schema" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand schema" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand schema" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand schema" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand schema" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand completions" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand completions" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand completions" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand completions" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand completions" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand completions" -l dynamic -d 'A script that asks the daemon while a line is typed'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand completions" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand completions" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand completions" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand completions" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand completions" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand man" -l dir -d 'Write all pages into this directory, and over older ones' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand man" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand man" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand man" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand man" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand man" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand man" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand man" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand man" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand man" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand man" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand help" -s s -l server -d 'Daemon to ask: unix:/path/to/admin.sock, or over the network tls:HOST:PORT/NAME, where NAME is the one in its certificate' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand help" -l identity -d 'Certificate to show to a daemon over the network, as `pki issue` makes it: NAME.pem, with NAME.key and ca.pem beside it. Else that of the configuration' -r -F
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand help" -s o -l output -d 'How to print data' -r -f -a "table\t'Columns for people'
wide\t'All columns, in full'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'The JSON document as YAML'
csv\t'Comma-separated values with a header (RFC 4180)'
name\t'Bare names, one a line'"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand help" -l color -d 'When to use colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand help" -l timeout -d 'How long to wait for an answer of the daemon' -r
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand help" -l json -d 'The same as --output json'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand help" -l utc -d 'Show people times in UTC, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand help" -l local -d 'Show people times in the zone of this machine, and never as ages'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand help" -s q -l quiet -d 'Say nothing on success'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand help" -s v -l verbose -d 'Say more'
complete -c cfs-repl -n "__fish_cfs_repl_using_subcommand help" -s h -l help -d 'Print help (see more with \'--help\')'
