//! The other tabs of a page, and other libraries in it: they are told of changes, and wait for each other.

#[cfg(feature = "auth")]
use crate::platform::page;
use crate::platform::{BoxFuture, MaybeSend, MaybeSync};

/// How to reach them.
pub(crate) trait Tabs: MaybeSend + MaybeSync {
    /// Tells them of a change, in supabase-js's words. `session` is its JSON.
    fn tell(&self, event: &str, session: Option<&str>);

    /// Waits for the lock of this name until `limit` is over; `None` then, and where there are no locks.
    fn lock(&self, name: String, limit: BoxFuture<'static, ()>) -> BoxFuture<'static, Option<Box<dyn Held>>>;
}

/// Opens the way to them by the name of the session; `None` where there is none. What they say is a reason to look.
pub(crate) type OpenTabs = Box<dyn FnOnce(&str, Box<dyn Look>) -> Option<Box<dyn Tabs>>>;

/// Whoever looks at what is stored.
pub(crate) trait Look: MaybeSend + MaybeSync {
    fn look(&self);
}

/// A lock that nobody else holds. Dropped, it is free.
pub(crate) trait Held: MaybeSend {}

#[cfg(feature = "auth")]
impl Held for page::Lock {}

/// Through the browser's own means.
#[cfg(feature = "auth")]
pub(super) struct PageTabs(page::Channel);

#[cfg(feature = "auth")]
impl PageTabs {
    pub(super) fn open(key: &str, looking: Box<dyn Look>) -> Option<Box<dyn Tabs>> {
        let channel = page::Channel::open(key, move || looking.look())?;
        Some(Box::new(Self(channel)))
    }
}

#[cfg(feature = "auth")]
impl Tabs for PageTabs {
    fn tell(&self, event: &str, session: Option<&str>) {
        self.0.tell(event, session);
    }

    fn lock(&self, name: String, limit: BoxFuture<'static, ()>) -> BoxFuture<'static, Option<Box<dyn Held>>> {
        Box::pin(async move {
            let lock = page::lock(&name, limit).await?;
            Some(Box::new(lock) as Box<dyn Held>)
        })
    }
}
