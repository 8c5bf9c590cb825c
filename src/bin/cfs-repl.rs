//! Parse, run, exit code; nothing else.

/// A merge makes and drops many small values; the allocator of glibc keeps what was dropped, and is slower.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    claudefs_repl::cli::main(std::env::args_os().collect())
}
