//! TCP connections: limits in total and per address, and timeouts of idle connections. When connections are scarce, the
//! idle ones without a valid credential are closed first, and addresses that used a valid credential recently have a
//! reserve.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use ipnet::IpNet;
use socket2::{SockRef, Socket, TcpKeepalive};
use tokio::time::timeout;

use super::client_stream::{ClientStream, ConnectionActivity};
use super::recent_credentials::RecentCredentials;
use crate::clock::{self, Millis};
use crate::error::{Error, Reason, Result};
use crate::settings::Settings;
use crate::web::limits::{HEAD_DEADLINE, KEEP_ALIVE};
use crate::web::network::proxies::is_within;

/// Length of the accept queue; the kernel may allow less (`net.core.somaxconn`).
const BACKLOG: i32 = 1_024;
/// How long sent data may stay unacknowledged before the kernel closes the connection (`TCP_USER_TIMEOUT`, Linux only).
#[cfg(target_os = "linux")]
pub(crate) const UNREAD_MAX: Duration = Duration::from_secs(20);
/// Idle time before the first keepalive probe, and the interval of further probes.
const PROBE_AFTER: Duration = Duration::from_mins(1);
const PROBE_EVERY: Duration = Duration::from_secs(15);
/// Shortest interval between warnings about refused connections.
const WARN_EVERY: Millis = 60 * 1000;
/// Part of the connections that only addresses with a recent valid credential may use.
const RESERVE_DIVISOR: usize = 10;
/// Shortest interval between two records of a valid credential on one connection.
const RECORD_EVERY: Millis = 60 * 1000;
/// Interval of the search for connections whose next request is late. It needs about 10 ms for 100,000 connections.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Interval of the search for connections to close while the server stops.
const STOP_SWEEP_EVERY: Duration = Duration::from_millis(200);
/// How long a connection without a request is left open while the server stops: its last response may still be sent.
const STOP_IDLE_MAX: Millis = 1_000;
/// How long a body may be received while the server stops.
const STOP_BODY_MAX: Millis = 2_000;
/// Interval in which a longer read checks whether its client is still connected.
const CONNECTED_CHECK_EVERY: Duration = Duration::from_millis(100);
/// Response to a connection above the limit, if it is not encrypted.
const TOO_MANY_CONNECTIONS: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The open connections and their limits.
pub struct ConnectionLimits {
    max: usize,
    max_per_address: usize,
    /// Networks without a limit per address: a proxy carries the requests of many clients.
    proxies: Vec<IpNet>,
    /// Whether the limit per address applies to loopback addresses.
    limits_loopback: bool,
    table: Mutex<ConnectionTable>,
}

#[derive(Default)]
struct ConnectionTable {
    next_id: u64,
    open: HashMap<u64, OpenConnection>,
    per_address: HashMap<IpAddr, usize>,
    recent: RecentCredentials,
    warned_at: Millis,
}

/// An open connection in the table.
struct OpenConnection {
    holder: IpAddr,
    is_proxy: bool,
    /// A second handle, with which the connection can be closed; none if there are no file descriptors left.
    socket: Option<Socket>,
    activity: Arc<ConnectionActivity>,
}

/// One counted connection; released on drop.
struct SocketSlot {
    limits: Arc<ConnectionLimits>,
    id: u64,
    holder: IpAddr,
    activity: Arc<ConnectionActivity>,
}

impl Drop for SocketSlot {
    fn drop(&mut self) {
        let removed = self.limits.lock().remove(self.id);
        drop(removed);
    }
}

/// A request of a connection, until its response is complete. A connection with a request is not idle.
pub struct ActiveRequest(Option<Arc<ConnectionActivity>>);

impl ActiveRequest {
    /// Begins the request.
    pub fn begin(request: &HttpRequest) -> Self {
        let activity = request.conn_data::<SocketSlot>().map(|slot| Arc::clone(&slot.activity));
        if let Some(activity) = &activity {
            activity.requests.fetch_add(1, Ordering::Relaxed);
            activity.head_since.store(0, Ordering::Relaxed);
        }
        Self(activity)
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        if let Some(activity) = &self.0 {
            activity.idle_since.store(clock::current_millis(), Ordering::Relaxed);
            activity.requests.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The body of a request while it is received.
pub(in crate::web) struct IncomingBody(Option<Arc<ConnectionActivity>>);

impl IncomingBody {
    pub(in crate::web) fn begin(request: &HttpRequest) -> Self {
        let activity = request.conn_data::<SocketSlot>().map(|slot| Arc::clone(&slot.activity));
        if let Some(activity) = &activity {
            activity.body_since.store(clock::current_millis(), Ordering::Relaxed);
        }
        Self(activity)
    }
}

impl Drop for IncomingBody {
    fn drop(&mut self) {
        if let Some(activity) = &self.0 {
            activity.body_since.store(0, Ordering::Relaxed);
        }
    }
}

/// Records that the request has a valid credential: its connection is not closed in favor of others, and its address
/// may use the reserve.
pub(in crate::web) fn record_credential(request: &HttpRequest) {
    let Some(slot) = request.conn_data::<SocketSlot>() else { return };
    let now = clock::current_millis();
    if now - slot.activity.credential_at.load(Ordering::Relaxed) >= RECORD_EVERY {
        slot.activity.credential_at.store(now, Ordering::Relaxed);
        slot.limits.lock().recent.record(slot.holder, now);
    }
}

/// Returns the address of the peer of a connection, which can be a proxy. `None` if it has already disconnected.
pub fn read_peer_address(stream: &ClientStream) -> Option<SocketAddr> {
    stream.stream.peer_addr().ok()
}

/// Runs the work of a read until its client closes the connection. Dropping the work ends its query.
///
/// # Errors
/// Errors of the work; `ClientDisconnected`.
pub(in crate::web) async fn run_while_connected<T>(
    request: &HttpRequest,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut work = pin!(work);
    loop {
        match timeout(CONNECTED_CHECK_EVERY, work.as_mut()).await {
            Ok(result) => return result,
            Err(_) if is_disconnected(request) => return Err(Error::new(Reason::ClientDisconnected)),
            Err(_) => {}
        }
    }
}

/// Whether the client has closed the connection, or its sending half: a client that waits for a response does neither.
fn is_disconnected(request: &HttpRequest) -> bool {
    let Some(slot) = request.conn_data::<SocketSlot>() else { return false };
    let table = slot.limits.lock();
    let Some(socket) = table.open.get(&slot.id).and_then(|one| one.socket.as_ref()) else { return false };
    let mut next = [MaybeUninit::uninit()];
    match socket.peek(&mut next) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

impl ConnectionLimits {
    /// Creates the limits from the settings.
    pub fn new(settings: &Settings) -> Self {
        let limits = settings.limits;
        Self {
            max: limits.sockets,
            max_per_address: limits.sockets_per_address,
            proxies: settings.trusted_proxies.clone(),
            limits_loopback: limits.limits_loopback,
            table: Mutex::default(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ConnectionTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a new connection, or closes it if there are too many. The count is released with `data`.
    pub fn admit(self: &Arc<Self>, stream: &ClientStream, is_encrypted: bool, data: &mut Extensions) {
        if !self.register(stream, data) {
            let socket = SockRef::from(&stream.stream);
            if !is_encrypted {
                // The response is optional: if it does not fit the send buffer, the closed connection is sufficient.
                let _ = socket.send(TOO_MANY_CONNECTIONS);
            }
            shut_down(&socket);
        }
    }

    fn register(self: &Arc<Self>, stream: &ClientStream, data: &mut Extensions) -> bool {
        // A peer that has already disconnected has no address.
        let Some(peer) = read_peer_address(stream) else { return true };
        let address = peer.ip().to_canonical();
        // The bytes so far were those of the TLS handshake.
        stream.activity.head_since.store(0, Ordering::Relaxed);
        let connection = OpenConnection {
            holder: limit_key(address),
            is_proxy: is_within(&self.proxies, address),
            socket: SockRef::from(&stream.stream).try_clone().ok(),
            activity: Arc::clone(&stream.activity),
        };
        let (holder, activity) = (connection.holder, Arc::clone(&connection.activity));
        let Some(id) = self.try_add(connection, clock::current_millis()) else { return false };
        data.insert(SocketSlot { limits: Arc::clone(self), id, holder, activity });
        true
    }

    /// Adds a connection. Returns its number, or `None` if there are too many.
    fn try_add(&self, connection: OpenConnection, now: Millis) -> Option<u64> {
        let OpenConnection { holder, is_proxy, .. } = connection;
        let has_share = !is_proxy && (self.limits_loopback || !holder.is_loopback());
        let mut closed = None;
        let mut table = self.lock();
        if has_share && table.per_address.get(&holder).is_some_and(|count| *count >= self.max_per_address) {
            table.warn(holder, now, "an address has reached its share of the connections; further ones are closed");
            return None;
        }
        let has_reserve = is_proxy || table.recent.contains(holder, now);
        let max = if has_reserve { self.max } else { self.max - self.max.div_ceil(RESERVE_DIVISOR) };
        if table.open.len() >= max {
            closed = table.remove_idle(now);
            // Beyond the reserve, the listener makes connections wait.
            if closed.is_none() && !has_reserve {
                table.warn(holder, now, "there are too many connections; further ones are closed");
                return None;
            }
        }
        let id = table.next_id;
        table.next_id += 1;
        connection.activity.idle_since.store(now, Ordering::Relaxed);
        if has_share {
            *table.per_address.entry(holder).or_default() += 1;
        }
        table.open.insert(id, connection);
        drop(table);
        if let Some(socket) = closed.and_then(|closed| closed.socket) {
            shut_down(&SockRef::from(&socket));
        }
        Some(id)
    }

    /// Closes the connections whose next head is not complete in time: `HEAD_DEADLINE` after its first byte, as for the
    /// first head. A connection without such a byte is closed after `KEEP_ALIVE` by actix, and here at the latest
    /// `HEAD_DEADLINE` later.
    fn close_stalled(&self, now: Millis) -> usize {
        let to_millis = |time: Duration| Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX);
        let (head_max, idle_max) = (to_millis(HEAD_DEADLINE), to_millis(KEEP_ALIVE + HEAD_DEADLINE));
        close_matching(&self.lock(), |one| {
            let head_since = one.activity.head_since.load(Ordering::Relaxed);
            let has_late_head = head_since != 0 && now - head_since > head_max;
            one.is_idle() && (has_late_head || now - one.idle_since() > idle_max)
        })
    }

    /// Closes the connections without a complete request, because the server stops.
    fn close_incomplete(&self, now: Millis) -> usize {
        close_matching(&self.lock(), |one| one.is_incomplete(now))
    }
}

/// Closes the matching connections and returns how many. Their entries are removed when the connections have ended.
fn close_matching(table: &ConnectionTable, is_matching: impl Fn(&OpenConnection) -> bool) -> usize {
    let sockets = table.open.values().filter(|one| is_matching(one)).filter_map(|one| one.socket.as_ref());
    sockets.map(|socket| shut_down(&SockRef::from(socket))).count()
}

/// Closes connections without a complete request while the server stops. Never returns.
pub async fn close_incomplete_connections(limits: &ConnectionLimits) {
    loop {
        limits.close_incomplete(clock::current_millis());
        tokio::time::sleep(STOP_SWEEP_EVERY).await;
    }
}

/// Closes connections whose next request is not complete in time, until the server stops.
pub async fn close_stalled_connections(limits: Arc<ConnectionLimits>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let closed = limits.close_stalled(clock::current_millis());
        if closed > 0 {
            tracing::debug!(closed, "closed connections without a complete request");
        }
    }
}

impl ConnectionTable {
    /// Removes the connection with the longest idle time that has no valid credential. Addresses without a recent
    /// credential come first.
    fn remove_idle(&mut self, now: Millis) -> Option<OpenConnection> {
        let candidates = self.open.iter().filter(|(_, one)| one.may_be_closed());
        let rank = |one: &OpenConnection| (self.recent.contains(one.holder, now), one.idle_since());
        let id = candidates.min_by_key(|(_, one)| rank(one)).map(|(id, _)| *id)?;
        self.remove(id)
    }

    fn remove(&mut self, id: u64) -> Option<OpenConnection> {
        let connection = self.open.remove(&id)?;
        if let Some(count) = self.per_address.get_mut(&connection.holder) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_address.remove(&connection.holder);
            }
        }
        Some(connection)
    }

    fn warn(&mut self, holder: IpAddr, now: Millis, problem: &'static str) {
        if (now - self.warned_at).abs() >= WARN_EVERY {
            self.warned_at = now;
            tracing::warn!(address = %holder, open = self.open.len(), "{problem}");
        }
    }
}

impl OpenConnection {
    fn is_idle(&self) -> bool {
        self.activity.requests.load(Ordering::Relaxed) == 0
    }

    /// Whether no complete request is being handled, for longer than a stopping server waits.
    fn is_incomplete(&self, now: Millis) -> bool {
        let body_since = self.activity.body_since.load(Ordering::Relaxed);
        let has_slow_body = body_since != 0 && now - body_since > STOP_BODY_MAX;
        has_slow_body || self.is_idle() && now - self.idle_since() > STOP_IDLE_MAX
    }

    fn idle_since(&self) -> Millis {
        self.activity.idle_since.load(Ordering::Relaxed)
    }

    fn may_be_closed(&self) -> bool {
        let has_credential = self.activity.credential_at.load(Ordering::Relaxed) != 0;
        self.is_idle() && !self.is_proxy && !has_credential && self.socket.is_some()
    }
}

fn shut_down(socket: &SockRef<'_>) {
    // Fails only if the peer has already closed the connection.
    let _ = socket.shutdown(Shutdown::Both);
}

/// Returns the key of an address in limits: for IPv6 its /64 network, because a client can choose any address in it.
pub(in crate::web) fn limit_key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        _ => address,
    }
}

/// Binds a listener. Accepted connections inherit its socket options.
///
/// # Errors
/// The address cannot be bound.
pub fn bind_listener(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    let socket = SockRef::from(&listener);
    socket.listen(BACKLOG)?;
    // A response in several segments must not wait for an acknowledgment that the client delays by 40 ms.
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNREAD_MAX))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY))?;
    Ok(listener)
}

#[cfg(test)]
mod tests;
