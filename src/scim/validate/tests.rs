//! The data types of RFC 7643 section 2.3, and required extensions.

use serde_json::json;

use super::*;
use crate::scim::schema::USER_TYPE;

#[test]
fn a_value_of_the_wrong_type_is_rejected() {
    let fits = |kind, value: Value| match read_simple(kind, &value, format_args!("x")) {
        Ok(read) => {
            assert_eq!(read, value, "a value is read unchanged");
            true
        }
        Err(_) => false,
    };
    let read = |text: &str| super::super::json::parse_json(text.as_bytes()).unwrap();
    for (number, whole) in [("0", true), ("-7", true), ("1.0", false), ("1e2", false), ("0.5", false)] {
        assert_eq!(fits(DataType::Integer, read(number)), whole, "{number}");
        assert!(fits(DataType::Decimal, read(number)), "{number}");
    }
    assert_eq!(read("0.1").to_string(), "0.1");
    for (text, valid) in
        [("2026-01-31T12:00:00Z", true), ("2026-01-31T12:00:00.5+02:00", true), ("2026-01-31", false), ("noon", false)]
    {
        assert_eq!(fits(DataType::DateTime, json!(text)), valid, "{text}");
    }
    for (text, base64) in [("TWFu", true), ("TWE=", true), ("TWE", true), ("TQ==", true), ("T", false), ("a_b-", false)]
    {
        assert_eq!(fits(DataType::Binary, json!(text)), base64, "{text}");
    }
    assert!(
        !fits(DataType::String, json!(5))
            && !fits(DataType::Integer, json!("5"))
            && !fits(DataType::Reference, json!({}))
    );
}

#[test]
fn a_required_extension_must_be_present() {
    let mut of = (**USER_TYPE).clone();
    of.extensions[0].required = true;
    let uri = of.extensions[0].schema.id.clone();
    let refused = read_resource(&json!({"userName": "x"}), &of, DialectRules::LENIENT).unwrap_err();
    assert!(refused.status() == 400 && refused.to_string().contains(&*uri), "{refused}");
    let body = json!({"userName": "x", &*uri: {"department": "d"}});
    assert!(read_resource(&body, &of, DialectRules::LENIENT).is_ok());
}

#[test]
fn a_password_is_never_an_attribute_and_is_returned_if_passwords_are_stored() {
    let storing = DialectRules { store_passwords: true, ..DialectRules::LENIENT };
    let read = |body: Value, rules| read_resource(&body, &USER_TYPE, rules).unwrap();
    let set = Some(PasswordChange::SetClearText(password::normalize_password("a")));
    for (body, rules, expected) in [
        (json!({"userName": "x", "password": "a"}), storing, set.clone()),
        (json!({"userName": "x", "PassWord": "a"}), storing, set),
        (json!({"userName": "x", "password": null}), storing, None),
        (json!({"userName": "x"}), storing, None),
        (json!({"userName": "x", "password": "a"}), DialectRules::LENIENT, None),
    ] {
        let draft = read(body, rules);
        assert_eq!(draft.password, expected);
        assert!(!draft.attributes.contains_key("password"));
        assert_eq!(
            draft.notes.as_slice().iter().any(|note| note.to_string() == "value_discarded password"),
            !rules.store_passwords
        );
    }
    assert!(read_resource(&json!({"userName": "x", "password": ""}), &USER_TYPE, storing).is_err());
}
