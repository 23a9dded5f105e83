//! What is under way, by number. A number is never used twice, so a late word about something that is over finds nothing.

/// The number of a call, a request or a conversation.
pub(crate) type Id = u32;

/// Sorted by number. The newest is nearly always the largest, so it comes to stand at the end.
pub(crate) struct Table<T>(Vec<(Id, Box<T>)>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Table<T> {
    /// Puts a value under this number, in place of the one that was there.
    pub(crate) fn set(&mut self, id: Id, value: T) {
        drop(self.put(id, Box::new(value)));
    }

    /// Gives back what was there. (The same code for whatever is boxed, and so only once in a module.)
    #[inline(never)]
    pub(crate) fn put(&mut self, id: Id, value: Box<T>) -> Option<Box<T>> {
        let place = self.0.partition_point(|(other, _)| *other < id);
        match self.0.get_mut(place) {
            Some((other, old)) if *other == id => Some(std::mem::replace(old, value)),
            _ => {
                self.0.insert(place, (id, value));
                None
            }
        }
    }

    pub(crate) fn get(&self, id: Id) -> Option<&T> {
        self.place(id).map(|place| &*self.0[place].1)
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.place(id).map(|place| &mut *self.0[place].1)
    }

    pub(crate) fn remove(&mut self, id: Id) -> Option<T> {
        self.take(id).map(|value| *value)
    }

    #[inline(never)]
    fn take(&mut self, id: Id) -> Option<Box<T>> {
        self.place(id).map(|place| self.0.remove(place).1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        self.0.iter().map(|(id, value)| (*id, &**value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Id, &mut T)> {
        self.0.iter_mut().map(|(id, value)| (*id, &mut **value))
    }

    /// The numbers of those that fit, to go through while the table changes.
    pub(crate) fn ids(&self, fits: &dyn Fn(&T) -> bool) -> Vec<Id> {
        let mut ids = Vec::new();
        for (id, value) in &self.0 {
            if fits(value) {
                ids.push(*id);
            }
        }
        ids
    }

    fn place(&self, id: Id) -> Option<usize> {
        self.0.binary_search_by_key(&id, |(id, _)| *id).ok()
    }
}
