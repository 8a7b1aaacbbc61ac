//! The program: a command line, this machine, and an exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use moon_migrate::{Cli, Failure, Host};
use moon_storage::io::local::LocalRuntime;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = io::stdout().lock();
    let result = LocalRuntime::new().map_err(|e| Failure::start(&e)).and_then(|rt| {
        let host = Host::new(&rt);
        let result = rt.block_on(moon_migrate::run(&cli, &host, &mut out));
        rt.shutdown();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message }) => {
            // Nothing is left to be done about an error on the way out.
            let _ = writeln!(io::stderr(), "moon-migrate: {message}");
            ExitCode::from(code)
        }
    }
}
