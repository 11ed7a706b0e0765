//! `#[derive(Command)]` and `#[derive(CommandSet)]`.

use serde::{Deserialize, Serialize};
use uno_core::{Command, CommandSet};

#[derive(Command, Serialize, Deserialize)]
struct ChargePayment {
    cents: i64,
}

#[derive(Command, Serialize, Deserialize)]
#[command(name = "shipping.ship_order")]
struct ShipOrder;

#[derive(CommandSet)]
enum FulfilmentCommand {
    Charge(ChargePayment),
    Ship(ShipOrder),
}

#[test]
fn the_name_is_made_from_the_type_unless_it_is_given() {
    assert_eq!(ChargePayment::NAME, "charge_payment");
    assert_eq!(ShipOrder::NAME, "shipping.ship_order");
}

#[test]
fn a_set_knows_its_commands_and_each_travels_as_itself() {
    assert_eq!(
        FulfilmentCommand::COMMANDS,
        [ChargePayment::DESCRIPTOR, ShipOrder::DESCRIPTOR]
    );
    let check = |command: FulfilmentCommand, name: &str, payload: &str| {
        assert_eq!(command.descriptor().name(), name);
        let encoded = command.encode().unwrap();
        assert_eq!(
            (encoded.name().as_str(), encoded.payload().as_str()),
            (name, payload)
        );
    };
    check(
        ChargePayment { cents: 1999 }.into(),
        "charge_payment",
        r#"{"cents":1999}"#,
    );
    check(ShipOrder.into(), "shipping.ship_order", "null");
}

mod renamed {
    use serde::{Deserialize, Serialize};
    use uno_core as framework;

    #[derive(uno_macros::UnoCommand, Serialize, Deserialize)]
    #[command(crate = "framework")]
    pub(super) struct OpenDoor {}

    #[derive(framework::CommandSet)]
    #[command(crate = "framework")]
    pub(super) enum Sent {
        Open(OpenDoor),
    }
}

#[test]
fn the_crate_may_go_by_another_name() {
    assert_eq!(
        renamed::Sent::from(renamed::OpenDoor {})
            .descriptor()
            .name(),
        "open_door"
    );
}
