//! What the programs say, word for word.

use std::process::Command;

fn check(program: &str, expected: &str) {
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        said, expected,
        "{program} says otherwise; if it should, its output is the new file in tests/golden"
    );
}

macro_rules! golden {
    ($($name:ident),+ $(,)?) => {$(
        #[test]
        fn $name() {
            check(
                env!(concat!("CARGO_BIN_EXE_", stringify!($name))),
                include_str!(concat!("../golden/", stringify!($name), ".txt")),
            );
        }
    )+};
}

golden!(approval, dispatch, fulfilment, reminder, trip);
