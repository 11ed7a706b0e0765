//! The Rust files of the tree, and what they may be called.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// A source file.
#[derive(Clone, Debug)]
pub(super) struct SourceFile {
    /// Its path from the root of the workspace, with `/` between the parts.
    pub(super) path: String,
    pub(super) text: String,
}

/// Every `.rs` file below `root`, in the order of their paths.
pub(super) fn rust_files(root: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    collect(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Complains about `mod.rs`.
pub(super) fn check_name(path: &str) -> Option<String> {
    let folder = path
        .strip_suffix("mod.rs")
        .filter(|folder| folder.is_empty() || folder.ends_with('/'))?;
    let better = folder.trim_end_matches('/');
    Some(format!(
        "{path}: call it {better}.rs, beside the folder, so that editors and searches show distinct names"
    ))
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<SourceFile>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to list {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry
            .file_type()
            .with_context(|| format!("failed to look at {path}"))?;
        if kind.is_dir() {
            // What cargo, git and editors make is not ours.
            if name != "target" && !name.starts_with('.') {
                collect(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(entry.path())
                .with_context(|| format!("failed to read {path}"))?;
            files.push(SourceFile { path, text });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mod_rs_fails() {
        let check = |path, expected: Option<&str>| {
            let found = check_name(path);
            assert_eq!(
                found.as_deref().and_then(|found| found.split(',').next()),
                expected,
                "{path}"
            );
        };
        check(
            "uno-core/src/ids/mod.rs",
            Some("uno-core/src/ids/mod.rs: call it uno-core/src/ids.rs"),
        );
        check("uno-core/src/mod_.rs", None);
        check("uno-core/src/my_mod.rs", None);
    }

    #[test]
    fn our_own_files_are_found() {
        let files = rust_files(&crate::cargo::workspace_root()).unwrap();
        let has = |path: &str| files.iter().any(|file| file.path == path);
        assert!(has("xtask/src/tidy/files.rs"));
        assert!(files.iter().all(|file| !file.path.contains("target/")));
    }
}
