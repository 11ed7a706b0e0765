//! Files that are checked in and kept true by a test: when they are written anew, and how.

use std::{env, fs, io, path::Path};

/// What to do about a file that is not as it would be written now.
pub(crate) const HOW_TO_WRITE: &str =
    "run the test with UNO_GOLDEN=write in the environment, and look at the difference";

/// Whether the files are to be written anew.
pub(crate) fn is_to_be_written() -> bool {
    env::var("UNO_GOLDEN").is_ok_and(|wanted| wanted == "write")
}

/// Writes a file, with its folder, unless it has this text already.
pub(crate) fn write_if_new(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|before| before == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}
