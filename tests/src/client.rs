//! A blocking RESP client that keeps replies exactly as they came.

use crate::Command;
use crate::value::Value;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a reply may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    at: usize,
    output: Vec<u8>,
}

impl Client {
    /// Connects to a port of this machine.
    pub fn connect(port: u16) -> io::Result<Client> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { stream, input: Vec::new(), at: 0, output: Vec::new() })
    }

    /// Another connection to the same server.
    pub fn another(&self) -> io::Result<Client> {
        Client::connect(self.stream.peer_addr()?.port())
    }

    /// Sets how long [`Client::receive`] waits.
    pub fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))
    }

    /// Sends one command and returns its reply.
    pub fn call(&mut self, command: &[Vec<u8>]) -> io::Result<Value> {
        self.queue(command);
        self.flush()?;
        self.receive()
    }

    /// Sends one command written as a line of plain words and returns its reply.
    pub fn line(&mut self, words: &str) -> io::Result<Value> {
        let command: Command = words.split_whitespace().map(|w| w.as_bytes().to_vec()).collect();
        self.call(&command)
    }

    /// Adds a command to the pipeline.
    pub fn queue(&mut self, command: &[Vec<u8>]) {
        let out = &mut self.output;
        out.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
        for arg in command {
            out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            out.extend_from_slice(arg);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Sends what was queued.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next reply.
    pub fn receive(&mut self) -> io::Result<Value> {
        loop {
            let decoded = Value::decode(&self.input[self.at..])
                .map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))?;
            if let Some((value, used)) = decoded {
                self.at += used;
                if self.at == self.input.len() {
                    self.input.clear();
                    self.at = 0;
                }
                return Ok(value);
            }
            self.input.drain(..self.at);
            self.at = 0;
            let mut chunk = [0; 64 * 1024];
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.input.extend_from_slice(&chunk[..n]),
            }
        }
    }

    /// The next reply if it comes within `time`.
    pub fn receive_within(&mut self, time: Duration) -> io::Result<Option<Value>> {
        self.stream.set_read_timeout(Some(time))?;
        let got = self.receive();
        self.stream.set_read_timeout(Some(PATIENCE))?;
        match got {
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(None)
            }
            got => got.map(Some),
        }
    }

    /// Everything until the server closes the connection.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = self.input.split_off(self.at);
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }
}
