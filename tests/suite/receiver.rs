//! A receiver of requests that does what a test tells it to: any status, silence, a reset, a lie about lengths.

use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// No request may keep a thread for longer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub line: String,
    pub headers: Vec<(String, String)>,
    /// Unpacked.
    pub body: Vec<u8>,
    /// Number of the connection that it came by.
    pub connection: usize,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The events in it, however they are put together.
    pub fn events(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.body).unwrap();
        match serde_json::from_str(text) {
            Ok(Value::Array(events)) => events,
            _ => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        }
    }

    /// The messages of its events.
    pub fn messages(&self) -> Vec<String> {
        let message = |event: &Value| event["message"].as_str().unwrap().to_owned();
        self.events().iter().map(message).collect()
    }
}

/// What a request is answered with.
#[derive(Clone, Debug)]
pub enum Answer {
    Status(u16, &'static str, &'static str),
    /// Nothing, and the connection stays open.
    Silence,
    /// Nothing, and the connection is closed.
    Close,
    /// A body that is shorter than said.
    Lie(u16),
    /// No HTTP at all.
    Nonsense,
    /// The status, and then a body that never ends.
    Drip(u16),
}

/// Delivered.
pub const OK: Answer = Answer::Status(200, "", "");

/// What decides, by the number of requests before and the request.
pub type Script = Box<dyn FnMut(usize, &Received) -> Answer + Send>;

pub struct Receiver {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    listening: Arc<Mutex<bool>>,
}

impl Receiver {
    pub fn start(script: impl FnMut(usize, &Received) -> Answer + Send + 'static) -> Receiver {
        Receiver::at("127.0.0.1:0", script)
    }

    pub fn at(address: &str, script: impl FnMut(usize, &Received) -> Answer + Send + 'static) -> Receiver {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (received, listening) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(true)));
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let (kept, open) = (Arc::clone(&received), Arc::clone(&listening));
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if !*open.lock().unwrap() {
                    return;
                }
                let (kept, script) = (Arc::clone(&kept), Arc::clone(&script));
                // A connection that fails is the business of its other end.
                thread::spawn(move || serve(stream.unwrap(), number, &kept, &script).unwrap_or_default());
            }
        });
        Receiver { address, received, listening }
    }

    /// The address to send to.
    pub fn uri(&self) -> String {
        format!("http://{}/in", self.address)
    }

    /// What came so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        *self.listening.lock().unwrap() = false;
        // Wakes the listener, which then ends.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(
    mut stream: TcpStream,
    number: usize,
    kept: &Mutex<Vec<Received>>,
    script: &Mutex<Script>,
) -> io::Result<()> {
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(received) = read(&mut reader, number)? {
        let before = {
            let mut kept = kept.lock().unwrap();
            kept.push(received.clone());
            kept.len() - 1
        };
        let answer = (script.lock().unwrap())(before, &received);
        match answer {
            Answer::Status(status, headers, body) => {
                let length = body.len();
                write!(stream, "HTTP/1.1 {status} Some\r\ncontent-length: {length}\r\n{headers}\r\n{body}")?;
            }
            Answer::Silence => drop(stream.read(&mut [0])?),
            Answer::Close => return stream.shutdown(Shutdown::Both),
            Answer::Lie(status) => {
                write!(stream, "HTTP/1.1 {status} Some\r\ncontent-length: 1000\r\n\r\nshort")?;
                return stream.shutdown(Shutdown::Both);
            }
            Answer::Nonsense => {
                stream.write_all(b"220 mail.example.com ESMTP\r\n")?;
                return stream.shutdown(Shutdown::Both);
            }
            Answer::Drip(status) => {
                write!(stream, "HTTP/1.1 {status} Some\r\ntransfer-encoding: chunked\r\n\r\n")?;
                while stream.write_all(b"1\r\nx\r\n").is_ok() {
                    thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }
    Ok(())
}

/// The next request; none where the connection ends.
fn read(reader: &mut BufReader<TcpStream>, connection: usize) -> io::Result<Option<Received>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut received = Received { line: line.trim_end().to_owned(), headers, body: Vec::new(), connection };
    let length: usize = received.header("content-length").unwrap_or("0").parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    received.body = match received.header("content-encoding") {
        None => body,
        Some("gzip") => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain)?;
            plain
        }
        Some("zstd") => zstd::decode_all(&body[..])?,
        Some(other) => panic!("{other}"),
    };
    Ok(Some(received))
}
