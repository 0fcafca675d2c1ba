"""Asking whether eventlet is installed loads nothing and moves no finder."""

import sys
from importlib.util import find_spec

# env: EVENTLET_HUB=

before = list(sys.meta_path)
assert find_spec("eventlet") is not None
assert find_spec("greenlet") is not None
assert find_spec("eventlet_no_such_module") is None
assert sys.meta_path == before
assert not {"eventlet", "greenlet", "eventlet_asyncio._core"} & set(sys.modules)
print("pass")
