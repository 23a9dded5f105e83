/** The sections that rust-starts.test.mjs types in, with the step that shows whether it worked. */
export const TYPED = [
  { page: "README.md", heading: "## In a Rust app", last: "cargo run" },
  { page: "docs/leptos.md", heading: "# ", last: "trunk serve" },
  { page: "docs/yew.md", heading: "# ", last: "trunk serve" },
  { page: "docs/axum.md", heading: "# ", last: "cargo run" },
];
