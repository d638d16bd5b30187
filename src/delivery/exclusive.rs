//! What only one component of a pipeline can have, so that a config where two want it can be refused before it runs.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Something that can't be shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exclusive {
    /// Standard input: of two readers, each would get some of the records, and nobody knows which.
    StandardInput,
    /// An address to listen on.
    Address(SocketAddr),
    /// A key that signs a trail.
    Key(PathBuf),
}

impl Exclusive {
    /// Whether who has the one keeps others from having the other.
    pub fn collides(&self, other: &Exclusive) -> bool {
        match (self, other) {
            (Exclusive::Address(one), Exclusive::Address(other)) => {
                let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
                // `0.0.0.0` is all addresses of version 4, and `[::]` all there are.
                let holds =
                    |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
                let is_same = if a == b { a.is_ipv4() || one == other } else { holds(a, b) || holds(b, a) };
                // Port 0 is another one each time.
                one.port() != 0 && one.port() == other.port() && is_same
            }
            _ => self == other,
        }
    }

    /// What to do about two that collide.
    pub fn advice(&self) -> &'static str {
        match self {
            Exclusive::StandardInput => "keep one of them, and name it in the `inputs` of both pipelines",
            Exclusive::Address(_) => "give each a port of its own",
            Exclusive::Key(_) => {
                "a key signs one trail: `evaltrail trail keygen` makes another, or give one trail all the `inputs`"
            }
        }
    }
}

impl fmt::Display for Exclusive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exclusive::StandardInput => f.write_str("read standard input"),
            Exclusive::Address(address) => write!(f, "listen on {address}"),
            Exclusive::Key(path) => write!(f, "sign with the key `{}`", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_collide_as_the_system_sees_them() {
        let collide = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|address| Exclusive::Address(address.parse().unwrap()));
            assert_eq!(one.collides(&other), other.collides(&one), "{one}, {other}");
            one.collides(&other)
        };
        assert!(collide("127.0.0.1:80", "127.0.0.1:80"));
        assert!(collide("127.0.0.1:80", "0.0.0.0:80"));
        assert!(collide("[::]:80", "[::1]:80"));
        assert!(collide("[::]:80", "127.0.0.1:80"));
        assert!(collide("[::ffff:127.0.0.1]:80", "127.0.0.1:80"));
        assert!(!collide("0.0.0.0:80", "[::1]:80"));
        assert!(!collide("[fe80::1%1]:80", "[fe80::1%2]:80"));
        assert!(!collide("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!collide("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!collide("127.0.0.1:80", "[::1]:80"));
        assert!(!collide("127.0.0.1:0", "127.0.0.1:0"));
    }
}
