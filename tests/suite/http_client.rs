//! A client of HTTP/1.1 that sends exactly what it is told to, and a server to talk to.

use crate::harness::{Live, Run, TIMEOUT, until};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The console, with nothing in between.
pub const CONSOLE: &str = "[sinks.out]\ntype = \"console\"\ninputs = [\"web\"]\n";
/// A sink that is always fast.
pub const BLACKHOLE: &str = "[sinks.out]\ntype = \"blackhole\"\ninputs = [\"web\"]\n";

/// The program with an `http_server` of these options.
pub fn config(options: &str, rest: &str) -> Run {
    let address = if options.contains("address") { "" } else { "address = \"127.0.0.1:0\"\n" };
    Run::new(&[]).config(&format!("[sources.web]\ntype = \"http_server\"\n{address}{options}\n\n{rest}"))
}

/// A server that listens.
pub struct Server {
    pub live: Live,
    pub address: SocketAddr,
}

impl Server {
    #[track_caller]
    pub fn start(options: &str, rest: &str) -> Server {
        Server::of(config(options, rest))
    }

    #[track_caller]
    pub fn of(run: Run) -> Server {
        let live = run.live();
        let find = || {
            let said = live.stderr();
            let line = said.lines().find(|line| line.contains("listening"))?.to_owned();
            let address =
                line.split("address=").nth(1)?.split_whitespace().next()?.trim_matches('"').to_owned();
            address.parse().ok()
        };
        assert!(until(TIMEOUT, || find().is_some()), "{}", live.stderr());
        let address = find().unwrap();
        Server { live, address }
    }

    pub fn connect(&self) -> Client<TcpStream> {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        // A request may be sent in pieces; they are not to wait for each other.
        stream.set_nodelay(true).unwrap();
        Client::new(stream)
    }

    /// Posts on a connection of its own.
    #[track_caller]
    pub fn post(&self, headers: &str, body: impl AsRef<[u8]>) -> Reply {
        self.connect().post(headers, body)
    }

    /// Stops it; it has to end well.
    #[track_caller]
    pub fn stop(mut self) -> (String, Vec<Value>) {
        self.live.signal("TERM");
        let rest = String::from_utf8(self.live.rest()).unwrap();
        let (status, stderr) = self.live.wait(TIMEOUT);
        assert_eq!(status.code(), Some(0), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        (stderr, rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }
}

/// A connection.
pub struct Client<S: Read + Write>(BufReader<S>);

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Value,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Fails the test unless the status is this one.
    #[track_caller]
    pub fn is(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Accepted and rejected.
    pub fn counts(&self) -> (u64, u64) {
        let count = |name| self.body[name].as_u64().unwrap_or_else(|| panic!("{self:?}"));
        (count("accepted"), count("rejected"))
    }

    /// Lines and reasons of the faults.
    pub fn faults(&self) -> Vec<(u64, &str)> {
        let faults = self.body["faults"].as_array().unwrap().iter();
        faults.map(|fault| (fault["line"].as_u64().unwrap(), fault["reason"].as_str().unwrap())).collect()
    }
}

impl<S: Read + Write> Client<S> {
    pub fn new(stream: S) -> Client<S> {
        Client(BufReader::new(stream))
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())?;
        self.0.get_mut().flush()
    }

    pub fn send_chunk(&mut self, bytes: impl AsRef<[u8]>) {
        self.send(format!("{:x}\r\n", bytes.as_ref().len()));
        self.send(bytes);
        self.send("\r\n");
    }

    /// Sends a request whole, whatever comes back meanwhile, and reads the answer.
    #[track_caller]
    pub fn post(&mut self, headers: &str, body: impl AsRef<[u8]>) -> Reply {
        let body = body.as_ref();
        let len = body.len();
        self.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\n{headers}\r\n"));
        drop(self.try_send(body));
        self.reply().expect("an answer")
    }

    #[track_caller]
    pub fn ask(&mut self, method: &str, path: &str) -> Reply {
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
        self.reply().expect("an answer")
    }

    /// The next answer; none where the connection has ended.
    #[track_caller]
    pub fn reply(&mut self) -> Option<Reply> {
        let mut line = String::new();
        if self.0.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        Some(self.rest_of_reply(&line).unwrap_or_else(|| panic!("torn: {line}")))
    }

    /// The same of a server that may be killed: none unless the answer is whole.
    pub fn whole_reply(&mut self) -> Option<Reply> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        self.rest_of_reply(&line)
    }

    fn rest_of_reply(&mut self, line: &str) -> Option<Reply> {
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).ok()?;
            if !line.ends_with('\n') {
                return None;
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let len = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .map_or(0, |(_, len)| len.parse().unwrap());
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).ok()?;
        Some(Reply { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }
}

impl Client<TcpStream> {
    /// Whether the other end closes the connection within `limit`.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        self.0.get_mut().set_read_timeout(Some(limit)).unwrap();
        match self.0.read(&mut [0; 1]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}
