//! Ports of this machine, and their names.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, anyhow};
use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Binds a port.
pub(crate) async fn listen(host: IpAddr, port: u16, flag: &str) -> Result<TcpListener> {
    TcpListener::bind((host, port)).await.map_err(|why| match why.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "port {port} of {host} is taken: end the program that uses it, or choose another port with {flag} \
             (0 picks a free one)"
        ),
        _ => anyhow!("port {port} of {host} cannot be used ({why}): choose another with {flag}"),
    })
}

/// Answers on a port until it is told to close.
pub(crate) fn serve(
    listener: TcpListener,
    router: Router,
    closing: &CancellationToken,
) -> impl Future<Output = std::io::Result<()>> + Send + 'static {
    // Without this, small chunks of a stream wait for the acknowledgement of the ones before.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(closing.clone().cancelled_owned()).into_future()
}

/// The URL of a port. An address that means "all interfaces" is written as loopback.
pub(crate) fn url(host: IpAddr, port: u16) -> String {
    let host = match host {
        IpAddr::V4(v4) if v4.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(v6) if v6.is_unspecified() => "[::1]".to_owned(),
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    };
    format!("http://{host}:{port}")
}

/// `localhost` where it means the same, as people type it.
pub(crate) fn page_origin(host: IpAddr, port: u16) -> String {
    if host.is_loopback() { format!("http://localhost:{port}") } else { url(host, port) }
}
