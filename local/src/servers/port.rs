//! Ports of this machine, and their names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Result, anyhow};
use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::unread::Read;

/// No connection is accepted for so long once one could not be.
const AFTER_FAILURE: Duration = Duration::from_millis(200);

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

/// Answers on a port until it is told to close, and then until the last answer is read. A connection whose head takes
/// longer than `head_limit` is closed.
pub(crate) async fn serve(listener: TcpListener, router: Router, head_limit: Duration, closing: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_limit);
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing.cancelled() => break,
        };
        let (connection, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                // Too many open files, for example: others close in the meantime.
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        // Without this, small chunks of a stream wait for the acknowledgement of the ones before.
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request.map(Read::new))
        });
        let connection = connections.watch(http.serve_connection(TokioIo::new(connection), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
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

/// `localhost` where it means the same, as people type it: not every address of this machine.
pub(crate) fn page_origin(host: IpAddr, port: u16) -> String {
    let is_localhost = matches!(host, IpAddr::V4(Ipv4Addr::LOCALHOST) | IpAddr::V6(Ipv6Addr::LOCALHOST));
    if is_localhost { format!("http://localhost:{port}") } else { url(host, port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_where_its_address_says() {
        for (host, origin) in [
            ("127.0.0.1", "http://localhost:1"),
            ("::1", "http://localhost:1"),
            ("127.0.0.2", "http://127.0.0.2:1"),
            ("0.0.0.0", "http://127.0.0.1:1"),
            ("192.0.2.1", "http://192.0.2.1:1"),
        ] {
            assert_eq!(page_origin(host.parse().unwrap(), 1), origin);
        }
    }
}
