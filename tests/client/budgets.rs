//! A conversation's own limit.

use behest_client::client::{Budget, ChatRequest, Client, ConversationOptions, Cost};
use behest_client::{Action, Reason};
use futures_util::StreamExt;

use crate::test;
use behest_client::testing::{Chunk, FUNCTION, Reply, World, default_reply, delta, text};

fn conversation(world: &World, budget: Budget) -> Client {
    world.client().conversation(ConversationOptions::new().budget(budget)).unwrap()
}

fn tokens(limit: u64) -> Budget {
    Budget { tokens: Some(limit), cost: None }
}

/// Every answer costs so many prompt tokens and 20 completion tokens, as the gateway says.
fn answers_cost(world: &World, prompt_tokens: i32) {
    let usage = format!(r#"{{"prompt_tokens":{prompt_tokens},"completion_tokens":20}}"#);
    world.serve(move |request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => Reply::json(200, format!(r#"{{"choices":[{{"message":{{"content":"Hello"}}}}],"usage":{usage}}}"#)),
    });
}

/// How many calls are let through before one is refused.
fn calls_until_refused(world: &World, client: &Client) -> usize {
    for call in 0..100 {
        if let Err(error) = world.run(client.ask("Hi!")) {
            assert_eq!(
                (error.reason(), error.action(), error.status()),
                (Reason::BudgetExhausted, Action::Upgrade, None)
            );
            world.log(|log| assert_eq!(log.chats(), call, "the refused call sent nothing"));
            return call;
        }
    }
    panic!("never refused");
}

#[test]
fn calls_are_refused_once_the_tokens_are_spent() {
    for (limit, calls) in [(0, 0), (1, 1), (50, 1), (51, 2), (120, 3)] {
        let world = World::new();
        answers_cost(&world, 30);
        assert_eq!(calls_until_refused(&world, &conversation(&world, tokens(limit))), calls, "{limit}");
    }
}

#[test]
fn calls_are_refused_once_the_cost_is_spent() {
    // 30 * 2 + 20 * 5 = 160 millionths for an answer.
    for (limit, calls) in [(0.0, 0), (0.000_16, 1), (0.000_17, 2), (0.001, 7)] {
        let world = World::new();
        answers_cost(&world, 30);
        let cost = Cost { limit, prompt_price: 2.0, completion_price: 5.0 };
        let budget = Budget { tokens: None, cost: Some(cost) };
        assert_eq!(calls_until_refused(&world, &conversation(&world, budget)), calls, "{limit}");
    }
}

#[test]
fn a_budget_is_one_conversations_alone() {
    let world = World::new();
    answers_cost(&world, 30);
    let client = world.client();
    let spent = conversation(&world, tokens(1));
    assert_eq!(calls_until_refused(&world, &spent), 1);
    assert!(world.run(spent.clone().ask("Hi!")).is_err(), "a clone is the same conversation");
    assert!(world.run(conversation(&world, tokens(1)).ask("Hi!")).is_ok());
    assert!(world.run(client.ask("Hi!")).is_ok());
    // Looking at threads spends nothing.
    assert!(world.run(spent.threads()).is_ok());
}

#[test]
fn streams_count_however_they_end() {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":30,\"completion_tokens\":20}}\n\n";
    let long = "word ".repeat(100);
    let cases: [(&str, Vec<Chunk>); 3] = [
        ("with figures", vec![text(delta("Hi")), text(usage), text("data: [DONE]\n\n")]),
        ("without", vec![text(delta(&long)), text("data: [DONE]\n\n")]),
        ("cut", vec![text(delta(&long)), Chunk::Cut]),
    ];
    for (what, chunks) in cases {
        for read_to_end in [true, false] {
            let world = World::new();
            let served = chunks.clone();
            world.serve(move |request, log| match request.url == FUNCTION {
                true => default_reply(request, log),
                false => Reply::stream(served.clone()),
            });
            let client = conversation(&world, tokens(10));
            let mut stream = world.run(client.chat_stream(&ChatRequest::user("Hi!"))).unwrap();
            while let Some(Ok(_)) = world.run(stream.next()) {
                if !read_to_end {
                    break;
                }
            }
            drop(stream);
            let refused = world.run(client.ask("Hi!")).is_err_and(|error| error.reason() == Reason::BudgetExhausted);
            assert!(refused, "{what}, read to the end: {read_to_end}");
        }
    }
}

#[test]
fn no_gateway_gives_tokens_back() {
    let world = World::new();
    answers_cost(&world, -30);
    assert_eq!(calls_until_refused(&world, &conversation(&world, tokens(50))), 3);
}
