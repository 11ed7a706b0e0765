//! Finds the server's programs on this machine.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The programs that a cluster needs; a client package alone has none of them.
const NEEDED: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// A folder that holds all the server's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// The first server on the `PATH`, else the newest that Debian's packages installed.
    pub(super) fn find() -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        Self::find_in(&path, Path::new("/usr/lib/postgresql"))
    }

    fn find_in(path: &OsStr, debian: &Path) -> Option<Self> {
        // `initdb` on the PATH is often a link into the folder that holds the rest.
        let on_path = env::split_paths(path)
            .filter_map(|folder| fs::canonicalize(folder.join("initdb")).ok())
            .filter_map(|initdb| initdb.parent().map(Path::to_path_buf));
        on_path
            .chain(newest_first(debian))
            .find(|folder| NEEDED.iter().all(|name| folder.join(name).is_file()))
            .map(|folder| Self { folder })
    }

    /// The server in a folder that was found earlier.
    pub(super) fn in_folder(folder: &str) -> Self {
        Self {
            folder: PathBuf::from(folder),
        }
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of one program.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// `17/bin` before `15/bin` before `9.6/bin`, compared as numbers.
fn newest_first(debian: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<(Vec<u32>, PathBuf)> = fs::read_dir(debian)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name();
            let numbers = version.to_str()?.split('.').map(str::parse);
            Some((numbers.collect::<Result<_, _>>().ok()?, entry.path()))
        })
        .collect();
    versions.sort();
    versions
        .into_iter()
        .rev()
        .map(|(_, folder)| folder.join("bin"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    /// A folder of empty files, removed at the end.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[&str]) -> Self {
            let root = env::temp_dir().join(format!("xtask-{}-{name}", process::id()));
            for file in files {
                let path = root.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
            Self(fs::canonicalize(root).unwrap())
        }

        fn find(&self, path: &str) -> Option<PathBuf> {
            let path = env::join_paths(path.split(':').map(|folder| self.0.join(folder))).unwrap();
            let found = Binaries::find_in(&path, &self.0.join("debian"))?;
            Some(found.folder.strip_prefix(&self.0).unwrap().to_path_buf())
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_client_alone_is_no_server() {
        let tree = Tree::new("client", &["bin/psql", "debian/15/bin/initdb"]);
        assert_eq!(tree.find("bin"), None);
    }

    #[test]
    fn the_newest_of_debian_is_chosen_by_number() {
        let tree = Tree::new(
            "newest",
            &[
                "debian/9.6/bin/initdb",
                "debian/9.6/bin/pg_ctl",
                "debian/9.6/bin/postgres",
                "debian/17/bin/initdb",
                "debian/17/bin/pg_ctl",
                "debian/17/bin/postgres",
                "debian/common/bin/initdb",
            ],
        );
        assert_eq!(tree.find("bin"), Some(PathBuf::from("debian/17/bin")));
    }

    #[test]
    fn the_path_goes_first_and_links_are_followed() {
        let tree = Tree::new(
            "path",
            &[
                "bin/ls",
                "own/initdb",
                "own/pg_ctl",
                "own/postgres",
                "debian/17/bin/initdb",
                "debian/17/bin/pg_ctl",
                "debian/17/bin/postgres",
            ],
        );
        std::os::unix::fs::symlink(tree.0.join("own/initdb"), tree.0.join("bin/initdb")).unwrap();
        assert_eq!(tree.find("nowhere:bin"), Some(PathBuf::from("own")));
    }
}
