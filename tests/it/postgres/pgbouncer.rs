//! A PgBouncer of the tests' own, in transaction mode, before the server that `DATABASE_URL` names.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};

use sqlx::postgres::PgConnectOptions;

/// How many connections to the server all clients share: fewer than any test has clients, so that they really change hands.
pub(crate) const SERVER_CONNECTIONS: u32 = 3;

/// The URL of this process's PgBouncer, which is started at the first call.
pub(crate) fn pooler_url() -> &'static str {
    static POOLER: OnceLock<Pooler> = OnceLock::new();
    &POOLER.get_or_init(Pooler::start).url
}

struct Pooler {
    url: String,
    /// Ends PgBouncer when this process ends, however it does: its input is then closed.
    _keeper: Child,
}

impl Pooler {
    fn start() -> Self {
        let program = find();
        let server: PgConnectOptions = super::database_url().parse().unwrap();
        // Another process may take the free port first.
        for _ in 0..5 {
            let port =
                TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|port| port.local_addr());
            let port = port.unwrap().port();
            let mut keeper = launch(&program, port);
            while keeper.try_wait().unwrap().is_none() {
                if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                    let database = server.get_database().unwrap_or("postgres");
                    return Self {
                        url: format!(
                            "postgres://anybody@127.0.0.1:{port}/{database}?sslmode=disable"
                        ),
                        _keeper: keeper,
                    };
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
        panic!(
            "PgBouncer did not start: run {} by hand to see why",
            program.display()
        );
    }
}

fn launch(program: &Path, port: u16) -> Child {
    let folder = tempfile::Builder::new()
        .prefix("uno-pgbouncer-")
        .tempdir()
        .unwrap()
        .keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let file = folder.join("pgbouncer.ini");
    fs::write(&file, settings(port)).unwrap();
    // It refuses to run as root, and takes another account instead.
    let account = if is_root() { "-u nobody" } else { "" };
    let keep = "exec 3<&0; \"$1\" -q $3 \"$2/pgbouncer.ini\" & pooler=$!; \
        { read -r _ <&3; kill -9 $pooler; } & wait $pooler; rm -rf \"$2\"";
    Command::new("sh")
        .args(["-c", keep, "sh"])
        .arg(program)
        .arg(&folder)
        .arg(account)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn settings(port: u16) -> String {
    let url = super::database_url();
    let server: PgConnectOptions = url.parse().unwrap();
    let password = url
        .split_once("://")
        .and_then(|(_, rest)| rest.rsplit_once('@'))
        .and_then(|(user, _)| user.split_once(':'))
        .map_or_else(String::new, |(_, password)| {
            format!(" password='{password}'")
        });
    format!(
        "[databases]\n* = host={} port={} user={}{password}\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
         pool_mode = transaction\ndefault_pool_size = {SERVER_CONNECTIONS}\nmax_client_conn = 500\n",
        server.get_host(),
        server.get_port(),
        server.get_username(),
    )
}

fn find() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian puts it in a folder that is not on everybody's PATH.
    env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join("pgbouncer"))
        .find(|program| program.is_file())
        .expect("no pgbouncer found: install it (Debian: apt-get install pgbouncer), or run the tests by cargo xtask test")
}

fn is_root() -> bool {
    let own = Command::new("id").arg("-u").output().unwrap();
    own.stdout.trim_ascii() == b"0"
}
