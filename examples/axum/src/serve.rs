//! Connections, from the first to the last.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::signal::ctrl_c;
#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::probes::Draining;

/// How long the head of a request may take to arrive. `axum::serve` waits for ever, and each caller who never ends holds a
/// connection.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// How long requests that have begun may go on once the server is told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Serves until it is told to stop, and then for as long as `drain` says; requests that have begun are answered.
pub(crate) async fn until_told_to_stop(listener: TcpListener, app: Router, draining: &Draining, drain: Duration) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE);
    let connections = GracefulShutdown::new();
    let stop = async {
        told_to_stop().await;
        draining.begin();
        sleep(drain).await;
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: others have to end first.
                    tracing::error!(%error, "no connection could be accepted");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone()));
        let connection = connections.watch(connection);
        // What ends a connection early is the caller's affair.
        tokio::spawn(async move { drop(connection.await) });
    }
    // From here on a new connection is refused at once, and its caller tries another replica.
    drop(listener);
    drop(timeout(LAST_REQUESTS, connections.shutdown()).await);
}

/// By Ctrl-C, or by SIGTERM, as whoever runs containers does it.
async fn told_to_stop() {
    #[cfg(unix)]
    if let Ok(mut terminate) = signal(SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = ctrl_c() => return,
        }
    }
    drop(ctrl_c().await);
}
