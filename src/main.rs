//! The `sexton` command; see `cli` for its verbs.

fn main() -> std::process::ExitCode {
    sexton::cli::main()
}
