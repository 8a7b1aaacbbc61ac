//! Writes the sample inputs of every target to `corpus/<target>/`, so that fuzzing starts from
//! valid bytes. Run in `fuzz/`: `cargo +nightly run --example seeds`.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    for (name, _, samples) in moon_formats::testing::TARGETS {
        let dir = Path::new("corpus").join(name);
        fs::create_dir_all(&dir)?;
        for (i, sample) in samples().iter().enumerate() {
            fs::write(dir.join(format!("sample-{i:02}")), sample)?;
        }
    }
    Ok(())
}
