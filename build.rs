//! Compiles the proto files without protoc.

use std::error::Error;

use tonic_prost_build::Builder;

/// What a daemon tells its operators about itself by reflection.
const ADMIN: &str = "claudefs/repl/admin/v1/admin.proto";
/// Files that hold services or are imported by nobody; imports come along.
const FILES: [&str; 3] = [
    ADMIN,
    "claudefs/repl/state/v1/state.proto",
    "claudefs/repl/state/v1/store.proto",
];
/// What other sites say: they come last, so that nothing replaces the code that is made of them.
const CONDUIT_FILES: [&str; 3] = [
    "claudefs/repl/join/v1/join.proto",
    "claudefs/repl/v1/entry.proto",
    "claudefs/repl/v1/conduit.proto",
];
/// Where messages of other sites are looked at before they are decoded.
const CONDUIT_CODEC: &str = "crate::conduit::codec::Codec";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    if let Some(commit) = commit() {
        println!("cargo:rustc-env=CFS_REPL_GIT_COMMIT={commit}");
    }
    let configure = || {
        tonic_prost_build::configure()
            .bytes(".")
            .btree_map(".")
            .emit_rerun_if_changed(false)
    };
    describe(&[ADMIN], "admin.fds")?;
    // All that is sent or kept, for the test that holds it against the version before.
    let all: Vec<&str> = FILES.iter().chain(&CONDUIT_FILES).copied().collect();
    describe(&all, "all.fds")?;
    compile(configure(), &FILES)?;
    compile(configure().codec_path(CONDUIT_CODEC), &CONDUIT_FILES)
}

/// The commit that the sources are of. None: they do not say it. Only release builds ask: every other one would be made
/// anew after each commit.
fn commit() -> Option<String> {
    if std::env::var_os("PROFILE")? != "release" {
        return None;
    }
    // A published crate has no repository, and a note of where it came from.
    if let Ok(note) = std::fs::read_to_string(".cargo_vcs_info.json") {
        println!("cargo:rerun-if-changed=.cargo_vcs_info.json");
        let (_, behind) = note.split_once("\"sha1\": \"")?;
        return behind.split('"').next().map(str::to_owned);
    }
    // Not that of a repository in which this one was copied.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let here = std::env::current_dir().ok()?.canonicalize().ok()?;
    if std::path::Path::new(&top).canonicalize().ok()? != here {
        return None;
    }
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    let names = ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref());
    for name in names {
        let place = git(&["rev-parse", "--git-path", name])?;
        // A place that is not there counts as changed at every build: a branch stands in one of the two.
        if std::path::Path::new(&place).exists() {
            println!("cargo:rerun-if-changed={place}");
        }
    }
    git(&["rev-parse", "HEAD"])
}

/// What git says, in one line. None: there is no git, or it fails.
fn git(words: &[&str]) -> Option<String> {
    let output = std::process::Command::new("git")
        .args(words)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// Writes the descriptors of `files` and of what they import.
fn describe(files: &[&str], name: &str) -> Result<(), Box<dyn Error>> {
    let set = protox::Compiler::new(["proto"])?
        .include_imports(true)
        .open_files(files)?
        .encode_file_descriptor_set();
    let folder = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    std::fs::write(std::path::Path::new(&folder).join(name), set)?;
    Ok(())
}

fn compile(builder: Builder, files: &[&str]) -> Result<(), Box<dyn Error>> {
    let set = protox::Compiler::new(["proto"])?
        .include_imports(true)
        .include_source_info(true)
        .open_files(files)?
        .file_descriptor_set();
    builder.compile_fds(set)?;
    Ok(())
}
