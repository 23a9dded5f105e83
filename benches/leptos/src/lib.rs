//! One page in three programs: a question, a button, an answer that grows. They differ in where the answer comes from.

use leptos::prelude::*;
use leptos::task::spawn_local;

pub const SUPABASE_URL: &str = "https://abc.supabase.co";
pub const BEHEST_URL: &str = "https://your-project.behest.app";

/// The signed-in user's access token, as an app without supabase-js keeps it.
pub fn access_token() -> Option<String> {
    window().local_storage().ok()??.get_item("access-token").ok()?
}

/// Mounts the page. `answer` writes what comes into the signal, and says in its error what a reader should see.
pub fn mount<F, Answering>(answer: F)
where
    F: Fn(String, WriteSignal<String>) -> Answering + Clone + 'static,
    Answering: Future<Output = Result<(), String>> + 'static,
{
    mount_to_body(move || {
        let (question, set_question) = signal(String::new());
        let (text, set_text) = signal(String::new());
        let (problem, set_problem) = signal(String::new());
        let answer = answer.clone();
        let ask = move |_| {
            set_text.set(String::new());
            set_problem.set(String::new());
            let answering = answer(question.get(), set_text);
            spawn_local(async move {
                if let Err(error) = answering.await {
                    set_problem.set(error);
                }
            });
        };
        view! {
            <textarea prop:value=question on:input=move |event| set_question.set(event_target_value(&event))></textarea>
            <button on:click=ask>"Ask"</button>
            <p>{text}</p>
            <p role="alert">{problem}</p>
        }
    });
}
