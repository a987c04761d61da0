//! The program itself, started as a user starts it, stopped as no user should.

mod crash;
mod http;
mod node;
mod person;
mod start;
