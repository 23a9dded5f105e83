//! What only this machine may see.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// Middleware: answers callers on this machine alone, who also call it by a name of this machine. A page that pointed
/// its own host name here (DNS rebinding) would send that name.
pub(crate) async fn this_machine(
    State(host): State<IpAddr>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let name = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    if peer.ip().to_canonical().is_loopback() && name.is_some_and(|name| is_this_machine(name, host)) {
        next.run(request).await
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

/// Middleware: refuses other names than this machine's, unless other machines are let in. A page that pointed its own host
/// name here (DNS rebinding) would read what it gets as its own.
pub(crate) async fn named(State(host): State<Option<IpAddr>>, request: Request, next: Next) -> Response {
    let name = request.headers().get(header::HOST).map(|value| value.to_str().unwrap_or_default());
    match (host, name) {
        (Some(host), Some(name)) if !is_this_machine(name, host) => {
            let why = "This server answers to names of this machine, such as localhost, and to no other.\n";
            (StatusCode::FORBIDDEN, why).into_response()
        }
        _ => next.run(request).await,
    }
}

fn is_this_machine(name: &str, host: IpAddr) -> bool {
    let bare = match name.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => name,
    };
    let bare = bare.trim_start_matches('[').trim_end_matches(']');
    // The name under which Docker's containers know their host is nobody's to point elsewhere.
    bare.eq_ignore_ascii_case("localhost")
        || bare.to_ascii_lowercase().ends_with(".localhost")
        || bare.eq_ignore_ascii_case("host.docker.internal")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback() || ip == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine() {
        let host = [192, 0, 2, 1].into();
        for ours in [
            "app.localhost:1",
            "host.docker.internal:8787",
            "localhost",
            "LOCALHOST:8787",
            "127.0.0.1:1",
            "127.8.8.8",
            "[::1]",
            "[::1]:8787",
            "192.0.2.1:80",
        ] {
            assert!(is_this_machine(ours, host), "{ours}");
        }
        for others in ["", "evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", "192.0.2.2", "::1:x"]
        {
            assert!(!is_this_machine(others, host), "{others}");
        }
    }
}
