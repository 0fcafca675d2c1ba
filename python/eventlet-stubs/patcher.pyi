# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.patcher import (
    SysModulesSaver as SysModulesSaver,
    already_patched as already_patched,
    import_patched as import_patched,
    inject as inject,
    is_monkey_patched as is_monkey_patched,
    monkey_patch as monkey_patch,
    original as original,
    patch_function as patch_function,
    slurp_properties as slurp_properties,
)
