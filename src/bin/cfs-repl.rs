//! Parse, run, exit code; nothing else.

fn main() -> std::process::ExitCode {
    claudefs_repl::cli::main(std::env::args_os().collect())
}
