//! What a client can be asked for: completions, streams, threads, usage, models.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::chat::{ChatRequest, ChatResponse};
use super::drive::News;
use super::handle::Client;
use super::json::{read_response, write_request};
use super::stream::{ChatStream, RawStream, StreamOf};
use crate::engine::{Kind, Reply, Resource, UsageQuery};
use crate::{Error, Reason};

impl Client {
    /// Asks one question and gives the answer's text.
    ///
    /// # Errors
    /// Besides every error of [`chat`](Self::chat): [`Reason::ContentBlocked`] if a filter left no text, and
    /// [`Reason::InvalidResponse`] if the reply has none for another cause. A text cut by a token limit is
    /// returned as it is; use `chat` to see its `finish_reason`.
    pub async fn ask(&self, text: impl Into<String>) -> Result<String, Error> {
        let body = write_request(&ChatRequest::user(text), false);
        Ok(self.settled(Kind::Ask, Some(body)).await?.json)
    }

    /// A whole chat completion.
    ///
    /// # Errors
    /// Session and token errors, the gateway's refusals, and [`Reason::InvalidResponse`] for a reply that is no completion.
    pub async fn chat(&self, request: &ChatRequest) -> Result<ChatResponse, Error> {
        let reply = self.chat_json(write_request(request, false)).await?;
        let response = read_response(&reply.json).ok_or_else(|| invalid(&reply, "is not a chat completion"))?;
        Ok(ChatResponse { trace: reply.trace, ..response })
    }

    /// A whole chat completion with types of your own, such as `async-openai`'s. No stream is asked for, whatever the request
    /// says itself.
    ///
    /// # Errors
    /// As [`chat`](Self::chat), and [`Reason::InvalidRequest`] if the request is no JSON object.
    pub async fn chat_as<Req: Serialize + ?Sized, Res: DeserializeOwned>(&self, request: &Req) -> Result<Res, Error> {
        self.chat_json(encode(request, false)?).await?.parse()
    }

    /// A streamed chat completion. Dropping the stream cancels it, on the wire too.
    ///
    /// # Errors
    /// As [`chat`](Self::chat), before the first chunk; later ones come out of the stream.
    pub async fn chat_stream(&self, request: &ChatRequest) -> Result<ChatStream, Error> {
        Ok(ChatStream::new(self.chat_stream_json(write_request(request, true)).await?))
    }

    /// A streamed chat completion with types of your own: `Chunk` is read from each chunk's JSON. The request is sent with
    /// `"stream": true`, whatever it says itself.
    ///
    /// # Errors
    /// As [`chat_stream`](Self::chat_stream), and [`Reason::InvalidRequest`] if the request is no JSON object.
    pub async fn chat_stream_as<Req: Serialize + ?Sized, Chunk: DeserializeOwned>(
        &self,
        request: &Req,
    ) -> Result<StreamOf<Chunk>, Error> {
        Ok(StreamOf::new(self.chat_stream_json(encode(request, true)?).await?))
    }

    /// A whole chat completion, JSON text in and out.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    pub async fn chat_json(&self, body: String) -> Result<Reply, Error> {
        self.settled(Kind::Chat, Some(body)).await
    }

    /// A streamed chat completion, JSON text in and out. The body must ask for `"stream": true`.
    ///
    /// # Errors
    /// As [`chat`](Self::chat), before the first chunk; later ones come out of the stream.
    pub async fn chat_stream_json(&self, body: String) -> Result<RawStream, Error> {
        match self.start(Kind::Stream, Some(body)).await {
            (id, News::Open(trace, _)) => Ok(RawStream::new(self, id, trace)),
            (_, News::Settled(Err(error))) => Err(error),
            (_, News::Settled(Ok(reply))) => Err(invalid(&reply, "is no stream")),
        }
    }

    /// The user's threads: a list of [`Thread`](super::Thread).
    ///
    /// # Errors
    /// Session and token errors, and the gateway's refusals.
    pub async fn threads(&self) -> Result<Reply, Error> {
        self.resource(Resource::get("/v1/threads")).await
    }

    /// One [`Thread`](super::Thread).
    ///
    /// # Errors
    /// As [`threads`](Self::threads), and [`Reason::InvalidRequest`] for an id that no URL can carry.
    pub async fn thread(&self, id: &str) -> Result<Reply, Error> {
        self.resource(Resource::thread("GET", id, "")?).await
    }

    /// The messages of a thread, oldest first: a list of [`Message`](super::Message).
    ///
    /// # Errors
    /// As [`thread`](Self::thread).
    pub async fn thread_messages(&self, id: &str) -> Result<Reply, Error> {
        self.resource(Resource::thread("GET", id, "/messages")?).await
    }

    /// Deletes a thread and its messages. The gateway answers without a body.
    ///
    /// # Errors
    /// As [`thread`](Self::thread).
    pub async fn delete_thread(&self, id: &str) -> Result<Reply, Error> {
        self.resource(Resource::thread("DELETE", id, "")?).await
    }

    /// What the user has spent, as the gateway reports it: a [`UsageReport`](super::UsageReport).
    ///
    /// # Errors
    /// As [`threads`](Self::threads).
    pub async fn usage(&self, query: &UsageQuery) -> Result<Reply, Error> {
        self.resource(Resource::usage(query)).await
    }

    /// The models the gateway offers: [`Models`](super::Models).
    ///
    /// # Errors
    /// As [`threads`](Self::threads).
    pub async fn models(&self) -> Result<Reply, Error> {
        self.resource(Resource::get("/v1/models")).await
    }

    /// Gets a token now, so that the first question need not wait for it.
    ///
    /// # Errors
    /// Session and token errors.
    pub async fn warm(&self) -> Result<(), Error> {
        self.settled(Kind::Warm, None).await.map(drop)
    }

    async fn resource(&self, resource: Resource) -> Result<Reply, Error> {
        self.settled(Kind::Resource(resource), None).await
    }

    async fn settled(&self, kind: Kind, body: Option<String>) -> Result<Reply, Error> {
        match self.start(kind, body).await {
            (_, News::Settled(result)) => result,
            (_, News::Open(..)) => Err(Error::new(Reason::Internal, "a stream was opened that nobody asked for")),
        }
    }
}

impl Reply {
    /// The body as a type of your own.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # let world = behest_client::testing::World::new();
    /// # world.serve(|request, log| match request.url.ends_with("/v1/threads") {
    /// #     true => behest_client::testing::Reply::json(200, r#"[{"id":"t-1","title":"Cats"}]"#),
    /// #     false => behest_client::testing::default_reply(request, log),
    /// # });
    /// # let client = world.client();
    /// #[derive(serde::Deserialize)]
    /// struct Thread {
    ///     id: String,
    /// }
    ///
    /// # world.run(async {
    /// let threads: Vec<Thread> = client.threads().await?.parse()?;
    /// assert_eq!(threads[0].id, "t-1");
    /// # Ok::<(), behest_client::Error>(())
    /// # }).unwrap();
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::InvalidResponse`] for a body of another shape; its source says where.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.json)
            .map_err(|error| invalid(self, &format!("has another shape: {error}")).with_source(error))
    }
}

fn encode(request: &(impl Serialize + ?Sized), stream: bool) -> Result<String, Error> {
    let mut body = serde_json::to_value(request).map_err(unwritable)?;
    let Some(fields) = body.as_object_mut() else {
        return Err(Error::new(Reason::InvalidRequest, "the request is no JSON object"));
    };
    match stream {
        true => drop(fields.insert("stream".to_owned(), true.into())),
        false => drop(fields.remove("stream")),
    }
    Ok(body.to_string())
}

fn unwritable(error: serde_json::Error) -> Error {
    let message = format!("the request is not representable as JSON: {error}");
    Error::new(Reason::InvalidRequest, message).with_source(error)
}

fn invalid(reply: &Reply, what: &str) -> Error {
    Error::new(Reason::InvalidResponse, ["the gateway's reply ", what].concat())
        .with_status(reply.status)
        .with_trace_id(reply.trace.trace_id.clone())
}
