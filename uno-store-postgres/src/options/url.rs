//! Reads a URL without ever repeating it.

use sqlx::postgres::PgConnectOptions;

use crate::{SchemaName, SchemaNameError};

/// The parameters that are handed to the driver. It ignores others, and logs their values.
const KNOWN: [&str; 11] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

/// Why a text is not a URL of a store. Never repeats the text, which may have a password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PgOptionsError {
    /// It does not begin with `postgres://` or `postgresql://`.
    #[error("the URL of a Postgres store begins with postgres://")]
    Scheme,
    /// It is not a URL, or one of its parts is not what it must be.
    #[error("the URL of the Postgres store is malformed")]
    Malformed,
    /// It has a parameter that is not known.
    #[error("parameter number {0} of the URL of the Postgres store is not known")]
    UnknownParameter(usize),
    /// The schema is not a name for one.
    #[error(transparent)]
    Schema(#[from] SchemaNameError),
}

pub(super) fn parse(url: &str) -> Result<(PgConnectOptions, SchemaName), PgOptionsError> {
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(PgOptionsError::Scheme);
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut schema = SchemaName::default();
    let mut kept = Vec::new();
    for (number, parameter) in query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .enumerate()
    {
        match parameter.split_once('=') {
            Some(("schema", name)) => schema = SchemaName::new(name)?,
            Some((key, _)) if KNOWN.contains(&key) => kept.push(parameter),
            // What follows the question mark may be a piece of a password that was not encoded: say its place only.
            _ => return Err(PgOptionsError::UnknownParameter(number + 1)),
        }
    }
    let url = if kept.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{}", kept.join("&"))
    };
    // The driver's error might repeat a part of the URL, so it is dropped.
    let options = url.parse().map_err(|_| PgOptionsError::Malformed)?;
    Ok((options, schema))
}

#[cfg(test)]
mod tests {
    use crate::{PgOptions, PgOptionsError};

    #[test]
    fn unknown_parameters_are_refused_without_repeating_them() {
        let check = |url: &str, expected: PgOptionsError| {
            let error = PgOptions::from_url(url).unwrap_err();
            assert_eq!(error, expected, "{url}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{url}");
        };
        check(
            "postgres://u@h/d?sslmod=require",
            PgOptionsError::UnknownParameter(1),
        );
        check(
            "postgres://u@h/d?sslmode=require&canary=1",
            PgOptionsError::UnknownParameter(2),
        );
        check(
            "postgres://u:p?canary@h/d",
            PgOptionsError::UnknownParameter(1),
        );
        check("postgres://u:canary@h:port/d", PgOptionsError::Malformed);
        check(
            "postgres://u:canary@h/d?sslmode=canary",
            PgOptionsError::Malformed,
        );
        check("mysql://u:canary@h/d", PgOptionsError::Scheme);
        assert!(matches!(
            PgOptions::from_url("postgres://u@h/d?schema=A"),
            Err(PgOptionsError::Schema(_))
        ));
    }

    #[test]
    fn the_password_is_never_shown() {
        let options =
            PgOptions::from_url("postgres://user:canary@host:1/db?schema=s&sslmode=disable")
                .unwrap();
        assert_eq!(options.location(), "postgres://host:1/db (schema s)");
        assert!(!format!("{options:?}").contains("canary"));
    }
}
