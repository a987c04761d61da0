//! Sign-ins and calls against small servers of this process, honest and hostile.

mod begun;
mod bridge;
mod calls;
mod crowd;
mod devices;
mod exchanges;
mod hostile;
mod layers;
mod logins;
mod machines;
mod pages;
mod pastes;
mod platforms;
mod processes;
mod proofs;
mod refreshes;
mod replaced;
mod rmcps;
mod sign_ins;
mod through;
mod world;
