//! Whom the server runs as: PostgreSQL refuses to run as root.

use std::ffi::OsStr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// The account that the server's programs run under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// The one that runs us.
    Ours,
    /// Another one, since we are root.
    Other {
        /// Its name, as the system knows it.
        name: String,
    },
}

impl Account {
    /// The account for this machine; no user is created.
    pub(super) fn choose() -> Result<Self> {
        if !we_are_root() {
            return Ok(Self::Ours);
        }
        // `nobody` serves where somebody built the server from source and made no account for it.
        for name in ["postgres", "nobody"] {
            if id("-u", name).is_some() {
                return Ok(Self::named(name));
            }
        }
        bail!("PostgreSQL does not run as root, and there is no user postgres or nobody to run it");
    }

    /// The account that [`Account::name`] stands for.
    pub(super) fn named(name: &str) -> Self {
        if name.is_empty() {
            Self::Ours
        } else {
            Self::Other { name: name.into() }
        }
    }

    /// Its name, empty for ours.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Ours => "",
            Self::Other { name } => name,
        }
    }

    /// Makes `path` this account's own.
    pub(super) fn give(&self, path: &Path) -> Result<()> {
        let Self::Other { name } = self else {
            return Ok(());
        };
        let user = id("-u", name).with_context(|| format!("no user {name}"))?;
        let group = id("-g", name).with_context(|| format!("user {name} has no group"))?;
        chown(path, Some(user), Some(group))
            .with_context(|| format!("failed to give {} to {name}", path.display()))
    }

    /// A command that runs `program` under this account, in `folder`, and apart from the caller's own database settings.
    pub(super) fn command(&self, program: impl AsRef<OsStr>, folder: &Path) -> Command {
        let mut command = match self {
            Self::Ours => Command::new(program),
            Self::Other { name } => {
                let mut command = switch_to(name);
                command.arg(program);
                command
            }
        };
        // The caller's folder is often closed to the server's account, which then complains.
        command.current_dir(folder).stdin(Stdio::null());
        // Ctrl-C is for us to act on: half a start would look like a port that is taken.
        command.process_group(0);
        super::cluster::forget_libpq_settings(&mut command);
        command
    }
}

/// Whether this process has root's rights.
pub(crate) fn we_are_root() -> bool {
    let own = Command::new("id").arg("-u").output();
    own.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// The command that runs what follows it as another user.
fn switch_to(name: &str) -> Command {
    let has_setpriv = Command::new("setpriv")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    // `setpriv` only changes the ids; `runuser` also opens a login session, so it comes second.
    if let (true, Some(group)) = (has_setpriv, id("-g", name)) {
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={name}"))
            .arg(format!("--regid={group}"))
            .arg("--init-groups");
        command
    } else {
        let mut command = Command::new("runuser");
        command.args(["-u", name, "--"]);
        command
    }
}

fn id(kind: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([kind, name]).output().ok()?;
    str::from_utf8(&output.stdout).ok()?.trim().parse().ok()
}
