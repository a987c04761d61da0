//! A small blocking HTTP/1.1 client that reads what our server sends: one request a connection.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head.lines().filter_map(move |line| {
            let (have, value) = line.split_once(':')?;
            have.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn header(&self, name: &str) -> String {
        self.headers(name).next().unwrap_or_default().to_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Value of the hidden input with this name.
    pub fn hidden(&self, name: &str) -> String {
        let marker = format!("name=\"{name}\" value=\"");
        let start =
            self.body.find(&marker).unwrap_or_else(|| panic!("{name} in {}", self.body)) + marker.len();
        self.body[start..].split('"').next().unwrap().replace("&#38;", "&")
    }
}

/// One request; `None` when the connection broke before a whole answer came.
pub fn send(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let fields: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n{}Content-Length: {}\r\n\r\n{body}",
        fields.concat(),
        body.len(),
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut read = Vec::new();
    stream.read_to_end(&mut read).ok()?;
    let text = String::from_utf8_lossy(&read).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
    let length = answer.header("content-length").parse().unwrap_or(0);
    (answer.body.len() >= length).then_some(answer)
}

/// A form.
pub fn form(port: u16, path: &str, pairs: &[(&str, &str)], headers: &[(&str, &str)]) -> Option<Answer> {
    let body = hallpass_core::parameters::encode(pairs.iter().copied());
    let mut all = vec![("Content-Type", "application/x-www-form-urlencoded")];
    all.extend(headers);
    send(port, "POST", path, &all, &body)
}

/// JSON.
pub fn json(port: u16, path: &str, body: &serde_json::Value, headers: &[(&str, &str)]) -> Option<Answer> {
    let mut all =
        vec![("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
    all.extend(headers);
    send(port, "POST", path, &all, &body.to_string())
}
