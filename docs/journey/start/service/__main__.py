"""Entry point of ``python -m service``."""

from service.main import main

main()
