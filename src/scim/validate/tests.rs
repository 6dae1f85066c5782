//! The data types of RFC 7643 section 2.3, and extensions that must be there.

use serde_json::json;

use super::*;
use crate::scim::schema::USER_TYPE;

#[test]
fn a_value_is_of_its_kind_or_refused() {
    let fits = |kind, value: Value| match simple(kind, &value, format_args!("x")) {
        Ok(kept) => {
            assert_eq!(kept, value, "a value is kept as it came");
            true
        }
        Err(_) => false,
    };
    let read = |text: &str| super::super::json::read(text.as_bytes()).unwrap();
    for (number, whole) in [("0", true), ("-7", true), ("1.0", false), ("1e2", false), ("0.5", false)] {
        assert_eq!(fits(Kind::Integer, read(number)), whole, "{number}");
        assert!(fits(Kind::Decimal, read(number)), "{number}");
    }
    assert_eq!(read("0.1").to_string(), "0.1");
    for (text, moment) in
        [("2026-01-31T12:00:00Z", true), ("2026-01-31T12:00:00.5+02:00", true), ("2026-01-31", false), ("noon", false)]
    {
        assert_eq!(fits(Kind::DateTime, json!(text)), moment, "{text}");
    }
    for (text, base64) in [("TWFu", true), ("TWE=", true), ("TWE", true), ("TQ==", true), ("T", false), ("a_b-", false)]
    {
        assert_eq!(fits(Kind::Binary, json!(text)), base64, "{text}");
    }
    assert!(!fits(Kind::String, json!(5)) && !fits(Kind::Integer, json!("5")) && !fits(Kind::Reference, json!({})));
}

#[test]
fn an_extension_that_is_required_must_be_there() {
    let mut of = (**USER_TYPE).clone();
    of.extensions[0].required = true;
    let uri = of.extensions[0].schema.id.clone();
    let refused = resource(&json!({"userName": "x"}), &of, Rules::LENIENT).unwrap_err();
    assert!(refused.status == 400 && refused.detail.contains(&*uri), "{refused}");
    let body = json!({"userName": "x", &*uri: {"department": "d"}});
    assert!(resource(&body, &of, Rules::LENIENT).is_ok());
}

#[test]
fn a_password_is_never_among_the_attributes_and_goes_on_where_it_is_kept() {
    let keeping = Rules { keep_passwords: true, ..Rules::LENIENT };
    let read = |body: Value, rules| resource(&body, &USER_TYPE, rules).unwrap();
    let set = Some(Password::Clear(password::prepared("a")));
    for (body, rules, want) in [
        (json!({"userName": "x", "password": "a"}), keeping, set.clone()),
        (json!({"userName": "x", "PassWord": "a"}), keeping, set),
        (json!({"userName": "x", "password": null}), keeping, None),
        (json!({"userName": "x"}), keeping, None),
        (json!({"userName": "x", "password": "a"}), Rules::LENIENT, None),
    ] {
        let draft = read(body, rules);
        assert_eq!(draft.password, want);
        assert!(!draft.attributes.contains_key("password"));
        assert_eq!(
            draft.notes.as_slice().contains(&"password: accepted and thrown away".to_owned()),
            !rules.keep_passwords
        );
    }
    assert!(resource(&json!({"userName": "x", "password": ""}), &USER_TYPE, keeping).is_err());
}
