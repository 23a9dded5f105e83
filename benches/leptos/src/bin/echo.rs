//! The page alone: it answers by itself.

fn main() {
    leptos_page::mount(|question, text| async move {
        leptos::prelude::Set::set(&text, question);
        Ok(())
    });
}
