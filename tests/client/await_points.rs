//! Every place where a call waits, broken in every way: it settles within its limit, and the next call works.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use behest_client::client::transport::Transport;
use behest_client::client::{ChatRequest, Client};
use behest_client::testing::{Chunk, FUNCTION, Reply, World, access_token, default_reply};
use behest_client::{Error, Reason};
use futures_util::StreamExt;

use crate::test;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Point {
    Session,
    FunctionHead,
    FunctionBody,
    GatewayHead,
    GatewayBody,
    StreamBody,
}

const POINTS: [Point; 6] = [
    Point::Session,
    Point::FunctionHead,
    Point::FunctionBody,
    Point::GatewayHead,
    Point::GatewayBody,
    Point::StreamBody,
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Break {
    Hang,
    Fail,
}

/// A world that is broken at one point until `mend` is called.
fn broken(point: Point, how: Break) -> (World, Client) {
    let world = World::new();
    world.serve(move |request, log| {
        let is_function = request.url == FUNCTION;
        let head = |how| if how == Break::Hang { Reply::hang() } else { Reply::refused("connection refused") };
        let body = |how| {
            Reply::stream([Chunk::Bytes(b"{".to_vec()), if how == Break::Hang { Chunk::Stall } else { Chunk::Cut }])
        };
        match point {
            Point::FunctionHead if is_function => head(how),
            Point::FunctionBody if is_function => body(how),
            Point::GatewayHead if !is_function => head(how),
            Point::GatewayBody | Point::StreamBody if !is_function => body(how),
            _ => default_reply(request, log),
        }
    });
    if point == Point::Session && how == Break::Fail {
        world.sessions(|| Err(Error::new(Reason::SessionFailed, "broken")));
    }
    let client = match (point, how) {
        (Point::Session, Break::Hang) => {
            let first = AtomicBool::new(true);
            world.builder().session(move || {
                let first = first.swap(false, Ordering::SeqCst);
                async move {
                    if first {
                        std::future::pending::<()>().await;
                    }
                    Ok(Some(access_token("user-1", "login-1")))
                }
            })
        }
        _ => world.builder(),
    };
    (world, client.build().unwrap())
}

fn mend(world: &World) {
    world.serve(default_reply);
    world.signed_in("user-1", "login-1");
    // Longer than any cool-down, and than the limit of a mint that goes on by itself.
    world.run(world.sleep(Duration::from_secs(60)));
}

async fn call(client: &Client, point: Point) -> Result<(), Error> {
    if point != Point::StreamBody {
        return client.ask("Hi!").await.map(drop);
    }
    let mut stream = client.chat_stream(&ChatRequest::user("Hi!")).await?;
    while let Some(chunk) = stream.next().await {
        chunk?;
    }
    Ok(())
}

#[test]
fn a_hang_ends_at_its_limit() {
    for point in POINTS {
        let (world, client) = broken(point, Break::Hang);
        let error = world.run(call(&client, point)).unwrap_err();
        let (reason, limit) = match point {
            Point::Session => (Reason::SessionTimeout, 10.0),
            Point::FunctionHead | Point::FunctionBody => (Reason::Timeout, 15.0),
            Point::GatewayHead => (Reason::Timeout, 120.0),
            Point::GatewayBody => (Reason::Timeout, 60.0),
            Point::StreamBody => (Reason::Stalled, 60.0),
        };
        assert_eq!((error.reason(), world.seconds()), (reason, limit), "{point:?}");
        mend(&world);
        assert_eq!(world.run(client.ask("Hi!")).unwrap(), "Hello", "{point:?}");
    }
}

#[test]
fn a_failure_is_a_typed_error() {
    for point in POINTS {
        let (world, client) = broken(point, Break::Fail);
        let error = world.run(call(&client, point)).unwrap_err();
        let reason = match point {
            Point::Session => Reason::SessionFailed,
            Point::FunctionHead | Point::FunctionBody | Point::GatewayHead => Reason::Network,
            Point::GatewayBody | Point::StreamBody => Reason::Disconnected,
        };
        assert_eq!(error.reason(), reason, "{point:?}");
        mend(&world);
        assert_eq!(world.run(client.ask("Hi!")).unwrap(), "Hello", "{point:?}");
    }
}

#[test]
fn cancelling_leaves_nothing_behind() {
    for point in POINTS {
        let (world, client) = broken(point, Break::Hang);
        {
            let mut waiting = pin!(call(&client, point));
            assert!(world.poll_once(waiting.as_mut()).is_pending(), "{point:?}");
        }
        let at_the_gateway = matches!(point, Point::GatewayHead | Point::GatewayBody | Point::StreamBody);
        world.log(|log| assert_eq!(log.cancelled, usize::from(at_the_gateway), "{point:?}"));
        mend(&world);
        assert_eq!(world.run(client.ask("Hi!")).unwrap(), "Hello", "{point:?}");
    }
}

#[test]
fn the_limit_of_a_call_covers_every_point() {
    for point in POINTS {
        let (world, client) = broken(point, Break::Hang);
        let error = world.run(call(&client.with_timeout(Duration::from_secs(5)), point)).unwrap_err();
        assert_eq!((error.reason(), world.seconds()), (Reason::Timeout, 5.0), "{point:?}");
    }
}

/// A panic while the client waits, there or in what it calls, unwinds through it natively.
#[cfg(not(target_arch = "wasm32"))]
#[test]
fn a_panic_at_any_point_spares_the_next_call() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    for at_the_function in [true, false] {
        let world = World::new();
        world.serve(move |request, log| {
            assert!((request.url == FUNCTION) != at_the_function, "a defect of the transport");
            default_reply(request, log)
        });
        let client = world.client();
        assert!(catch_unwind(AssertUnwindSafe(|| world.run(client.ask("Hi!")))).is_err());
        mend(&world);
        assert_eq!(world.run(client.ask("Hi!")).unwrap(), "Hello");
    }
}

/// In browsers a panic ends the whole instance: the npm package's own tests show that every promise settles.
#[cfg(not(target_arch = "wasm32"))]
#[test]
fn a_panic_in_the_applications_session_source_spares_the_next_call() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let world = World::new();
    let panics = AtomicBool::new(true);
    let client = world.builder().session(move || {
        let panics = panics.swap(false, Ordering::SeqCst);
        async move {
            assert!(!panics, "a defect of the application");
            Ok(Some(access_token("user-1", "login-1")))
        }
    });
    let client = client.build().unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| world.run(client.ask("Hi!")))).is_err());
    assert_eq!(world.run(client.ask("Hi!")).unwrap(), "Hello");
}
