//! Counts what a thread takes from the allocator: a measure of memory and of work that is the same on every machine.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes taken and not given back, less those freed for other threads.
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
    /// Bytes taken in all.
    static TAKEN: Cell<i64> = const { Cell::new(0) };
}

struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

fn take(size: usize) {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    TAKEN.set(TAKEN.get().saturating_add(size));
    LIVE.set(LIVE.get().saturating_add(size));
    PEAK.set(PEAK.get().max(LIVE.get()));
}

fn give_back(size: usize) {
    LIVE.set(LIVE.get().saturating_sub(i64::try_from(size).unwrap_or(i64::MAX)));
}

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        give_back(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        give_back(layout.size());
        take(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What some work cost [bytes].
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Taken from the allocator in all.
    pub taken: i64,
    /// Held at once, at most.
    pub peak: i64,
    /// Still held afterwards.
    pub kept: i64,
}

pub fn cost(work: impl FnOnce()) -> Cost {
    let (live, taken) = (LIVE.get(), TAKEN.get());
    PEAK.set(live);
    work();
    Cost { taken: TAKEN.get() - taken, peak: PEAK.get() - live, kept: LIVE.get() - live }
}

#[test]
fn the_count_counts() {
    let mut kept = Vec::new();
    let cost = cost(|| {
        drop(std::hint::black_box(vec![0_u8; 3000]));
        kept = std::hint::black_box(vec![0_u8; 1000]);
    });
    assert_eq!((cost.taken, cost.peak, cost.kept), (4000, 3000, 1000));
}
