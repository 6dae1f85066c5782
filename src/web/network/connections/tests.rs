//! Tests of the limits of connections.

use std::net::TcpStream as StdStream;

use super::*;

fn limits(max: usize, max_per_address: usize) -> ConnectionLimits {
    ConnectionLimits { max, max_per_address, proxies: Vec::new(), limits_loopback: true, table: Mutex::default() }
}

fn address(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}

/// A connection with a real socket, so that it may be closed.
fn connection(holder: IpAddr, is_proxy: bool) -> OpenConnection {
    let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    OpenConnection { holder, is_proxy, socket: Some(socket), activity: Arc::default() }
}

fn add(limits: &ConnectionLimits, number: u8, now: Millis) -> Option<u64> {
    limits.try_add(connection(address(number), false), now)
}

#[test]
fn an_address_has_a_limited_number_of_connections_and_gets_them_back() {
    let limits = limits(100, 2);
    let (first, second) = (add(&limits, 1, 0), add(&limits, 1, 0));
    assert!(first.is_some() && second.is_some() && add(&limits, 1, 0).is_none());
    let other = add(&limits, 2, 0);
    limits.lock().remove(first.unwrap());
    let third = add(&limits, 1, 0);
    assert!(third.is_some() && add(&limits, 1, 0).is_none());
    for id in [second, third, other] {
        limits.lock().remove(id.unwrap());
    }
    let table = limits.lock();
    assert!(table.per_address.is_empty() && table.open.is_empty(), "an address without connections has no entry");
}

#[test]
fn a_proxy_and_by_default_loopback_have_no_share() {
    let mut limits = limits(100, 2);
    limits.limits_loopback = false;
    for _ in 0..10 {
        assert!(limits.try_add(connection(address(1), true), 0).is_some());
        assert!(limits.try_add(connection(IpAddr::from([127, 0, 0, 1]), false), 0).is_some());
    }
}

#[test]
fn the_connection_with_the_longest_idle_time_gives_way() {
    let limits = limits(20, 100);
    let ids: Vec<u64> = (0..18).map(|number| add(&limits, number, Millis::from(number)).unwrap()).collect();
    // The first one has a request, the second one a credential: the third one is closed.
    {
        let table = limits.lock();
        table.open[&ids[0]].activity.requests.store(1, Ordering::Relaxed);
        table.open[&ids[1]].activity.credential_at.store(1, Ordering::Relaxed);
    }
    assert!(add(&limits, 50, 100).is_some());
    let table = limits.lock();
    assert_eq!(table.open.len(), 18);
    assert!(table.open.contains_key(&ids[0]) && table.open.contains_key(&ids[1]) && !table.open.contains_key(&ids[2]));
}

#[test]
fn addresses_with_a_recent_credential_have_a_reserve() {
    let limits = limits(20, 100);
    limits.lock().recent.record(address(200), 0);
    for number in 0..18 {
        let id = add(&limits, number, 0).unwrap();
        limits.lock().open[&id].activity.requests.store(1, Ordering::Relaxed);
    }
    assert!(add(&limits, 19, 1).is_none(), "the reserve is not for an address without a credential");
    assert!(add(&limits, 200, 1).is_some() && add(&limits, 200, 1).is_some());
    assert_eq!(limits.lock().open.len(), 20);
}

#[test]
fn an_incomplete_next_request_is_closed_after_the_idle_time() {
    let limits = limits(20, 100);
    let (idle, busy) = (add(&limits, 1, 0).unwrap(), add(&limits, 2, 0).unwrap());
    limits.lock().open[&busy].activity.requests.store(1, Ordering::Relaxed);
    assert_eq!((limits.close_stalled(80_000), limits.close_stalled(80_001)), (0, 1));
    limits.lock().remove(idle);
    assert_eq!(limits.close_stalled(1_000_000), 0);
}

#[test]
fn the_head_of_each_request_has_the_same_deadline() {
    let limits = limits(20, 100);
    let ids: Vec<u64> = (0..3).map(|number| add(&limits, number, 0).unwrap()).collect();
    let begin_head = |id: &u64, now| limits.lock().open[id].activity.head_since.store(now, Ordering::Relaxed);
    begin_head(&ids[0], 60_000);
    // The second one is in a request, the third one idle.
    begin_head(&ids[1], 60_000);
    limits.lock().open[&ids[1]].activity.requests.store(1, Ordering::Relaxed);
    assert_eq!((limits.close_stalled(65_000), limits.close_stalled(65_001)), (0, 1));
}

#[test]
fn only_bytes_between_requests_begin_a_head() {
    let activity = ConnectionActivity::default();
    activity.requests.store(1, Ordering::Relaxed);
    activity.record_bytes();
    assert_eq!(activity.head_since.load(Ordering::Relaxed), 0, "the bytes of a body");
    activity.requests.store(0, Ordering::Relaxed);
    activity.record_bytes();
    let begun = activity.head_since.load(Ordering::Relaxed);
    activity.head_since.store(begun - 1_000, Ordering::Relaxed);
    activity.record_bytes();
    assert_eq!(activity.head_since.load(Ordering::Relaxed), begun - 1_000, "further bytes do not extend the time");
}

#[test]
fn a_network_of_64_bits_is_one_holder() {
    let key = |text: &str| limit_key(text.parse().unwrap()).to_string();
    assert_eq!(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    assert_eq!(key("192.0.2.1"), "192.0.2.1");
    assert_eq!(key("::1"), "::1");
}

#[test]
fn accepted_connections_send_without_delay() {
    let listener = bind_listener(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    assert!(accepted.nodelay().unwrap(), "TCP_NODELAY of an accepted connection");
    assert!(!client.nodelay().unwrap(), "it is off by default");
}
