//! Why there is no stack, in words that name the fix.
#![forbid(unsafe_code)]

use std::fmt;

/// A stack could not be had, or a setting for stacks makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StackError {
    /// One more guard would come too close to the kernel's limit of mappings per process.
    MappingLimit {
        /// `vm.max_map_count`.
        limit: usize,
        /// Stacks in use.
        in_use: usize,
    },
    /// The system refused address space.
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
        /// Stacks in use.
        in_use: usize,
        /// The system's reason.
        reason: String,
    },
    /// A guard could not be made.
    Guard {
        /// The system's reason.
        reason: String,
    },
    /// A stack size that cannot be used.
    BadSize {
        /// Where it was given.
        source: &'static str,
        /// What was given.
        value: String,
    },
    /// An unknown kind of guard.
    BadGuard {
        /// What was given.
        value: String,
    },
    /// The size cannot change once there are stacks.
    SizeFixed {
        /// The size in use.
        current: usize,
    },
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MappingLimit { limit, in_use } => write!(
                f,
                "no further green thread: {in_use} have a stack, and on this kernel each stack \
                 takes two memory mappings of the vm.max_map_count = {limit} that a process may \
                 have; raise it (sysctl -w vm.max_map_count={}), use Linux 6.13 or later, where \
                 stacks need none, or run fewer green threads at a time",
                limit.saturating_mul(4)
            ),
            Self::OutOfMemory {
                bytes,
                in_use,
                reason,
            } => write!(
                f,
                "no further green thread: {in_use} have a stack, and the system refused {bytes} \
                 bytes of address space for more ({reason}); check ulimit -v, \
                 vm.overcommit_memory and vm.max_map_count, set EVENTLET_ASYNCIO_STACK_SIZE to \
                 less (bytes; K and M are understood), or run fewer green threads at a time"
            ),
            Self::Guard { reason } => write!(
                f,
                "the guard of a new stack could not be made ({reason}); if this kernel or \
                 sandbox refuses MADV_GUARD_INSTALL, set EVENTLET_ASYNCIO_STACK_GUARD=mprotect"
            ),
            Self::BadSize { source, value } => write!(
                f,
                "{source}: {value:?} is no stack size; give bytes from 128K to 64G, for example \
                 8388608, 8192K or 8M"
            ),
            Self::BadGuard { value } => write!(
                f,
                "EVENTLET_ASYNCIO_STACK_GUARD: {value:?} is no kind of guard; give auto or \
                 mprotect"
            ),
            Self::SizeFixed { current } => write!(
                f,
                "the stack size is {current} bytes and cannot change: stacks exist already; set \
                 it before the first green thread starts"
            ),
        }
    }
}

impl std::error::Error for StackError {}
