//! All integration tests in one binary. They need the programs that `scripts/setup.sh` installs.

mod differential;
mod harness;
mod process;
mod scripts;
mod tools;
mod wire;
