//! Writes the frozen vectors to `docs/vectors`. Run it only when a change of the rules or
//! of the wire is meant: every other implementation has to follow.
//!
//!     cargo run -p mvb-protocol --example vectors

#[path = "../tests/vectors/generate.rs"]
mod generate;

fn main() -> std::io::Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/vectors");
    std::fs::create_dir_all(folder)?;
    for (name, value) in generate::all() {
        std::fs::write(format!("{folder}/{name}"), generate::text(&value))?;
        println!("{name}");
    }
    Ok(())
}
