//! The module's memory. A piece is as large as the next power of two; what is free of one size waits for the next who wants it,
//! so that giving and taking one back costs the same however much there is.

#![expect(unsafe_code, reason = "an allocator gives bare addresses")]

use std::alloc::{GlobalAlloc, Layout};
use std::arch::wasm32::memory_grow;
use std::cell::Cell;
use std::ptr::null_mut;

/// The smallest piece, and what all of them are aligned to.
const UNIT: usize = 16;
const PAGE: usize = 1 << 16;

pub(super) struct Memory {
    /// For each size the piece that became free last. In it is the address of the one before.
    free: [Cell<*mut u8>; 33],
    /// What is left of the pages.
    next: Cell<usize>,
    end: Cell<usize>,
}

// SAFETY: the module has one thread. It is built without atomics, and its memory is not shared.
unsafe impl Sync for Memory {}

impl Memory {
    pub(super) const fn new() -> Self {
        Self { free: [const { Cell::new(null_mut()) }; 33], next: Cell::new(0), end: Cell::new(0) }
    }

    /// A piece that nobody has had; null if the host has no more.
    fn fresh(&self, size: usize) -> *mut u8 {
        if self.end.get().wrapping_sub(self.next.get()) < size {
            let pages = size.div_ceil(PAGE);
            let begin = memory_grow::<0>(pages);
            if begin == usize::MAX {
                return null_mut();
            }
            // What was left is lost: less than this piece, or than a page.
            self.next.set(begin * PAGE);
            self.end.set(self.next.get().wrapping_add(pages * PAGE));
        }
        let piece = self.next.get();
        self.next.set(piece.wrapping_add(size));
        piece as *mut u8
    }
}

/// The power of two that is the size of its piece.
fn class(layout: Layout) -> usize {
    (usize::BITS - ((layout.size() - 1) | (UNIT - 1)).leading_zeros()) as usize
}

// SAFETY: a piece is at least as large and as aligned as asked for, and either its owner's or in the chain of its size.
unsafe impl GlobalAlloc for Memory {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > UNIT {
            return null_mut();
        }
        let class = class(layout);
        let piece = self.free[class].get();
        if piece.is_null() {
            return self.fresh(1 << class);
        }
        // SAFETY: `dealloc` wrote an address there.
        self.free[class].set(unsafe { piece.cast::<*mut u8>().read() });
        piece
    }

    #[inline(never)]
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        let free = &self.free[class(layout)];
        // SAFETY: its owner gives it back, and it has room for an address.
        unsafe { piece.cast::<*mut u8>().write(free.get()) };
        free.set(piece);
    }
}
