//! The server's allocator, so that what locks need counts as memory of the
//! server: in INFO, in MEMORY USAGE, against maxmemory.
//!
//! The crate's own lacks `realloc`, without which every growing list is copied.
//! Unit tests run without a server and keep Rust's default.

use super::api::server;
use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;

#[global_allocator]
static ALLOCATOR: ServerAllocator = ServerAllocator;

struct ServerAllocator;

/// What every allocator aligns to on 64-bit machines.
const ALIGNED: usize = 16;

/// The size to ask for. Allocators align a block to the largest power of two
/// in its size, up to [`ALIGNED`]; rounding up makes that enough.
fn rounded(size: usize, layout: Layout) -> usize {
    size.next_multiple_of(layout.align())
}

// SAFETY: blocks come from the server's allocator, which is thread-safe and
// never unwinds; those that need a larger alignment come from libc and go back
// there, which the layout tells.
unsafe impl GlobalAlloc for ServerAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGNED {
            return over_aligned(layout);
        }
        // SAFETY: the size is not zero (promised by the caller).
        unsafe { server!(RedisModule_Alloc)(rounded(layout.size(), layout)).cast() }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let block = block.cast::<c_void>();
        if layout.align() > ALIGNED {
            // SAFETY: such a block came from `over_aligned`.
            unsafe { libc::free(block) };
        } else {
            // SAFETY: such a block came from the server.
            unsafe { server!(RedisModule_Free)(block) };
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGNED {
            let block = over_aligned(layout);
            if !block.is_null() {
                // SAFETY: the block is that large.
                unsafe { block.write_bytes(0, layout.size()) };
            }
            return block;
        }
        // SAFETY: as in `alloc`.
        unsafe { server!(RedisModule_Calloc)(1, rounded(layout.size(), layout)).cast() }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= ALIGNED {
            // SAFETY: such a block came from the server.
            return unsafe {
                server!(RedisModule_Realloc)(block.cast(), rounded(size, layout)).cast()
            };
        }
        // SAFETY: the layout was sound, and the caller promises that the new
        // size is.
        let moved =
            over_aligned(unsafe { Layout::from_size_align_unchecked(size, layout.align()) });
        if !moved.is_null() {
            // SAFETY: both blocks have so many bytes, and they are apart.
            unsafe {
                moved.copy_from_nonoverlapping(block, size.min(layout.size()));
                self.dealloc(block, layout);
            }
        }
        moved
    }
}

fn over_aligned(layout: Layout) -> *mut u8 {
    let mut block = std::ptr::null_mut();
    // SAFETY: `block` is ours to be written; the alignment is a power of two
    // above the size of a pointer.
    match unsafe { libc::posix_memalign(&mut block, layout.align(), layout.size()) } {
        0 => block.cast(),
        _ => std::ptr::null_mut(),
    }
}
