//! The `mvb` program; everything is in the library beside it.
fn main() -> std::process::ExitCode {
    mvb_cli::main()
}
