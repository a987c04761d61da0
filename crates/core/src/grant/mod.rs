//! What a person agreed to, on its way from the consent page to the token endpoint; and what a client asks for, on its way
//! to that page.

mod authorization;
mod device;
mod pushed;

pub use authorization::{
    AuthorizationCode, CODE_LIFETIME, CodeError, MAX_RECEIVER, MAX_SCOPES, digest16, digest32,
};
pub use device::{DEVICE_LIFETIME, DeviceCode, DeviceCodeError, UserCode};
pub use pushed::{BEGUN_LIFETIME, MAX_REQUEST_URI, PUSHED_LIFETIME, PushedError, PushedRequest, REQUEST_URI};

/// The next `N` bytes.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}
