//! Sign-ins and calls against small servers of this process, honest and hostile.

mod calls;
mod logins;
mod refreshes;
mod world;
