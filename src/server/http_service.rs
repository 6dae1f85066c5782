//! The HTTP service of the listener, with or without TLS.
//!
//! It is what `actix_web::HttpServer` builds, over `ClientStream`: `HttpServer` accepts only a plain `TcpStream`, and
//! limits the time for the head of the first request only.

use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol, Request};
use actix_server::{GracefulShutdownSignal, ServerBuilder};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_tls::accept::TlsError;
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::rt::net::{ActixStream, TcpStream};
use rustls::ServerConfig;

use crate::server::listen::HANDSHAKE_TIMEOUT;
use crate::web::limits::{HEAD_DEADLINE, KEEP_ALIVE};
use crate::web::network::{ClientStream, ConnectionLimits, read_peer_address};

/// How long the rest of a request is discarded before the connection is closed.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The protocol that the server speaks over TLS; HTTP/2 is off.
const HTTP_PROTOCOL: &[u8] = b"http/1.1";

/// What the connections of a listener share.
#[derive(Clone)]
struct ListenerContext {
    sockets: Arc<ConnectionLimits>,
    stopping: GracefulShutdownSignal,
}

/// Adds the listener, which serves `app`.
///
/// # Errors
/// The listener cannot be used.
pub(super) fn add_listener<F, I, S, B>(
    builder: ServerBuilder,
    listener: TcpListener,
    tls: Option<ServerConfig>,
    sockets: Arc<ConnectionLimits>,
    app: F,
) -> io::Result<ServerBuilder>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::InitError: Debug,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    const NAME: &str = "rollcall";
    let context = ListenerContext { sockets, stopping: builder.graceful_shutdown_signal() };
    let Some(mut tls) = tls else {
        return builder.listen(NAME, listener, move || {
            fn_service(|stream: TcpStream| async {
                let stream = ClientStream::new(stream);
                let peer = read_peer_address(&stream);
                Ok((stream, Protocol::Http1, peer))
            })
            .and_then(serve_http(app(), context.clone(), |stream: &ClientStream| (stream, false)))
        });
    };
    tls.alpn_protocols.insert(0, HTTP_PROTOCOL.to_vec());
    builder.listen(NAME, listener, move || {
        let mut acceptor = Acceptor::new(tls.clone());
        acceptor.set_handshake_timeout(HANDSHAKE_TIMEOUT);
        fn_service(|stream: TcpStream| async { Ok(ClientStream::new(stream)) })
            .and_then(acceptor.map_err(TlsError::into_service_error))
            .and_then(|stream: TlsStream<ClientStream>| async {
                let peer = read_peer_address(stream.get_ref().0);
                Ok((stream, Protocol::Http1, peer))
            })
            .and_then(
                serve_http(app(), context.clone(), |stream: &TlsStream<ClientStream>| (stream.get_ref().0, true))
                    .map_err(TlsError::Service),
            )
    })
}

/// The HTTP/1.1 service of a connection. `find_stream` returns its TCP connection and whether it is encrypted.
fn serve_http<T, I, S, B>(
    app: I,
    context: ListenerContext,
    find_stream: impl Fn(&T) -> (&ClientStream, bool) + 'static,
) -> impl ServiceFactory<(T, Protocol, Option<SocketAddr>), Config = (), Response = (), Error = DispatchError, InitError = ()>
where
    T: ActixStream + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::InitError: Debug,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let ListenerContext { sockets, stopping } = context;
    let app = app.into_factory().map_err(|error: Error| error.error_response());
    HttpService::build()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_DEADLINE)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .on_connect_ext(move |stream: &T, data: &mut _| {
            let (stream, is_encrypted) = find_stream(stream);
            sockets.admit(stream, is_encrypted, data);
        })
        // No part of the server uses the address and the scheme of the listener: links begin with the public URL.
        .finish(map_config(app, |()| AppConfig::default()))
}
