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
    let is_named = names(&request).next().is_some() && names(&request).all(|name| is_this_machine(name, host));
    if peer.ip().to_canonical().is_loopback() && is_named {
        next.run(request).await
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

/// Middleware: refuses other names than this machine's, unless other machines are let in. A page that pointed its own host
/// name here (DNS rebinding) would read what it gets as its own.
pub(crate) async fn named(State(host): State<Option<IpAddr>>, request: Request, next: Next) -> Response {
    if host.is_some_and(|host| names(&request).any(|name| !is_this_machine(name, host))) {
        let why = "This server answers to names of this machine, such as localhost, and to no other.\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    next.run(request).await
}

/// Every name by which a request calls the server: in a `Host` header, were there two of them, and in its address, were that
/// a whole one.
fn names(request: &Request) -> impl Iterator<Item = &str> {
    let headers = request.headers().get_all(header::HOST).iter();
    let in_headers = headers.map(|value| value.to_str().unwrap_or_default());
    in_headers.chain(request.uri().authority().map(|authority| authority.as_str()))
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
