//! What may cross threads: everything natively, nothing of JavaScript's on wasm32.

use std::pin::Pin;

/// `Send` on native targets. On wasm32, where values of JavaScript cannot cross threads, no bound at all.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> MaybeSend for T {}
/// `Send` on native targets. On wasm32, where values of JavaScript cannot cross threads, no bound at all.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSend for T {}

/// `Sync` on native targets, no bound on wasm32.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSync: Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Sync + ?Sized> MaybeSync for T {}
/// `Sync` on native targets, no bound on wasm32.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSync {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSync for T {}

/// A boxed future, `Send` on native targets.
#[cfg(not(target_arch = "wasm32"))]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A boxed future.
#[cfg(target_arch = "wasm32")]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// `Send + Sync` in name. On wasm32 it panics on any thread but the one that made it.
#[cfg(all(feature = "client", target_arch = "wasm32"))]
pub(crate) type OnThread<T> = send_wrapper::SendWrapper<T>;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) type OnThread<T> = Own<T>;

/// What `SendWrapper` is on wasm32, where nothing needs it.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone)]
pub(crate) struct Own<T>(T);

#[cfg(not(target_arch = "wasm32"))]
impl<T> Own<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl<T> std::ops::Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
