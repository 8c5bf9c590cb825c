//! What a configuration may say, and that everything wrong in it is told at once, with its place.

use super::keys::{Form, SECTIONS, Unset};
use super::value::Kind;
use super::*;

mod layers;

const MINIMAL: &str =
    "[site]\nid = 1\nname = \"fra-1\"\ncluster = \"prod\"\n[tree]\nroot = \"/srv\"\n";

const PAIR: &str = r#"
[site]
id = 1
name = "fra-1"
cluster = "prod"
[tree]
root = "/srv"
[conduit]
listen = "[::]:7443"
[tls]
cert = "tls/fra-1.pem"
key = "/etc/fra-1.key"
ca = "tls/ca.pem"
[[peer]]
id = 2
name = "iad-2"
endpoints = ["iad.example.net:7443", "[2001:db8::1]:7443"]
[[peer]]
id = 3
name = "gru-3"
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("etc/config.toml"))
}

/// The lines of the error, which has to be one.
fn problems(text: &str) -> Vec<String> {
    let error = parse(text).unwrap_err().to_string();
    error.lines().map(str::to_owned).collect()
}

fn example(peers: &[ExamplePeer]) -> String {
    Config::example(&Example {
        site_id: 1,
        name: "fra-1",
        cluster: "prod",
        role: Role::Bidirectional,
        primary_site_id: None,
        existing: Existing::Bring,
        root: Path::new("/srv/a \"b\"\\c"),
        state: Path::new("/var/lib/cfs-repl"),
        listen: "0.0.0.0:7443".parse().ok(),
        ca_key: false,
        tls: (!peers.is_empty()).then_some(Path::new("tls")),
        peers,
    })
}

/// Turns every spelled-out default into a setting.
fn with_defaults_set(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_minimal_file_has_the_documented_defaults() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.state.dir, Path::new("/var/lib/cfs-repl"));
    assert_eq!(config.state.journal_budget_bytes, 20 << 30);
    assert_eq!(config.state.journal_keep_bytes, 1 << 30);
    assert_eq!(config.state.max_absence, Duration::from_secs(30 * 86_400));
    assert!(!config.state.reclaim);
    assert_eq!(config.tree.settle, Duration::from_secs(1));
    assert_eq!(
        (config.tree.brake_percent, config.tree.brake_files),
        (50, 1_000)
    );
    assert_eq!(config.conduit.window_entries, 4_096);
    assert_eq!(config.conduit.window_bytes, 8 << 20);
    assert_eq!(config.conduit.reconnect_delay, Duration::from_millis(200));
    assert_eq!(config.conduit.max_reconnect_delay, Duration::from_secs(30));
    assert_eq!(config.conflicts.retention, Duration::from_secs(30 * 86_400));
    assert_eq!((config.tls, config.peers.len()), (None, 0));
}

#[test]
fn every_section_is_read_and_relative_paths_start_at_the_folder_of_the_file() {
    let config = parse(PAIR).unwrap();
    let tls = config.tls.unwrap();
    assert_eq!(tls.cert, Path::new("etc/tls/fra-1.pem"));
    assert_eq!(tls.key, Path::new("/etc/fra-1.key"));
    assert_eq!(config.conduit.listen, "[::]:7443".parse().ok());
    let endpoints: Vec<String> = config.peers[0]
        .endpoints
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(endpoints, ["iad.example.net:7443", "[2001:db8::1]:7443"]);
    assert_eq!(
        (config.peers[1].id, config.peers[1].endpoints.len()),
        (3, 0)
    );
}

#[test]
fn numbers_may_be_written_as_toml_allows() {
    let text = format!("{MINIMAL}brake_files = 1_500\n[conduit]\nwindow_entries = 0x10\n");
    let config = parse(&text).unwrap();
    assert_eq!(
        (config.tree.brake_files, config.conduit.window_entries),
        (1_500, 16)
    );
}

#[test]
fn a_refused_value_may_hold_anything() {
    let text = MINIMAL.replace("fra-1", "a; b");
    assert_eq!(
        problems(&text),
        [
            "etc/config.toml:3:8: site.name: \"a; b\" is no name; use a-z, 0-9 and '-', at most 63 characters"
        ]
    );
}

#[test]
fn the_example_parses_and_its_defaults_are_the_defaults() {
    let peer = |id, name: &str, endpoints: &[&str]| ExamplePeer {
        id,
        name: name.to_owned(),
        endpoints: endpoints.iter().map(|text| text.parse().unwrap()).collect(),
    };
    for peers in [
        vec![],
        vec![
            peer(2, "iad-2", &["iad:7443", "10.0.0.2:7443"]),
            peer(3, "gru-3", &[]),
        ],
    ] {
        let text = example(&peers);
        let config = parse(&text).unwrap();
        assert_eq!(config.tree.root, Path::new("/srv/a \"b\"\\c"));
        assert_eq!(config.peers.len(), peers.len());
        let set = with_defaults_set(&text);
        assert_ne!(set, text);
        assert_eq!(parse(&set).unwrap(), config, "{set}");
    }
}

#[test]
fn the_example_explains_every_key_there_is() {
    let text = example(&[]);
    for section in SECTIONS {
        for key in section.keys {
            let stands = text.lines().any(|line| {
                line.trim_start_matches(['#', ' '])
                    .starts_with(&format!("{} = ", key.name))
            });
            assert!(
                stands,
                "{}.{} is not in the example",
                section.name, key.name
            );
            let words: &[&str] = if let Kind::Word(words) | Kind::Words(words) = key.kind {
                words
            } else {
                &[]
            };
            for word in words {
                let told = key.doc.contains(word);
                assert!(told, "the doc of {} does not name {word}", key.name);
            }
        }
    }
    let longest = text.lines().map(str::len).max().unwrap();
    assert!(
        longest <= 120,
        "a line of the example has {longest} columns"
    );
}

/// A value of this kind that is nobody's default, as TOML.
fn another(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer { .. } => "77",
        Kind::Switch => "true",
        Kind::Name => "\"other\"",
        Kind::Group | Kind::Path => "\"/other\"",
        Kind::Duration { .. } => "\"77h\"",
        Kind::Size { .. } => "\"700MiB\"",
        Kind::Percent => "\"77%\"",
        Kind::Word(words) => match words {
            ["bidirectional", ..] => "\"primary\"",
            ["bring", ..] => "\"match\"",
            _ => "\"json\"",
        },
        Kind::Words(_) => "[\"site.down\"]",
        Kind::Texts => "[\"/other\"]",
        Kind::Endpoints => "[\"other:7\"]",
        Kind::CertNames => "[\"ops.prod.cfs-repl\"]",
        Kind::Address => "\"127.0.0.1:77\"",
        Kind::Url => "\"https://x.example/y\"",
        Kind::Filter => "\"warn\"",
    }
}

#[test]
fn every_key_reaches_its_field() {
    let decoded = |text: &str| {
        let mut findings = problem::Findings::new("x.toml".into());
        let mut settings = reader::Settings::default();
        let source = Source::File("x.toml".into());
        let scope = reader::Scope::All;
        let base = Path::new("/");
        reader::read_text(text, &source, scope, base, &mut settings, &mut findings);
        assert!(
            findings.into_error().is_none_or(|error| {
                let missing = |problem: &Problem| problem.what.starts_with("missing key");
                error.problems.iter().all(missing)
            }),
            "{text}"
        );
        decode::decode(&settings)
    };
    for section in SECTIONS {
        let brackets = match section.form {
            Form::Many => format!("[[{}]]", section.name),
            Form::Once | Form::Optional => format!("[{}]", section.name),
        };
        for key in section.keys {
            // Of an optional section, another key makes that it is there.
            let rest = match (section.form, key.name) {
                (Form::Optional, "cert") => "key = \"/k\"",
                (Form::Optional, _) => "cert = \"/c\"",
                (Form::Once | Form::Many, _) => "",
            };
            let without = format!("{brackets}\n{rest}\n");
            let value = if section.name == "admin" && key.name == "read_group" {
                "\"other\""
            } else if key.kind == Kind::Group {
                "\"more\""
            } else {
                another(key.kind)
            };
            let with = format!("{without}{} = {value}\n", key.name);
            assert_ne!(decoded(&with), decoded(&without), "{with}");
        }
    }
}

#[test]
fn every_default_and_every_sample_is_one_that_could_be_set() {
    for key in SECTIONS.iter().flat_map(|section| section.keys) {
        let literal = match key.unset {
            Unset::Value(literal) => literal,
            Unset::Nothing { sample } | Unset::Required { sample, .. } => sample,
            Unset::InState(_) => continue,
        };
        let value = value::as_toml(literal).unwrap();
        let read = key.kind.read(value.get_ref(), Path::new("/"));
        assert!(read.is_ok(), "{}: {read:?}", key.name);
    }
}

#[test]
fn the_schema_knows_every_key_and_its_default() {
    let schema = Config::schema();
    for section in SECTIONS {
        let mut table = &schema["properties"][section.name];
        if section.form == Form::Many {
            table = &table["items"];
        }
        assert_eq!(table["additionalProperties"], false, "{}", section.name);
        for key in section.keys {
            let told = &table["properties"][key.name];
            assert!(told["type"].is_string(), "{}: {told}", key.name);
            let description = told["description"].as_str().unwrap();
            assert!(description.starts_with(key.doc), "{description}");
            let has_default = matches!(key.unset, Unset::Value(_));
            assert_eq!(told.get("default").is_some(), has_default, "{}", key.name);
        }
    }
    let settle = &schema["properties"]["tree"]["properties"]["settle"];
    assert_eq!(settle["default"], "1s");
    let peer = &schema["properties"]["peer"]["items"];
    assert_eq!(peer["required"], serde_json::json!(["id", "name"]));
}

#[test]
fn a_filter_that_would_mean_something_else_is_refused() {
    let with = |level: &str| parse(&format!("{MINIMAL}[log]\nlevel = \"{level}\"\n"));
    for level in ["debug", "WARN", "info,claudefs_repl::conduit=debug", "off"] {
        assert_eq!(with(level).unwrap().log.level, level);
    }
    for (level, why) in [
        ("inof", "\"inof\" is no level; did you mean \"info\"?"),
        ("info,conduit", "\"conduit\" is no level"),
        ("info,x=loud", "is no filter"),
        ("", "\"\" is no level"),
    ] {
        let told = with(level).unwrap_err().to_string();
        assert!(told.contains(why), "{level}: {told}");
    }
}

#[test]
fn an_age_of_a_connection_is_a_minute_or_more_or_never() {
    let with = |age: &str| {
        parse(&format!(
            "{MINIMAL}[conduit]\nmax_connection_age = \"{age}\"\n"
        ))
        .map(|config| config.conduit.max_connection_age)
    };
    assert_eq!(with("0s"), Ok(Duration::ZERO));
    assert_eq!(with("1m"), Ok(Duration::from_secs(60)));
    let told = with("59s").unwrap_err().to_string();
    assert!(told.contains("use at least \"1m\", or \"0s\""), "{told}");
}

#[test]
fn what_alerts_and_admin_hold_is_checked() {
    for (lines, why) in [
        (
            "[alerts]\nwebhook = \"ftp://user:secret@x/y\"",
            "no URL of http or https",
        ),
        (
            "[alerts]\nevents = [\"site.dwon\"]",
            "did you mean \"site.down\"?",
        ),
        ("[admin]\nread_group = \"a:b\"", "is no name of a group"),
        ("[admin]\nallow = [\"ops prod\"]", "is no DNS name"),
        (
            "[admin]\nlisten = \"127.0.0.1:1\"",
            "there is no [tls] section",
        ),
        (
            "[admin]\nlisten = \"127.0.0.1:1\"\n[metrics]\nlisten = \"127.0.0.1:1\"",
            "metrics.listen and admin.listen are both 127.0.0.1:1",
        ),
    ] {
        let told = problems(&format!("{MINIMAL}{lines}\n"));
        assert!(told.iter().any(|line| line.contains(why)), "{told:?}");
        assert!(!told.iter().any(|line| line.contains("secret")), "{told:?}");
    }
    let socket = |lines: &str| parse(&format!("{MINIMAL}{lines}")).unwrap().admin.socket;
    assert_eq!(socket(""), Path::new("/var/lib/cfs-repl/admin.sock"));
    assert_eq!(
        socket("[state]\ndir = \"/s\"\n"),
        Path::new("/s/admin.sock")
    );
    assert_eq!(
        socket("[admin]\nsocket = \"/run/x\"\n"),
        Path::new("/run/x")
    );
}

#[test]
fn an_unknown_key_is_told_with_its_place_and_the_nearest_known_one() {
    let text = MINIMAL.replace("root", "rot");
    assert_eq!(
        problems(&text),
        [
            "etc/config.toml:5:1: missing key \"root\" in [tree]; add root = \"/srv/media\", the tree to replicate",
            "etc/config.toml:6:1: unknown key \"rot\" in [tree]; did you mean \"root\"?",
        ]
    );
    let text = format!("{MINIMAL}[condiut]\nlisten = 1\n");
    assert_eq!(
        problems(&text),
        ["etc/config.toml:7:2: unknown section \"condiut\"; did you mean \"conduit\"?"]
    );
    let text = PAIR.replace("endpoints", "endpoint");
    assert!(
        problems(&text)[0]
            .contains("unknown key \"endpoint\" in [peer]; did you mean \"endpoints\"?")
    );
}

#[test]
fn all_problems_are_told_not_only_the_first() {
    let text = PAIR
        .replace("id = 1\n", "id = 0\n")
        .replace("\"prod\"", "\"Prod\"")
        .replace(
            "[::]:7443\"\n[tls]",
            "7443\"\nwindow_bytes = \"8MB\"\nreconnect_delay = 5\n[tls]",
        )
        .replace("iad.example.net:7443", "https://iad.example.net");
    let told = problems(&text);
    let starts = [
        ("3:6", "site.id: 0 is out of range"),
        ("5:11", "site.cluster: \"Prod\" is no name"),
        ("9:10", "conduit.listen: \"7443\" is no address"),
        ("10:16", "conduit.window_bytes: \"8MB\" is no size"),
        (
            "11:19",
            "conduit.reconnect_delay: a string is needed, not a",
        ),
        (
            "19:13",
            "peer[0].endpoints: \"https://iad.example.net\" is no endpoint",
        ),
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (line, (place, what)) in told.iter().zip(starts) {
        assert!(
            line.starts_with(&format!("etc/config.toml:{place}: {what}")),
            "{line}"
        );
        assert!(line.contains("; "), "no hint in {line}");
    }
}

#[test]
fn rules_between_keys_are_told() {
    type Case = (&'static str, &'static str, &'static str);
    let cases: [Case; 12] = [
        ("id = 2", "id = 1", "peer 1 has the id of this site"),
        ("\"iad-2\"", "\"fra-1\"", "has the name of this site"),
        ("id = 3", "id = 2", "two peers have the id 2"),
        (
            "\"gru-3\"",
            "\"iad-2\"",
            "two peers have the name \"iad-2\"",
        ),
        (
            "listen = \"[::]:7443\"",
            "",
            "peer 3 has no endpoints and this site does not listen",
        ),
        ("[tls]", "[log]", "no [tls] section"),
        (
            "id = 1\n",
            "id = 1\nrole = \"replica\"\n",
            "whose tree it follows",
        ),
        (
            "id = 1\n",
            "id = 1\nrole = \"replica\"\nprimary_site_id = 9\n",
            "9 is no peer",
        ),
        (
            "id = 1\n",
            "id = 1\nprimary_site_id = 2\n",
            "has no meaning",
        ),
        (
            "[tree]\n",
            "role = \"primary\"\n[tree]\nexisting = \"match\"\n",
            "nothing to compare its tree with",
        ),
        (
            "[tree]\n",
            "role = \"primary\"\n[state]\nreclaim = true\n[tree]\n",
            "every site has to say what it knows",
        ),
        (
            "root = ",
            "settle = \"6s\"\nroot = ",
            "tree.settle_max (5s) is shorter than tree.settle (6s)",
        ),
    ];
    parse(PAIR).unwrap();
    for (from, to, why) in cases {
        let text = PAIR.replacen(from, to, 1);
        assert!(
            problems(&text).iter().any(|line| line.contains(why)),
            "{why}: {text}"
        );
    }
}

#[test]
fn a_state_folder_whose_socket_the_kernel_would_refuse_is_told() {
    let with = |length: usize| {
        let name = "d".repeat(length - "//admin.sock".len());
        parse(&format!("{MINIMAL}[state]\ndir = \"/{name}\"\n"))
    };
    with(SOCKET_BYTES_MAX).unwrap();
    let told = with(SOCKET_BYTES_MAX + 1).unwrap_err().to_string();
    assert!(told.contains("a path of 108 bytes, and 107"), "{told}");
}

#[test]
fn broken_toml_is_told_with_its_place_and_never_panics() {
    for (text, place) in [
        ("[site\nid = 1", "1:"),
        ("a = \"x\nb = 1", "1:"),
        ("[site]\nid = 1\nid = 2", "3:"),
    ] {
        let told = problems(text);
        let prefix = format!("etc/config.toml:{place}");
        assert!(
            told.iter().any(|line| line.starts_with(&prefix)),
            "{text}: {told:?}"
        );
    }
    for end in 0..PAIR.len() {
        let (head, _) = PAIR.split_at(end);
        drop(parse(head));
        drop(parse(&format!("{head}\u{0}é[[")));
    }
    for text in [
        "site = 1",
        "peer = 1",
        "peer = [1]",
        "[[site]]",
        "[peer]",
        "tree.root = [[]]",
        "site.id = -1",
    ] {
        assert!(!problems(text).is_empty(), "{text}");
    }
}

#[test]
fn a_missing_file_is_told_with_the_command_that_writes_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("none.toml");
    let error = Config::load(&file).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "{}: the configuration file does not exist; write one with: cfs-repl init --help",
            file.display()
        )
    );
}

#[test]
fn private_keys_in_the_tree_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::create_dir(dir.path().join("tree")).unwrap();
    std::os::unix::fs::symlink("tree", dir.path().join("alias")).unwrap();
    let load = |key: &str, ca_key: &str| {
        let text = format!(
            "[site]\nid = 1\nname = \"a\"\ncluster = \"c\"\n[tree]\nroot = \"tree\"\n[state]\ndir = \"state\"\n\
             [tls]\nca = \"tree/ca.pem\"\ncert = \"tree/a.pem\"\nkey = \"{key}\"\nca_key = \"{ca_key}\"\n"
        );
        std::fs::write(&file, text).unwrap();
        Config::load(&file).map_err(|error| error.to_string())
    };
    // Certificates are no secret.
    load("tls/a.key", "tls/ca.key").unwrap();
    for (key, ca_key, why) in [
        ("tree/a.key", "tls/ca.key", "tls.key"),
        ("tls/a.key", "alias/tls/ca.key", "tls.ca_key"),
    ] {
        let error = load(key, ca_key).unwrap_err();
        assert!(
            error.contains(why) && error.contains("inside the tree"),
            "{error}"
        );
    }
}

#[test]
fn the_disk_is_asked_about_root_and_state() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::create_dir(dir.path().join("tree")).unwrap();
    std::fs::write(dir.path().join("plain"), "x").unwrap();
    std::os::unix::fs::symlink("tree", dir.path().join("alias")).unwrap();
    let load = |root: &str, state: &str| {
        let site = "[site]\nid = 1\nname = \"a\"\ncluster = \"c\"\n";
        let text = format!("{site}[tree]\nroot = \"{root}\"\n[state]\ndir = \"{state}\"\n");
        std::fs::write(&file, text).unwrap();
        Config::load(&file).map_err(|error| error.to_string())
    };
    let config = load("tree", "state").unwrap();
    assert_eq!(config.tree.root, dir.path().join("tree"));
    load("alias", "tree-state").unwrap();
    for (root, state, place, why) in [
        ("none", "state", ":6:8:", "cannot use"),
        ("plain", "state", ":6:8:", "is not a directory"),
        ("tree", "tree", ":8:7:", "lies inside the tree"),
        ("tree", "tree/deep/state", ":8:7:", "lies inside the tree"),
        ("alias", "tree/state", ":8:7:", "lies inside the tree"),
        (
            "tree",
            "other/../alias/state",
            ":8:7:",
            "lies inside the tree",
        ),
    ] {
        let error = load(root, state).unwrap_err();
        assert!(
            error.contains(place) && error.contains(why),
            "{root} {state}: {error}"
        );
    }
}
