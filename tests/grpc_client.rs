//! A gRPC client that is not ours, Python's, asks a daemon of two that know each other: reflection, health, and every
//! method that reads.
//!
//! It needs Python with grpcio, grpcio-reflection and grpcio-health-checking. Who sets `CFS_REPL_GRPC_PYTHON` to one
//! that has them insists; else the usual one is taken if it has them, and the test says when it did nothing.

use std::path::Path;
use std::process::Command;

use crate::inbox;
use crate::lab::{Lab, LabOptions};

/// Python with the packages of `tests/grpc/requirements.txt`.
const PYTHON: &str = "CFS_REPL_GRPC_PYTHON";

#[test]
fn a_client_of_another_making_finds_out_everything_that_it_needs_and_reads_all() {
    let named = std::env::var_os(PYTHON);
    let python = named.clone().unwrap_or_else(|| "python3".into());
    let has_packages = Command::new(&python)
        .args(["-c", "import grpc_reflection, grpc_health"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_packages {
        assert!(named.is_none(), "{PYTHON} has no grpcio-reflection");
        println!("skipped: python3 has no grpcio-reflection and grpcio-health-checking");
        return;
    }
    let mut lab = Lab::started(&LabOptions {
        is_cuttable: true,
        ..LabOptions::default()
    });
    let id = inbox::provoke(&mut lab);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grpc/client.py");
    let output = Command::new(python)
        .arg(script)
        .arg(lab.a.state.join("admin.sock"))
        .arg(env!("CARGO_BIN_EXE_cfs-repl"))
        .arg(id)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{}", lab.a.tail());
}
