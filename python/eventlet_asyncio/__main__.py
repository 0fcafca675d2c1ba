"""Entry point of ``python -m eventlet_asyncio``."""

import sys

from eventlet_asyncio.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
