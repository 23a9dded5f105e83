//! What pages and programs that should not see something get to see.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use behest_local::Config;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{World, config, in_time, send};

#[tokio::test]
async fn other_hosts_names_are_refused_on_all_three_ports() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), "<p>page</p>").unwrap();
    let www = Some(folder.path().to_owned());
    let world = World::with(Config { www: www.clone(), page_port: 0, ..config() }).await;
    let page = world.running.page_url.clone().unwrap();
    let requests = |world: &World, page: &str| {
        [
            world.http.get(format!("{}/auth/v1/health", world.running.supabase_url)),
            world.http.get(format!("{}/.well-known/jwks.json", world.running.gateway_url)),
            world.http.get(format!("{page}/index.html")),
            world.http.get(format!("{page}/config.json")),
        ]
    };
    for ours in ["localhost", "127.0.0.1:1", "[::1]:8787", "app.localhost"] {
        for request in requests(&world, &page) {
            assert_eq!(send(request.header("host", ours)).await.status, 200, "{ours}");
        }
    }
    let places =
        [(&world.running.supabase_url, "/auth/v1/health"), (&world.running.gateway_url, "/dashboard"), (&page, "/")];
    for (url, path) in places {
        let mine = "Host: localhost\r\nConnection: close\r\n";
        assert!(raw(url, &format!("GET {path} HTTP/1.1\r\n{mine}\r\n")).await.starts_with("HTTP/1.1 200"), "{path}");
        for twice in [
            format!("GET {path} HTTP/1.1\r\n{mine}Host: evil.example\r\n\r\n"),
            format!("GET http://evil.example{path} HTTP/1.1\r\n{mine}\r\n"),
        ] {
            assert!(raw(url, &twice).await.starts_with("HTTP/1.1 40"), "one name of ours and one of another: {twice}");
        }
    }
    for others in ["evil.example", "localhost.evil.example:5173", "192.0.2.7"] {
        for request in requests(&world, &page) {
            let refused = send(request.header("host", others)).await;
            assert_eq!(refused.status, 403, "{others}");
            assert!(refused.text.contains("names of this machine"), "{}", refused.text);
        }
    }
    let world = World::with(Config { expose: true, www, page_port: 0, ..config() }).await;
    let page = world.running.page_url.clone().unwrap();
    for request in requests(&world, &page) {
        assert_eq!(send(request.header("host", "laptop.lan")).await.status, 200, "let in on purpose");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_page_serves_its_folder_and_no_more() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.txt"), "secret").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let www = folder.path().join("www");
    let package = folder.path().join("pkg");
    for place in [&www, &package] {
        std::fs::create_dir_all(place.join("sub/.git")).unwrap();
        std::fs::write(place.join(".env"), "secret").unwrap();
        std::fs::write(place.join("sub/.git/config"), "secret").unwrap();
        std::fs::write(place.join("sub/index.html"), "page").unwrap();
        std::os::unix::fs::symlink(outside.path(), place.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.txt"), place.join("link.txt")).unwrap();
        std::os::unix::fs::symlink(place.join("sub"), place.join("inner")).unwrap();
        std::fs::create_dir(place.join("trap")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.txt"), place.join("trap/index.html")).unwrap();
    }
    std::fs::write(folder.path().join("above.txt"), "secret").unwrap();
    let settings = Config { www: Some(www), package: Some(package), page_port: 0, ..config() };
    let world = World::with(settings).await;
    let page = world.running.page_url.clone().unwrap();
    for base in ["", "/pkg"] {
        for path in ["sub/index.html", "sub/", "inner/index.html"] {
            let answer = send(world.http.get(format!("{page}{base}/{path}"))).await;
            assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "page"), "{base}/{path}");
        }
        for path in [
            ".env",
            "%2eenv",
            "sub/.git/config",
            "link/secret.txt",
            "link.txt",
            "trap/",
            "sub/..%2f.env",
            "..%2fabove.txt",
            "%2e%2e%2fabove.txt",
            "%2fetc%2fpasswd",
            "missing",
        ] {
            // Written out by hand: a URL library would resolve the dots.
            let answer =
                raw(&page, &format!("GET {base}/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
                    .await;
            assert!(answer.starts_with("HTTP/1.1 404") && !answer.contains("secret"), "{base}/{path}: {answer}");
        }
    }
}

/// Sends these bytes and reads until the server closes.
async fn raw(url: &str, bytes: &str) -> String {
    let address = url.trim_start_matches("http://").replace("localhost", "127.0.0.1");
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    in_time(connection.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_functions_path_stays_inside_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/base/f", listener.local_addr().unwrap());
    let router = Router::new().fallback(|request: Request| async move { request.uri().path().to_owned() });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let world = World::with(Config { functions: vec![format!("x={url}")], ..config() }).await;
    let call = async |path: &str| {
        let request = format!("GET /functions/v1/x/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        raw(&world.running.supabase_url, &request).await
    };
    assert!(call("a/b").await.contains("/base/f/a/b\r\n"));
    assert!(call("a..b/...").await.contains("/base/f/a..b/...\r\n"));
    for out in
        ["..%2f", "..%2fother", "..%2F..%2Fadmin", "a/%2e%2e/%2e%2e/admin", "%252e%252e/admin", "..%5cadmin", ".%2e/"]
    {
        let answer = call(out).await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("NOT_FOUND"), "{out}: {answer}");
    }
}

#[tokio::test]
async fn a_head_that_takes_too_long_is_closed() {
    let www = tempfile::tempdir().unwrap();
    let settings =
        Config { head_limit: Duration::from_millis(200), www: Some(www.path().into()), page_port: 0, ..config() };
    let world = World::with(settings).await;
    let page = world.running.page_url.clone().unwrap();
    for url in [&world.running.supabase_url, &world.running.gateway_url, &page] {
        let answer = raw(url, "GET /auth/v1/health HTTP/1.1\r\nhost: localhost\r\nx-slow").await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    assert_eq!(world.mint(&json!({ "user_id": "ada" })).await.status, 200);
}

#[tokio::test]
async fn who_is_refused_while_still_sending_hears_of_it() {
    let world = World::start().await;
    for (url, path) in [(&world.running.gateway_url, "/v1/files"), (&world.running.supabase_url, "/auth/v1/signup")] {
        let mut connection = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        let answered = async |connection: &mut TcpStream| {
            let (mut heard, mut bytes) = (String::new(), [0; 4096]);
            while !heard.ends_with('}') {
                let count = in_time(connection.read(&mut bytes)).await.unwrap();
                assert!(count > 0, "closed after {heard:?}");
                heard.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
            heard
        };
        let refused = answered(&mut connection).await;
        assert!(refused.starts_with("HTTP/1.1 40"), "{refused}");
        // What it goes on to send is taken, and the connection serves the next call.
        connection.write_all(b"4\r\nrest\r\n0\r\n\r\nGET /x HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        assert!(answered(&mut connection).await.starts_with("HTTP/1.1 404"), "{path}");
    }
}
