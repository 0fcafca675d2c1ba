# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._patch.inject import (
    GREEN_MODULES as GREEN_MODULES,
    PREFIX as PREFIX,
    SysModulesSaver as SysModulesSaver,
    code_of as code_of,
    import_patched as import_patched,
    inject as inject,
    patch_function as patch_function,
    slurp_properties as slurp_properties,
)
