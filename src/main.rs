//! Entry point of the command line program; all code is in the library.

fn main() -> std::process::ExitCode {
    alarmbus::cli::run()
}
