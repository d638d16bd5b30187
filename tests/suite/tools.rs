//! Programs of others that tests work with: curl, nginx. Where one is missing, its tests say so and pass.

use crate::harness::{TIMEOUT, TempDir, until};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// Says that a test has done nothing. Past the test runner, which keeps to itself what passing tests print.
#[allow(clippy::explicit_write, reason = "eprintln! is what the test runner keeps to itself")]
pub fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    writeln!(std::io::stderr(), "SKIPPED: {test}: {why}").unwrap();
}

/// Whether a program is there; says so where it is not.
pub fn has(program: &str) -> bool {
    let found = find(program).is_some();
    if !found {
        skip(&format!("no {program} on this machine"));
    }
    found
}

/// Where a program is. Servers are in folders that are not on everybody's path.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    path.split(':').map(|folder| PathBuf::from(folder).join(program)).find(|path| path.is_file())
}

/// An address on this machine that nobody listens on, and that no connection gets by chance, so that a server may come
/// back to it.
pub fn free_address() -> SocketAddr {
    // Below the ports that systems choose from; other runs of the tests begin elsewhere.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() * 37 % 10_000) as u16;
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// nginx in front of a server, with its files in a folder of its own. Dropped, it is killed.
pub struct Nginx {
    child: Child,
    dir: TempDir,
    pub address: SocketAddr,
}

impl Nginx {
    /// Starts it as a reverse proxy; it talks to `upstream` from 127.0.0.2. `options` are those of its location.
    pub fn start(upstream: SocketAddr, options: &str) -> Nginx {
        let (dir, address) = (TempDir::new(), free_address());
        let root = dir.path().display();
        dir.write(
            "nginx.conf",
            &format!(
                "daemon off;\nmaster_process off;\npid {root}/nginx.pid;\nerror_log {root}/error.log;\n\
                 events {{ worker_connections 1000; }}\n\
                 http {{\n\
                 access_log off;\n\
                 client_body_temp_path {root}/body;\nproxy_temp_path {root}/proxy;\n\
                 fastcgi_temp_path {root}/f;\nuwsgi_temp_path {root}/u;\nscgi_temp_path {root}/s;\n\
                 upstream trail {{ server {upstream}; keepalive 128; }}\n\
                 server {{\n\
                 listen {address} backlog=1024;\nclient_max_body_size 0;\nkeepalive_requests 100000;\n\
                 location / {{\n\
                 proxy_pass http://trail;\nproxy_http_version 1.1;\nproxy_set_header Connection \"\";\n\
                 proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\nproxy_bind 127.0.0.2;\n\
                 {options}\n}}\n}}\n}}\n"
            ),
        );
        let mut command = Command::new(find("nginx").unwrap());
        command.arg("-p").arg(dir.path()).arg("-c").arg(dir.path().join("nginx.conf"));
        command.args(["-e", "stderr"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let nginx = Nginx { child: command.spawn().unwrap(), dir, address };
        assert!(until(TIMEOUT, || TcpStream::connect(address).is_ok()), "{}", nginx.errors());
        nginx
    }

    /// Its error log.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// How many ends of connections with `address` the system knows of, those included that ended a short while ago.
pub fn connections_to(address: SocketAddr) -> usize {
    let port = format!(":{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_one = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // 0A is a listener.
        fields[3] != "0A" && fields[1..3].iter().any(|end| end.ends_with(&port))
    };
    table.lines().skip(1).filter(is_one).count()
}
