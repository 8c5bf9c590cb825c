//! Compiles the proto files without protoc.

use std::error::Error;

/// Files that hold services or are imported by nobody; imports come along.
const FILES: [&str; 5] = [
    "claudefs/repl/admin/v1/admin.proto",
    "claudefs/repl/v1/entry.proto",
    "claudefs/repl/v1/conduit.proto",
    "claudefs/repl/state/v1/state.proto",
    "claudefs/repl/state/v1/store.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let set = protox::Compiler::new(["proto"])?
        .include_imports(true)
        .include_source_info(true)
        .open_files(FILES)?
        .file_descriptor_set();
    tonic_prost_build::configure()
        .bytes(".")
        .emit_rerun_if_changed(false)
        .compile_fds(set)?;
    Ok(())
}
