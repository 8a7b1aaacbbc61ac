//! All integration tests in one binary. They need the programs that `scripts/setup.sh` installs.

mod harness;
mod scripts;
