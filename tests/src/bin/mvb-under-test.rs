//! The mvb program, built by cargo beside the scenarios that run it as child processes.

fn main() -> std::process::ExitCode {
    mvb_cli::main()
}
