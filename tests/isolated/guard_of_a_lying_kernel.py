"""
Stacks have guards also where the kernel says that it has marked pages, and did nothing.

A filter of system calls answers 0 in the place of the kernel, as an emulator does.
"""

import ctypes
import os
import platform
import struct
import sys

MADVISE = {"x86_64": 28, "aarch64": 233}.get(platform.machine())
GUARD_INSTALL = 102
# linux/filter.h, linux/seccomp.h: load a word of the call, compare, answer.
LOAD, EQUAL, ANSWER = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER, THIRD_ARGUMENT = 0, 32
PROGRAM = [
    (LOAD, 0, 0, NUMBER),
    (EQUAL, 0, 3, MADVISE or 0),
    (LOAD, 0, 0, THIRD_ARGUMENT),
    (EQUAL, 0, 1, GUARD_INSTALL),
    (ANSWER, 0, 0, ERRNO | 0),
    (ANSWER, 0, 0, ALLOW),
]
libc = ctypes.CDLL(None, use_errno=True)
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *it) for it in PROGRAM))
program = ctypes.create_string_buffer(
    struct.pack("@HP", len(PROGRAM), ctypes.addressof(code))
)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
if (
    MADVISE is None
    or libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0)
):
    print("no filter of system calls here")
    print("pass")
    sys.exit(0)

import mmap  # noqa: E402 - the filter comes first

page = mmap.mmap(-1, mmap.PAGESIZE)
page.madvise(GUARD_INSTALL)
page[0] = 1  # There is no guard.

import eventlet  # noqa: E402 - as above

assert eventlet.spawn(sum, [1, 2]).wait() == 3
with open("/proc/self/maps") as maps:
    fields = [line.split() for line in maps]
spans = [
    [int(end, 16) for end in field[0].split("-")]
    for field in fields
    if field[1].startswith("---p")
]
assert 1 << 20 in {end - start for start, end in spans}, spans
# A write to it ends the process.
guard = next(start for start, end in spans if end - start == 1 << 20)
child = os.fork()
if not child:
    ctypes.memset(guard, 1, 1)
    os._exit(0)
assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
print("pass")
