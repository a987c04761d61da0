//! Floods that need one connection only, at the real listener: it stays up and answers others (T-88).

use super::{
    http,
    node::{Node, free_port},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// RFC 9113 §4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut all = length[1..].to_vec();
    all.extend([kind, flags]);
    all.extend(stream.to_be_bytes());
    all.extend(payload);
    all
}

/// `GET / http localhost`, from the static table of HPACK.
fn head() -> Vec<u8> {
    let mut head = vec![0x82, 0x84, 0x86, 0x41, 9];
    head.extend(b"localhost");
    head
}

/// Writes until the other side has had enough; whether it ended the connection in time.
fn is_stopped(port: u16, pieces: impl Iterator<Item = Vec<u8>>) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let read = std::thread::spawn(move || {
        let mut all = Vec::new();
        let ended = reader.read_to_end(&mut all);
        ended.is_ok() || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    });
    let mut written = stream.write_all(PREFACE).and_then(|()| stream.write_all(SETTINGS));
    for piece in pieces {
        written = written.and_then(|()| stream.write_all(&piece));
    }
    let _ = written;
    read.join().unwrap()
}

fn is_up(port: u16) -> bool {
    let started = Instant::now();
    let answer = http::send(port, "GET", "/jwks", &[], "");
    answer.is_some_and(|answer| answer.status == 200) && started.elapsed() < Duration::from_secs(5)
}

#[test]
fn rs_065_t_88_floods_of_one_connection_end_that_connection_only() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let _node = Node::run(folder.path(), port);
    // CVE-2023-44487: requests that are taken back at once.
    let streams = (0..20_000_u32).map(|number| {
        let stream = 2 * number + 1;
        let mut both = frame(1, 5, stream, &head());
        both.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
        both
    });
    assert!(is_stopped(port, streams), "rapid reset");
    assert!(is_up(port));
    // VU#421644: a head that never ends.
    let field: Vec<u8> = [&[0, 1, b'x', 127, 0x81, 0x06][..], &[b'y'; 256]].concat();
    let more = (0..100_000_u32).map(|number| match number {
        0 => frame(1, 1, 1, &head()),
        _ => frame(9, 0, 1, &field.repeat(16)),
    });
    assert!(is_stopped(port, more), "continuation");
    assert!(is_up(port));
    // Questions that have to be answered, and settings.
    let pings = (0..1_000_000_u32).map(|_| frame(6, 0, 0, &[7; 8]));
    let _ = is_stopped(port, pings.take(200_000));
    assert!(is_up(port));
}
