//! Black-box tests: drives built servers over sockets, as clients and operators do.
//!
//! Shares no code with the server, so that the two cannot be wrong in the same way. Its own parts:
//! a RESP client, a launcher for `moon` and a real `redis-server`, the differential tester
//! ([`diff`]), the hand-over of values ([`exchange`]) and the script runner ([`script`]).

pub mod ask;
pub mod client;
pub mod diff;
pub mod exchange;
pub mod proxy;
pub mod rng;
pub mod script;
pub mod server;
pub mod value;

/// One command: its name and arguments.
pub type Command = Vec<Vec<u8>>;

/// Builds a [`Command`] from anything that is bytes or a number.
#[macro_export]
macro_rules! cmd {
    ($($arg:expr),* $(,)?) => {
        $crate::command(&[$(&$arg as &dyn $crate::Arg),*])
    };
}

/// What [`cmd!`] expands to.
pub fn command(args: &[&dyn Arg]) -> Command {
    args.iter().map(|arg| arg.bytes()).collect()
}

/// What can stand as an argument in [`cmd!`].
pub trait Arg {
    /// The argument as the server sees it.
    fn bytes(&self) -> Vec<u8>;
}

impl Arg for &str {
    fn bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl Arg for String {
    fn bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl Arg for Vec<u8> {
    fn bytes(&self) -> Vec<u8> {
        self.clone()
    }
}

impl Arg for &[u8] {
    fn bytes(&self) -> Vec<u8> {
        self.to_vec()
    }
}

macro_rules! number_args {
    ($($t:ty),*) => {$(
        impl Arg for $t {
            fn bytes(&self) -> Vec<u8> {
                self.to_string().into_bytes()
            }
        }
    )*};
}

number_args!(i32, i64, u64, usize, f64);

/// A command as one would type it into redis-cli: arguments quoted where needed.
pub fn shown(command: &[Vec<u8>]) -> String {
    let plain = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\');
    let words: Vec<String> = command
        .iter()
        .map(|arg| {
            if !arg.is_empty() && arg.iter().all(plain) {
                String::from_utf8_lossy(arg).into_owned()
            } else {
                value::quoted(arg)
            }
        })
        .collect();
    words.join(" ")
}
