//! Proofs of inclusion and consistency, for all pairs of sizes, and through tiles on disk.

use super::maker::{Key, Made, Stored, records};
use evaltrail::trail::key::VerifierKey;
use evaltrail::trail::proof::{Proof, Tiles, read_record};
use tlog_tiles::{
    Hash, TileHashReader, check_record, check_tree, prove_record, prove_tree, record_hash, tree_hash,
};

const SIZE: u64 = 600;

#[test]
fn proofs_hold_for_all_pairs_of_sizes() {
    let all = records(SIZE);
    let stored = Stored::of(&all);
    let roots: Vec<Hash> = (0..=SIZE).map(|size| stored.root(size)).collect();
    let leaves: Vec<Hash> = all.iter().map(|record| record_hash(record.as_bytes())).collect();
    for (size, root) in (0..).zip(&roots) {
        for (index, leaf) in (0..size).zip(&leaves) {
            let proof = prove_record(size, index, &stored).unwrap();
            check_record(&proof, size, *root, index, *leaf).unwrap();
            let older = index + 1;
            let proof = prove_tree(size, older, &stored).unwrap();
            check_tree(&proof, size, *root, older, roots[older as usize]).unwrap();
        }
    }
}

#[test]
fn tiles_on_disk_give_every_hash_that_proofs_need() {
    let key = Key::new();
    for size in [1, 2, 255, 256, 257, 511, 512, SIZE] {
        let made = Made::new(&key, records(size), 100, &[size / 3]);
        let (tiles, root) = (Tiles::new(&made.folder()), made.stored.root(size));
        let reader = TileHashReader::new(size, root, &tiles);
        for older in 1..=size {
            assert_eq!(tree_hash(older, &reader).unwrap(), made.stored.root(older), "{older} of {size}");
            let proof = prove_tree(size, older, &reader).unwrap();
            check_tree(&proof, size, root, older, made.stored.root(older)).unwrap();
            let proof = prove_record(size, older - 1, &reader).unwrap();
            let leaf = record_hash(made.records[older as usize - 1].as_bytes());
            check_record(&proof, size, root, older - 1, leaf).unwrap();
        }
    }
}

#[test]
fn a_proof_is_checked_without_its_trail_and_no_byte_of_it_can_be_changed() {
    let key = Key::new();
    for (size, index) in [(1, 0), (2, 1), (300, 0), (300, 255), (300, 256), (SIZE, 599), (SIZE, 300)] {
        let made = Made::new(&key, records(size), 100, &[]);
        let proof = Proof::make(&made.folder(), index, Some(&key.verifier)).unwrap();
        let record = made.records[index as usize].clone().into_bytes();
        assert_eq!(read_record(&made.folder(), index).unwrap(), record);
        let text = proof.text();
        let read = Proof::parse(&text).unwrap();
        assert_eq!(read, proof);
        let proven = read.check(&key.verifier, None).unwrap();
        assert_eq!((proven.record, proven.index, proven.size), (record.clone(), index, size));
        assert!(read.check(&key.verifier, Some(b"other")).unwrap_err().contains("not the one in the proof"));
        assert!(read.check(&Key::new().verifier, None).is_err(), "by another key");
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            let result = Proof::parse(&changed).and_then(|proof| proof.check(&key.verifier, None));
            assert!(result.is_err(), "byte {at} of {}", String::from_utf8_lossy(&text));
            changed.truncate(at);
            let result = Proof::parse(&changed).and_then(|proof| proof.check(&key.verifier, None));
            assert!(result.is_err(), "cut at {at}");
        }
        let mut without = proof;
        without.record = None;
        assert!(without.check(&key.verifier, None).unwrap_err().contains("--record"));
        assert!(without.check(&key.verifier, Some(&record)).is_ok());
    }
}

/// A proof of the certificate log Argon 2020 of Google, as tests of tlog_tiles and of Go's package
/// golang.org/x/mod/sumdb/tlog (`ct_test.go`) take it from that log: consistency of 3,654,490 with 961,984,011 records.
#[test]
fn a_published_proof_of_consistency_holds() {
    let hash = |text: &str| Hash::parse_hash(text).unwrap();
    let proof: Vec<Hash> = PUBLISHED.iter().map(|text| hash(text)).collect();
    let root = hash("AWxD3p811N3m4WTinWRXPvBZHfT9IR9g/R4C7SKLPiU=");
    let older = hash("AuIZ5V6sDUj1vn3Y1K85oOaQ7y+FJJKtyRTl1edIKBQ=");
    check_tree(&proof, 961_984_011, root, 3_654_490, older).unwrap();
    assert!(check_tree(&proof, 961_984_011, root, 3_654_491, older).is_err());
}

/// Leaves, roots and paths of the tests of certificate-transparency-go and transparency-dev/merkle, by which
/// implementations of RFC 6962 are compared: the tree of the first seven leaves.
#[test]
fn published_paths_are_ours() {
    let hex = |text: &str| -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    let hash = |text: &str| Hash(hex(text).try_into().unwrap());
    let leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"];
    let records: Vec<String> = leaves.iter().map(|text| String::from_utf8(hex(text)).unwrap()).collect();
    let stored = Stored::of(&records);
    assert_eq!(stored.root(7), hash("ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"));
    let above = [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "837dbb152e9b079010717e84e865da4ebc0fa198a806d59d31bf15accef22d0e",
    ];
    for (index, beside) in [
        (0, "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"),
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ] {
        let path = [beside, above[0], above[1]].map(hash);
        assert_eq!(prove_record(7, index, &stored).unwrap(), path);
    }
}

/// The key of Go's checksum database, as golang.org/x/mod and the go command have it, and the hash of a record in the tests
/// of its package tlog (`note_test.go`).
#[test]
fn published_keys_and_hashes_are_read() {
    let key = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    assert_eq!(VerifierKey::parse(key).unwrap().origin(), "sum.golang.org");
    assert!(VerifierKey::parse(&key.replace("033de0ae", "033de0af")).is_err());
    let root = Stored::of(&["hello world".to_owned()]).root(1);
    assert_eq!(root.to_string(), "TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=");
}

const PUBLISHED: [&str; 30] = [
    "80Sfbj6UQEdVSZCSIgh9NMPj3vCBzcc1A48B2crJSWg=",
    "FZcrgAHUk6nNPviJZq8kEK6jCG1d18pJOFE45ZDc1TQ=",
    "Q67reWXmPBo1UfmwBap4Xi9PMPfFdUSSw3WGlRZdG7k=",
    "eJ7CyhR4PxzBxDIsWgrVYW1eFUb9ndgf46tFmiqVrxA=",
    "QrDwp062Grm5WY8KdrhFsBuuNjGzRox2Jb8PmVL5OYw=",
    "XM4YMjMEdLH/XJam/ZWyaP14k3cmsOtnPsOWQ54lW1s=",
    "SGiBh+jOTGccXU48ZzgQ88lRcBmtB4wz4oSDndv2QTg=",
    "WAS6txqNLYKGL1GdBdpqmV42TTfn6cJsuDsqLXuTCNI=",
    "QFmRS0rirUA7ZN3lxFjDncV+E1OCrn3NUB4RCp+5fzc=",
    "Hdbp7It2XBNZmNDBpCN/KPd7vfVqxgzwOosqVIaEA9E=",
    "mxvHL0ZiblBdD7j7pIa1jlfB0gSqfJ6oX0UGo7L0VsU=",
    "q5hjyvoW6TL/PThgcitpDcSTrnKX2p1+aqscqH2euRA=",
    "jTOWDqt3IHj2NVFeezyBz2ofpru+ztEywqKUAfFclKI=",
    "GIRn0w3HqJdvU9j1WVD//eR6lk2AaTVjyzjsJNP8U88=",
    "x52GJvxG81fnQBrgOTbll1A5tz95/LXK0Ag1NhB0r1I=",
    "6/0OqrcTgc3o5dD5PymmoC96lB9yLPFuTHVvLy8fSGk=",
    "Gf+iKLfcXO5l4JEFmsZvSdG5q1uEeWPfYLrds6pmjz0=",
    "DGuaco+McyM3AfRSF6qX7RwSetwe2ieYJmxw5e9rVx0=",
    "2tQJ9V32hnYp+fdpP6TcjmgJmLeNVOMKM0Ml1kk4cNU=",
    "3PapK+IkyJr8I9yAErAmzuZezzLMzsg+PfeRCgNW8NQ=",
    "s6xiYeejb+wtqHA+URJZ2I/SCPyIW8coP6aB00FJbMY=",
    "z9lSpmdTcr5M5ZzKlc4EPh3SrSypKFdk6JUF/UccaZU=",
    "GXIElfmnRuWfbA4z7ubV/UwlpSRUbUeec7oL5HDDnh0=",
    "pR0SH/NYP6s9+8azWwaeUXA4Ze/3WCIgMfh5YW6wvcE=",
    "f3GuAKYVrF8RBg3s15jvA/YvV9oAliWtzP/imwPhQVA=",
    "WHn8zDxlVgkV+lSlmzaOdfSBrTHoRr5nT3d76q0KKWE=",
    "f2uV2ZxVgULzLPKuZcowRY3ZY7fRlX59iDBjV1R8kNQ=",
    "NzQVjJsvQwbi7WStMr9oFkh9VbHfK7LB6o7WwAqwNTs=",
    "C0LttBeYHZHgL+032JIcJC3CTBIyza/hsbmJUgJfmDI=",
    "30HzZbwT4DdqHQi4f7+WRG6M4YwVGaKgGXicDvSFT6k=",
];
