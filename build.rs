//! Compiles the proto files without protoc.

use std::error::Error;

use tonic_prost_build::Builder;

/// What a daemon tells its operators about itself by reflection.
const ADMIN: &str = "claudefs/repl/admin/v1/admin.proto";
/// Files that hold services or are imported by nobody; imports come along.
const FILES: [&str; 4] = [
    ADMIN,
    "claudefs/repl/join/v1/join.proto",
    "claudefs/repl/state/v1/state.proto",
    "claudefs/repl/state/v1/store.proto",
];
/// What other sites say: they come last, so that nothing replaces the code that is made of them.
const CONDUIT_FILES: [&str; 2] = [
    "claudefs/repl/v1/entry.proto",
    "claudefs/repl/v1/conduit.proto",
];
/// Where messages of other sites are looked at before they are decoded.
const CONDUIT_CODEC: &str = "crate::conduit::codec::Codec";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
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
