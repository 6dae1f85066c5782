//! Parsers of `X-Forwarded-For` and `Forwarded` (RFC 7239). Both list the hops of a request from left to right; a hop
//! that is not an address is unknown. Callers can send arbitrary text in these headers and proxies append on the right:
//! so the result for the right end must not depend on well-formed text to its left.

use std::net::{IpAddr, Ipv6Addr};

/// The address that a proxy received the request from; none if it is hidden, unknown or not valid.
pub(super) type ForwardedHop = Option<IpAddr>;

/// Returns the hops of one `X-Forwarded-For` line: addresses separated by commas. Empty elements are skipped (RFC 9110
/// section 5.6.1).
pub(super) fn parse_x_forwarded_for(line: &str) -> Vec<ForwardedHop> {
    line.split(',').map(str::trim).filter(|node| !node.is_empty()).map(parse_node).collect()
}

/// Returns the hops of one `Forwarded` line. A line with a syntax error is one unknown hop, because an unclosed quote
/// hides what proxies appended after it.
pub(super) fn parse_forwarded(line: &str) -> Vec<ForwardedHop> {
    parse_elements(line).unwrap_or_else(|| vec![None])
}

/// RFC 7239 section 4: elements separated by commas, pairs of name and value separated by semicolons.
fn parse_elements(line: &str) -> Option<Vec<ForwardedHop>> {
    let (mut rest, mut element, mut hops) = (line, Vec::new(), Vec::new());
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with([',', ';']) {
            let (name, value, after) = parse_pair(rest)?;
            element.push((name, value));
            rest = after.trim_start_matches([' ', '\t']);
        }
        if let Some(after) = rest.strip_prefix(';') {
            rest = after;
            continue;
        }
        if !element.is_empty() {
            hops.push(find_source(&element));
            element.clear();
        }
        if rest.is_empty() {
            return Some(hops);
        }
        rest = rest.strip_prefix(',')?;
    }
}

/// Returns the `for` address of an element; none if it has several.
fn find_source(element: &[(&str, String)]) -> ForwardedHop {
    let mut sources = element.iter().filter(|(name, _)| name.eq_ignore_ascii_case("for"));
    match (sources.next(), sources.next()) {
        (Some((_, one)), None) => parse_node(one),
        _ => None,
    }
}

/// Parses a pair of name and value. Returns it with the remaining text.
fn parse_pair(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_once('=')?;
    let is_token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !is_token {
        return None;
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, after) = parse_quoted_string(quoted)?;
        return Some((name, value, after));
    }
    let end = rest.find([',', ';', ' ', '\t', '"']).unwrap_or(rest.len());
    let (value, after) = rest.split_at(end);
    (!value.is_empty() && !after.starts_with('"')).then(|| (name, value.to_owned(), after))
}

/// RFC 9110 section 5.6.4, after the opening quote. Returns the value and the remaining text.
fn parse_quoted_string(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, character)) = chars.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// RFC 7239 section 6 and the common forms of `X-Forwarded-For`: an address with an optional port.
fn parse_node(text: &str) -> ForwardedHop {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, after) = if let Some(bracketed) = text.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']')?;
        (IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), after)
    } else {
        let (address, _) = text.split_once(':')?;
        (IpAddr::V4(address.parse().ok()?), &text[address.len()..])
    };
    let is_valid = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
    is_valid.then(|| address.to_canonical())
}

/// Returns whether the text is a port: a number, or an obfuscated name that begins with an underscore.
fn is_port(text: &str) -> bool {
    let is_number = !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let hidden = text.strip_prefix('_').unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    is_number || !hidden.is_empty() && hidden.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_may_have_ports_and_brackets() {
        for (given, address) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:4711", "192.0.2.7"),
            ("192.0.2.7:_port", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("[2001:DB8::7]:_x.y-z", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("[::ffff:192.0.2.7]:1", "192.0.2.7"),
        ] {
            assert_eq!(parse_node(given), Some(at(address)), "{given}");
        }
    }

    #[test]
    fn text_that_is_not_an_address_is_unknown() {
        for given in [
            "unknown",
            "_hidden",
            "localhost",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.7:",
            "192.0.2.7:x",
            "192.0.2.7:123456",
            "192.0.2.7:1:2",
            "[192.0.2.7]",
            "[2001:db8::7",
            "2001:db8::7]",
            "[2001:db8::7]x",
            "[2001:db8::7]:",
            "fe80::1%eth0",
            "::ffff:192.0.2.7:80",
            "192.0.2.7 192.0.2.8",
            "0x7f.1",
            "١.٢.٣.٤",
        ] {
            assert_eq!(parse_node(given), None, "{given}");
        }
    }

    #[test]
    fn empty_list_elements_are_skipped() {
        let expected = vec![Some(at("192.0.2.1")), None, Some(at("192.0.2.2"))];
        assert_eq!(parse_x_forwarded_for("192.0.2.1 ,, unknown,\t192.0.2.2:80 ,"), expected);
        assert_eq!(parse_x_forwarded_for(" , "), []);
    }

    #[test]
    fn the_examples_of_the_rfc_are_parsed() {
        for (given, hops) in [
            ("for=\"_gazonk\"", vec![None]),
            ("For=\"[2001:db8:cafe::17]:4711\"", vec![Some(at("2001:db8:cafe::17"))]),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", vec![Some(at("192.0.2.60"))]),
            ("for=192.0.2.43, for=198.51.100.17", vec![Some(at("192.0.2.43")), Some(at("198.51.100.17"))]),
            (
                "for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown",
                vec![Some(at("192.0.2.43")), Some(at("2001:db8:cafe::17")), None],
            ),
            ("proto=https;by=_x", vec![None]),
            ("for=192.0.2.1;for=192.0.2.2", vec![None]),
            ("for=\"192.0.2.1\\\"\"", vec![None]),
            ("for=\"192\\.0.2.1:80\" ; proto=https", vec![Some(at("192.0.2.1"))]),
            ("", vec![]),
            (", ,for=192.0.2.1,", vec![Some(at("192.0.2.1"))]),
        ] {
            assert_eq!(parse_forwarded(given), hops, "{given}");
        }
    }

    #[test]
    fn a_line_with_a_syntax_error_is_one_unknown_hop() {
        for given in [
            "for",
            "for=",
            "=x",
            "for=\"192.0.2.1",
            "for=\"192.0.2.1\\",
            "for=\"a\"b, for=192.0.2.1",
            "for=a\"b\", for=192.0.2.1",
            "for=192.0.2.1 for=192.0.2.2",
            "192.0.2.1",
            "192.0.2.9, for=192.0.2.1",
        ] {
            assert_eq!(parse_forwarded(given), [None], "{given}");
        }
    }

    proptest! {
        #[test]
        fn text_before_the_last_entry_does_not_change_it(noise in "\\PC*") {
            let line = format!("{noise}, 192.0.2.7");
            prop_assert_eq!(parse_x_forwarded_for(&line).pop(), Some(Some(at("192.0.2.7"))));
        }

        /// The element of a proxy is parsed correctly or not at all: text of a caller before it, such as an unclosed
        /// quote, cannot change its address.
        #[test]
        fn a_caller_cannot_change_the_element_of_a_proxy(
            noise in "[fory=\",;:\\[\\]\\\\ 0-9.]{0,40}",
            address in prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)],
        ) {
            let added = match address {
                IpAddr::V4(v4) => format!("for={v4};proto=https"),
                IpAddr::V6(v6) => format!("for=\"[{v6}]:80\";proto=https"),
            };
            let last = parse_forwarded(&format!("{noise}, {added}")).last().copied().flatten();
            prop_assert!(last.is_none() || last == Some(address.to_canonical()), "{last:?}");
        }

        #[test]
        fn any_text_is_parsed_without_panic(text in "\\PC*") {
            parse_forwarded(&text);
            parse_x_forwarded_for(&text);
        }

        #[test]
        fn a_hundred_entries_keep_their_order(octets in prop::collection::vec(any::<[u8; 4]>(), 100)) {
            let addresses: Vec<IpAddr> = octets.into_iter().map(IpAddr::from).collect();
            let hops: Vec<ForwardedHop> = addresses.iter().copied().map(Some).collect();
            let plain: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            prop_assert_eq!(parse_x_forwarded_for(&plain.join(", ")), hops.clone());
            prop_assert_eq!(parse_forwarded(&format!("for={}", plain.join(",for="))), hops);
        }
    }
}
