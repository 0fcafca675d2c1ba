"""
The command line: ``python -m eventlet_asyncio`` and ``eventlet-asyncio``.

One subcommand a file; ``main`` only knows how to reach them.
"""
