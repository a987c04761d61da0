//! One file per command.

pub mod admin;
pub mod audit;
pub mod call;
pub mod client;
pub mod config_check;
pub mod connect;
mod device;
pub mod document;
pub mod exec;
mod explain;
mod first_account;
pub mod grant;
mod grants;
pub mod key;
pub mod keyring;
pub mod list;
pub mod login;
pub mod logout;
mod machine;
pub mod manual;
mod pages;
mod person;
pub mod place;
pub mod policy;
pub mod run;
pub mod serve;
pub mod status;
mod steps;
pub mod store;
pub mod token;
pub mod user;
mod waiting;
mod workload;

use crate::args::{Command, ConfigCommand};
use std::process::ExitCode;

/// Runs a command.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Config(ConfigCommand::Check { file }) => Ok(config_check::run(&file)),
        Command::User(command) => user::run(command).await,
        Command::Client(command) => client::run(command).await,
        Command::Key(command) => key::run(command).await,
        Command::Grant(command) => grant::run(command).await,
        Command::Policy(command) => policy::run(command).await,
        Command::Store(command) => store::run(command).await,
        Command::Audit(command) => audit::run(command).await,
        Command::Admin(command) => admin::run(command).await,
        Command::Login(args) => login::run(*args).await,
        Command::List(args) => list::run(args).await,
        Command::Call(args) => call::run(args).await,
        Command::Connect(args) => connect::run(args).await,
        Command::Token(args) => token::run(args).await,
        Command::Exec(args) => exec::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Logout(args) => logout::run(args).await,
        Command::Keyring(command) => keyring::run(command).await,
        Command::Document(args) => document::run(args).await,
        Command::Completion(args) => manual::completion(&args),
        Command::Man(args) => manual::man(&args),
    }
}
