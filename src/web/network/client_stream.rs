//! TCP connections of clients, which record when the head of a request begins.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use actix_web::rt::net::{ActixStream, Ready, TcpStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock;

/// What a connection does, updated by its stream and its requests.
#[derive(Default)]
pub(super) struct ConnectionActivity {
    /// Requests whose response is not complete.
    pub(super) requests: AtomicUsize,
    /// When the connection was opened or the last request ended.
    pub(super) idle_since: AtomicI64,
    /// When the first bytes after the last request arrived; 0 for none.
    pub(super) head_since: AtomicI64,
    /// When the body that is being received began; 0 for none.
    pub(super) body_since: AtomicI64,
    /// When the last valid credential was recorded; 0 for never.
    pub(super) credential_at: AtomicI64,
}

impl ConnectionActivity {
    /// Records that bytes arrived. Those of a body belong to the request that is being handled.
    pub(super) fn record_bytes(&self) {
        if self.requests.load(Ordering::Relaxed) == 0 && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(clock::current_millis(), Ordering::Relaxed);
        }
    }
}

/// A TCP connection of a client. Bytes that arrive while no request is handled begin the head of the next one. Below
/// TLS, these are the encrypted bytes, so that a slowly sent record is a slowly sent head.
pub struct ClientStream {
    pub(super) stream: TcpStream,
    pub(super) activity: Arc<ConnectionActivity>,
}

impl ClientStream {
    /// Observes an accepted connection.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, activity: Arc::default() }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            this.activity.record_bytes();
        }
        result
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl ActixStream for ClientStream {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.stream, cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.stream, cx)
    }
}
