//! Which layer wins, that every one is named where it is wrong, and what is worth a look.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::super::layers;
use super::*;

const NAMES: [&str; 2] = ["2=iad-2", "3=gru-3"];

/// A folder with a configuration, a tree and a state folder.
struct Place(tempfile::TempDir);

impl Place {
    fn new(more: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("tree")).unwrap();
        fs::create_dir(place.path("state")).unwrap();
        fs::set_permissions(place.path("state"), fs::Permissions::from_mode(0o700)).unwrap();
        let site = "[site]\nid = 1\nname = \"fra-1\"\ncluster = \"prod\"\n";
        let text = format!("{site}[tree]\nroot = \"tree\"\n[state]\ndir = \"state\"\n{more}");
        fs::write(place.file(), text).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.path("config.toml")
    }

    fn drop_in(&self, name: &str, text: &str) {
        let folder = self.path("conf.d");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
    }

    fn examine(&self, variables: &[(&str, &str)], reader: Reader) -> Examined {
        let all = variables
            .iter()
            .map(|(name, text)| (OsString::from(name), OsString::from(text)));
        examine(&self.file(), &layers::variables(all), reader)
    }

    fn config(&self, variables: &[(&str, &str)]) -> Config {
        self.examine(variables, Reader::Daemon).config.unwrap()
    }

    fn told(&self, variables: &[(&str, &str)]) -> Vec<String> {
        let error = self.examine(variables, Reader::Daemon).config.unwrap_err();
        let folder = format!("{}/", self.0.path().display());
        let text = error.to_string().replace(&folder, "");
        text.lines().map(str::to_owned).collect()
    }

    fn warnings(&self) -> String {
        let found = self.examine(&[], Reader::Operator).warnings;
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }
}

/// A `[[peer]]` of `2=iad-2`.
fn peer(named: &str) -> String {
    let (id, name) = named.split_once('=').unwrap();
    peers::render(id.parse().unwrap(), name, &["h:1".parse().unwrap()])
}

fn with_tls(more: &str) -> String {
    format!("[tls]\ncert = \"c\"\nkey = \"k\"\nca = \"a\"\n{more}")
}

#[test]
fn a_later_drop_in_overrides_single_keys_and_a_variable_overrides_all() {
    let place = Place::new("[log]\nlevel = \"warn\"\nformat = \"json\"\n");
    assert_eq!(place.config(&[]).log.level, "warn");
    place.drop_in("20-b.toml", "[log]\nlevel = \"trace\"\n");
    place.drop_in(
        "10-a.toml",
        "[log]\nlevel = \"debug\"\n[tree]\nsettle = \"2s\"\n",
    );
    place.drop_in(".hidden.toml", "nonsense");
    place.drop_in("notes.txt", "nonsense");
    let config = place.config(&[]);
    assert_eq!(config.log.level, "trace");
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.tree.settle, Duration::from_secs(2));
    let variables = [
        ("CFS_REPL_LOG__LEVEL", "error"),
        ("CFS_REPL_SITE__ID", "7"),
        ("CFS_REPL_TREE__EXCLUDE", "*.tmp, *.bak"),
        ("CFS_REPL_ALERTS__EXEC", "[\"/bin/a\", \"b, c\"]"),
        ("CFS_REPL_TRASH__KEEP_DELETED", "true"),
        ("CFS_REPL_CONFIG", "not a key"),
    ];
    let config = place.config(&variables);
    assert_eq!((config.log.level.as_str(), config.site.id), ("error", 7));
    assert_eq!(config.tree.exclude, ["*.tmp", "*.bak"]);
    assert_eq!(config.alerts.exec, ["/bin/a", "b, c"]);
    assert!(config.trash.keep_deleted);
}

#[test]
fn a_required_key_may_stand_in_any_layer_and_paths_start_at_the_folder_of_the_file() {
    let place = Place::new("");
    let text = fs::read_to_string(place.file()).unwrap();
    fs::write(place.file(), text.replace("root = \"tree\"\n", "")).unwrap();
    assert_eq!(
        place.told(&[]),
        [
            "config.toml:5:1: missing key \"root\" in [tree]; add root = \"/srv/media\", the tree to replicate"
        ]
    );
    place.drop_in("a.toml", "[tree]\nroot = \"tree\"\n");
    assert_eq!(place.config(&[]).tree.root, place.path("tree"));
}

#[test]
fn everything_that_is_wrong_in_every_layer_is_told_with_its_place() {
    let place = Place::new("[log]\nlevl = 1\n");
    place.drop_in("a.toml", "[tree]\nsettle = 5\n[[peer]]\nid = 2\n");
    place.drop_in("b.toml", "[tree\n");
    fs::write(place.path("state/peers.toml"), "[site]\nid = 9\n").unwrap();
    let told = place.told(&[
        ("CFS_REPL_TREE__SETLE", "1s"),
        ("CFS_REPL_SITE__ID", "many"),
        ("CFS_REPL_STATE__JOURNAL_KEEP", "5"),
        ("CFS_REPL_PEER__ID", "5"),
        ("CFS_REPL_TLS__CERT", "tls/x.pem"),
    ]);
    let starts = [
        "config.toml:10:1: unknown key \"levl\" in [log]; did you mean \"level\"?",
        "conf.d/a.toml:2:10: tree.settle: a string is needed",
        "conf.d/a.toml:3:1: missing key \"name\" in [peer]; add name",
        "conf.d/b.toml:1:",
        "state/peers.toml:1:2: unknown section \"site\"; known here: peer",
        "CFS_REPL_PEER__ID: no key of the configuration has this variable; write a [[peer]]",
        "CFS_REPL_SITE__ID: site.id: \"many\" is not understood",
        "CFS_REPL_STATE__JOURNAL_KEEP: state.journal_keep: \"5\" is no size",
        "CFS_REPL_TLS__CERT: tls.cert: \"tls/x.pem\" is no absolute path",
        "CFS_REPL_TREE__SETLE: no key of the configuration has this variable; did you mean CFS_REPL_TREE__SETTLE?",
    ];
    for start in starts {
        let is_told = told.iter().any(|line| line.starts_with(start));
        assert!(is_told, "{start}: {told:#?}");
    }
}

#[test]
fn a_variable_that_is_not_utf_8_is_told() {
    let place = Place::new("");
    let name = OsString::from("CFS_REPL_LOG__LEVEL");
    let variables = layers::variables([(name, OsString::from_vec(vec![0xff]))].into_iter());
    let examined = examine(&place.file(), &variables, Reader::Daemon);
    let told = examined.config.unwrap_err().to_string();
    assert!(
        told.starts_with("CFS_REPL_LOG__LEVEL: log.level: it is not UTF-8"),
        "{told}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told_and_one_that_is_missing_alone() {
    let place = Place::new("");
    fs::create_dir_all(place.path("conf.d/folder.toml")).unwrap();
    fs::write(place.path("conf.d/latin.toml"), [b'#', 0xff, b'\n']).unwrap();
    let told = place.told(&[]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("conf.d/folder.toml: cannot read it"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("conf.d/latin.toml: cannot read it"),
        "{told:?}"
    );
    fs::remove_file(place.file()).unwrap();
    let told = place.told(&[("CFS_REPL_NO__KEY", "1")]);
    assert!(
        matches!(told.as_slice(), [one] if one.contains("does not exist")),
        "{told:?}"
    );
    fs::write(place.file(), vec![b'#'; 2 << 20]).unwrap();
    assert!(place.told(&[])[0].contains("more than 1048576 bytes"));
}

#[test]
fn peers_of_all_files_add_up_and_a_second_of_its_kind_is_told_with_both_places() {
    let place = Place::new(&with_tls(&peer(NAMES[0])));
    place.drop_in("a.toml", &peer(NAMES[1]));
    peers::append(
        &place.path("state"),
        &PeerConfig {
            id: 4,
            name: "sin-4".to_owned(),
            endpoints: vec!["h:1".parse().unwrap()],
        },
    )
    .unwrap();
    let names: Vec<String> = place
        .config(&[])
        .peers
        .into_iter()
        .map(|peer| peer.name)
        .collect();
    assert_eq!(names, ["iad-2", "gru-3", "sin-4"]);

    place.drop_in("b.toml", &peer("4=iad-2"));
    let told = place.told(&[]);
    assert_eq!(
        told,
        [
            "conf.d/b.toml:3:8: two peers have the name \"iad-2\"; the other one stands at config.toml:15:8; give every site its own name",
            "state/peers.toml:5:6: two peers have the id 4; the other one stands at conf.d/b.toml:2:6; give every site its own id",
        ]
    );
}

#[test]
fn whoever_may_not_look_into_the_state_folder_does_without_its_peers() {
    let replica = with_tls("");
    let place = Place::new(&replica);
    place.drop_in(
        "role.toml",
        "[site]\nrole = \"replica\"\nprimary_site_id = 4\n",
    );
    assert!(place.told(&[])[0].contains("4 is no peer"));
    // A folder in its place cannot be read by root either, so the rest is asked of the reader of layers.
    let mut findings = problem::Findings::new(place.file());
    findings.unreadable(check::PEERS_KEY.to_owned());
    let mut settings = reader::Settings::default();
    layers::read(&place.file(), &Vec::new(), &mut settings, &mut findings);
    check::relations(&decode::decode(&settings), &mut findings);
    assert_eq!(findings.into_error(), None);
}

#[test]
fn what_holds_is_told_with_what_set_it_and_without_secrets() {
    let place =
        Place::new("[alerts]\nwebhook = \"https://user:pw@hooks.example:8443/T0/secret?x=1\"\n");
    place.drop_in("a.toml", "[tree]\nsettle = \"2s\"\n");
    let variables = [("CFS_REPL_LOG__LEVEL", "debug")];
    let examined = place.examine(&variables, Reader::Operator);
    let setting = |key: &str| {
        let found = examined.settings.iter().find(|setting| setting.key == key);
        found.unwrap_or_else(|| panic!("{key} is not shown"))
    };
    let origin = |key: &str| setting(key).origin.clone().map(|spot| spot.source.kind());
    assert_eq!(setting("tree.settle").value, Some(json!("2s")));
    assert_eq!(setting("tree.settle").default, Some(json!("1s")));
    assert_eq!(origin("tree.settle"), Some("drop_in"));
    assert_eq!(origin("site.id"), Some("file"));
    assert_eq!(origin("log.level"), Some("environment"));
    assert_eq!(origin("tree.scan_interval"), None);
    assert_eq!(setting("admin.read_group").value, None);
    let socket = place.path("state/admin.sock");
    assert_eq!(
        setting("admin.socket").value,
        Some(json!(socket.to_str().unwrap()))
    );
    assert_eq!(
        setting("alerts.webhook").value,
        Some(json!("https://hooks.example:8443/(not shown)"))
    );
    assert_eq!(examined.sources.len(), 3);
}

#[test]
fn what_is_worth_a_look_is_told_and_what_is_not_is_not() {
    let quiet = format!(
        "[conduit]\nlisten = \"127.0.0.1:1\"\n{}{}",
        with_tls(""),
        peer(NAMES[0])
    );
    let place = Place::new(&quiet);
    // The disk of the machine that runs the tests may be small, or forgetful.
    let about_disk = ["journal_budget", "state.dir lies on"];
    let told = place.warnings();
    for line in told.lines() {
        assert!(about_disk.iter().any(|word| line.contains(word)), "{told}");
    }
    let loud = "[conduit]\nlisten = \"0.0.0.0:1\"\n[admin]\nlisten = \"[::]:2\"\n[metrics]\nlisten = \"10.0.0.1:3\"\n\
                [alerts]\nexec = [\"/no/such/program\"]\n";
    let place = Place::new(&format!("{loud}{}", with_tls("")));
    fs::set_permissions(place.path("state"), fs::Permissions::from_mode(0o755)).unwrap();
    place.drop_in("a.toml", "[state]\njournal_budget = \"9999999TiB\"\n");
    let told = place.warnings();
    for why in [
        "config.toml:10:10: conduit.listen: 0.0.0.0:1 is every address",
        "admin.listen: [::]:2 is every address",
        "admin.allow is empty",
        "everybody who reaches 10.0.0.1:3 can read",
        "no peer is configured",
        "alerts.exec: /no/such/program is no program",
        "state.dir: the mode 0755 lets others in",
        "a.toml:2:18: state.journal_budget is 9999999TiB",
    ] {
        assert!(told.contains(why), "{why}: {told}");
    }
    assert!(place.examine(&[], Reader::Daemon).warnings.is_empty());
}
