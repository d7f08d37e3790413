//! Runs the automation of the workspace.

use anyhow::{Result, bail};
use xtask::{regen_proto, root};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["regen-proto"] => println!("{}", regen_proto::write(&root())?),
        ["regen-proto", "--check"] => regen_proto::check(&root())?,
        _ => bail!("usage: cargo xtask regen-proto [--check]"),
    }
    Ok(())
}
