//! `typed_id!`.

use proptest::prelude::*;
use uno_core::StreamId;
use uno_domain::typed_id;

typed_id! {
    /// Names one order.
    pub(crate) struct OrderId;
    struct PrivateId;
}

fn order_ids() -> impl Strategy<Value = OrderId> {
    any::<u128>().prop_map(|bits| OrderId::from_uuid(uuid::Uuid::from_u128(bits)))
}

proptest! {
    #[test]
    fn text_and_json_read_back_equal(id in order_ids()) {
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(&json, &format!("\"{id}\""));
        prop_assert_eq!(serde_json::from_str::<OrderId>(&json).unwrap(), id);
    }

    #[test]
    fn every_id_is_the_key_of_a_stream(id in order_ids()) {
        let stream = StreamId::new("order", id.to_string()).unwrap();
        prop_assert_eq!(stream.key().parse(), Ok(id));
    }
}

#[test]
fn what_is_no_id_is_refused() {
    for text in [
        "",
        "7",
        "order",
        "67e55044-10b1-426f-9247-bb680e5fe0c",
        " 67e55044-10b1-426f-9247-bb680e5fe0c8",
    ] {
        let error = text.parse::<OrderId>().unwrap_err();
        assert_eq!(error.text(), text);
        assert_eq!(
            error.to_string(),
            format!("{text:?} is not a valid OrderId")
        );
        assert!(serde_json::from_value::<OrderId>(text.into()).is_err());
    }
    assert!(serde_json::from_str::<OrderId>("7").is_err());
}

#[test]
fn new_ids_differ_and_rise() {
    let ids: Vec<OrderId> = (0..1000).map(|_| OrderId::new()).collect();
    assert!(ids.is_sorted_by(|one, next| one < next));
    assert_eq!(ids[0].as_uuid().get_version_num(), 7);
}

#[test]
fn debug_says_of_what_it_is_the_id() {
    let id = PrivateId::from_uuid(uuid::Uuid::nil());
    assert_eq!(
        format!("{id:?}"),
        "PrivateId(00000000-0000-0000-0000-000000000000)"
    );
}
