//! A proxy that lies: stands before a real server and changes some replies, so that a test can show
//! that the tester sees it.

use crate::Command;
use crate::client::Client;
use crate::value::Value;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

/// Changes a reply in place, given its command.
pub type Tamper = Arc<dyn Fn(&Command, &mut Value) + Send + Sync>;

/// Serves every connection to the returned port from the server on `port`, through `tamper`. The
/// threads live as long as their connections.
pub fn start(port: u16, tamper: Tamper) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let own = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let tamper = Arc::clone(&tamper);
            std::thread::spawn(move || serve(stream, port, &tamper));
        }
    });
    Ok(own)
}

fn serve(mut stream: TcpStream, port: u16, tamper: &Tamper) -> io::Result<()> {
    let mut server = Client::connect(port)?;
    let (mut input, mut chunk) = (Vec::new(), [0; 64 * 1024]);
    loop {
        let mut output = Vec::new();
        // A request is an array of bulk strings, so the reply decoder reads it too.
        while let Ok(Some((Value::Array(args), used))) = Value::decode(&input) {
            input.drain(..used);
            let command: Command =
                args.iter().filter_map(|a| a.text().map(<[u8]>::to_vec)).collect();
            let mut reply = server.call(&command)?;
            tamper(&command, &mut reply);
            reply.encode(&mut output);
        }
        stream.write_all(&output)?;
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            n => input.extend_from_slice(&chunk[..n]),
        }
    }
}
