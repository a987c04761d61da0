//! One target, the one that this binary is named after.

#![no_main]

use hallpass_fuzz::{Target, target};
use std::sync::LazyLock;

static TARGET: LazyLock<&Target> = LazyLock::new(|| target(env!("CARGO_BIN_NAME")).expect("a target"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
