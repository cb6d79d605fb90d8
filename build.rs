//! Tells the program which compiler built it.

use std::process::Command;

fn main() {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler).arg("--version").output();
    let version = output.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    let version = version.split_whitespace().nth(1).unwrap_or("unknown");
    #[allow(clippy::print_stdout, reason = "this is how a build script speaks")]
    {
        println!("cargo::rerun-if-changed=build.rs");
        println!("cargo::rustc-env=BINBRIDGE_RUSTC={version}");
    }
}
