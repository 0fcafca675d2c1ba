"""
What `eventlet.patcher` is made of.

* `copies` runs the source of a standard library module a second time, with chosen
  modules in place of what it imports. Everything else here rests on it.
* `originals` hands out private, never patched copies of standard library modules.
* `plan` is data: which modules have a green twin, and what `monkey_patch` replaces.
* `apply` replaces it; `threads` and `locks` do the parts that need more than setting
  an attribute; `isolate` keeps asyncio and concurrent.futures off the patched modules.
* `hybrid` holds the few primitives that are used from green code and from OS threads
  that run no green code at all.
* `inject` is the other way of greening: `import_patched` and its relatives.
"""
