//! Records that are made, not taken: what a daemon would tell in situations that are hard to bring about on purpose.
//!
//! They are kept as the files that `cfs-repl top --replay` plays, and made anew with `CFS_REPL_REGENERATE=1`.

use std::io::Cursor;
use std::path::PathBuf;

use super::message::{Message, Told};
use super::model::{Choice, Model, Now};
use super::record::{self, RecordError};
use super::reel::Reel;
use super::update::{settle, update};

mod made;
mod situations;

use situations::{
    all_well, catching_up, daemon_lost, expired_certificate, first_start, sixteen_sites, stalled,
    thousand_conflicts,
};

/// 2026-11-22T17:57:03Z.
pub(super) const END_US: u64 = 1_795_370_223_000_000;
/// Length of every record.
pub(super) const LENGTH_US: u64 = 900 * S;
const S: u64 = 1_000_000;

/// What was told, and when since the beginning.
pub(super) type Script = Vec<(u64, Told)>;

/// Makes a record.
type Make = fn() -> Script;

/// Every situation.
pub(super) const ALL: [(&str, Make); 8] = [
    ("all-well", all_well),
    ("expired-certificate", expired_certificate),
    ("catching-up", catching_up),
    ("stalled", stalled),
    ("thousand-conflicts", thousand_conflicts),
    ("sixteen-sites", sixteen_sites),
    ("daemon-lost", daemon_lost),
    ("first-start", first_start),
];

fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/top/fixtures");
    folder.join(format!("{name}.jsonl"))
}

/// The record as it is kept.
pub(super) fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

/// What was told in a record.
pub(super) fn told(name: &str) -> Script {
    read(&text(name)).unwrap()
}

/// Reads all of a record.
fn read(text: &str) -> Result<Script, RecordError> {
    let mut reel = Reel::open(Cursor::new(text.as_bytes()))?;
    std::iter::from_fn(|| reel.due(u64::MAX).transpose()).collect()
}

/// A dashboard that looked at the whole record.
pub(super) fn played(name: &str) -> Model {
    let mut model = Model {
        choice: Choice {
            range: 1,
            ..Choice::default()
        },
        program: "cfs-repl".to_owned(),
        size: (120, 36),
        ..Model::default()
    };
    let at = |t_us: u64| {
        Message::Tick(Now {
            wall_us: END_US - LENGTH_US + t_us,
            mono_us: t_us,
        })
    };
    for (t_us, told) in told(name) {
        update(&mut model, at(t_us));
        update(&mut model, Message::Told(Box::new(told)));
    }
    update(&mut model, at(LENGTH_US));
    settle(&mut model);
    model
}

#[test]
fn the_fixtures_are_what_the_code_makes_and_a_record_comes_back_as_it_was() {
    for (name, script) in ALL {
        let told = script();
        let mut text = record::head(END_US - LENGTH_US);
        for (t_us, told) in &told {
            text.push_str(&record::lines(*t_us, told.clone()));
        }
        let file = file(name);
        if std::env::var_os("CFS_REPL_REGENERATE").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        assert!(
            std::fs::read_to_string(&file).is_ok_and(|kept| kept == text),
            "{} is not what the code makes; run CFS_REPL_REGENERATE=1 cargo test the_fixtures",
            file.display()
        );
        let mut kept = told;
        kept.retain(|(_, told)| *told != Told::Preview(Vec::new()));
        assert_eq!(read(&text).unwrap(), kept, "{name}");
    }
}

#[test]
fn a_record_that_was_cut_off_is_played_and_one_that_is_none_is_told() {
    let text = std::fs::read_to_string(file("all-well")).unwrap();
    let whole = read(&text).unwrap();
    let cut: String = text.chars().take(text.chars().count() - 40).collect();
    let played = read(&cut).unwrap();
    // Its last line is gone, which is one peer of the last preview.
    assert_eq!(played.first(), whole.first());
    assert!(played.len() == whole.len() && played != whole);
    let broken = text.replacen("\"kind\"", "\"k", 1);
    let error = read(&broken).unwrap_err().to_string();
    assert!(error.starts_with("line 2 cannot be read"), "{error}");
    assert!(matches!(read("{}\n"), Err(RecordError::NoRecord)));
    let newer = text.replacen("/v1", "/v9", 1);
    assert!(matches!(read(&newer), Err(RecordError::Format { .. })));
    // What a later version adds is skipped.
    let line = r#"{"t_us":900000000,"kind":"forecast","says":"rain","x":1}"#;
    let more = format!("{text}{line}\n");
    assert_eq!(read(&more).unwrap(), whole);
}
