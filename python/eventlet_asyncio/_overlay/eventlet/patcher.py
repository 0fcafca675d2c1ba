"""
Make code cooperative that was not written for green threads.

`monkey_patch` changes the standard library for the whole process;
`import_patched` and `inject` give one module green versions of what it imports;
`original` gives the modules that patching never touches.
See `eventlet._patch` for how.
"""

from eventlet._patch.apply import already_patched, is_monkey_patched, monkey_patch
from eventlet._patch.inject import (
    SysModulesSaver,
    import_patched,
    inject,
    patch_function,
    slurp_properties,
)
from eventlet._patch.originals import original

__all__ = [
    "SysModulesSaver",
    "already_patched",
    "import_patched",
    "inject",
    "is_monkey_patched",
    "monkey_patch",
    "original",
    "patch_function",
    "slurp_properties",
]
