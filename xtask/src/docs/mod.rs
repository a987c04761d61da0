//! `cargo xtask docs`: the API reference as one HTML page and as a PDF, from the document that the built program serves.

mod page;

use crate::steps::pass;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const TEMPLATE: &str = include_str!("reference.typ");
/// What makes the PDF, pinned with the hashes of its wheels.
const REQUIREMENTS: &str = include_str!("requirements.txt");
const STARTING: Duration = Duration::from_mins(1);

/// Builds the program and writes `target/docs`.
pub fn run(root: &Path) -> Result<()> {
    pass("cargo build", Command::new("cargo").current_dir(root).args(["build", "-p", "hallpass-cli"]))?;
    let program =
        std::env::current_exe().context("cannot tell where xtask runs from")?.with_file_name("hallpass");
    write(root, &program)
}

/// Writes `target/docs` with this program.
pub fn write(root: &Path, program: &Path) -> Result<()> {
    let folder = root.join("target/docs");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let text = served(program, &folder)?;
    let api: Value = serde_json::from_str(&text).context("/openapi.json is not JSON")?;
    fs::write(folder.join("openapi.json"), serde_json::to_string_pretty(&api)?)?;
    fs::write(folder.join("index.html"), page::write(&api))?;
    fs::write(folder.join("reference.typ"), TEMPLATE)?;
    let python = typst(&root.join("target/docs-tools"))?;
    let script = "import typst; typst.compile('reference.typ', output='reference.pdf')";
    pass("typst", Command::new(python).args(["-c", script]).current_dir(&folder))?;
    for name in ["index.html", "reference.pdf"] {
        let file = folder.join(name);
        let bytes = fs::read(&file).with_context(|| format!("{} was not made", file.display()))?;
        if bytes.len() < 20_000 {
            bail!("{} has {} bytes: something is missing in it", file.display(), bytes.len());
        }
        println!("{}: {} KB", file.display(), bytes.len() / 1024);
    }
    Ok(())
}

/// The document of a program that runs the demo, on a folder of its own.
fn served(program: &Path, folder: &Path) -> Result<String> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let state = folder.join("state");
    let mut command = Command::new(program);
    command.args(["run", "--port", &port.to_string(), "--state"]).arg(&state);
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut running = Running(child);
    let began = Instant::now();
    let body = loop {
        if let Ok(body) = get(port) {
            break body;
        }
        if let Some(status) = running.0.try_wait()? {
            bail!("hallpass ended before it served anything ({status})");
        }
        if began.elapsed() > STARTING {
            bail!("hallpass did not serve /openapi.json within a minute");
        }
        thread::sleep(Duration::from_millis(50));
    };
    drop(running);
    let _ = fs::remove_dir_all(state);
    Ok(body)
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(port: u16) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request =
        format!("GET /openapi.json HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("not HTTP")?;
    if !head.starts_with("HTTP/1.1 200 ") {
        bail!("/openapi.json: {}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}

/// The Python that has typst, made once for each list.
fn typst(folder: &Path) -> Result<PathBuf> {
    let (python, installed) = (folder.join("bin/python"), folder.join("installed.txt"));
    if fs::read_to_string(&installed).is_ok_and(|list| list == REQUIREMENTS) {
        return Ok(python);
    }
    println!("typst: installing what xtask/src/docs/requirements.txt pins into {}", folder.display());
    pass("python3 -m venv", Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    let list = folder.join("requirements.txt");
    fs::write(&list, REQUIREMENTS)?;
    let arguments = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--only-binary=:all:",
        "-r",
    ];
    pass("pip install", Command::new(&python).args(arguments).arg(&list))?;
    fs::write(installed, REQUIREMENTS)?;
    Ok(python)
}
