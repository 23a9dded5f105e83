//! `behest-local`: the whole system on one machine.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    behest_local::cli::run().await
}
