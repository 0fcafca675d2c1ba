"""What can be set, from the command line."""

import argparse
from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """Settings of one process."""

    database: str
    http_port: int = 0
    live_port: int = 0
    workers: int = 8
    connections: int = 4
    leg_seconds: float = 0.02
    leg_limit: float = 0.5
    attempts: int = 3
    sweep_seconds: float = 0.2
    overdue_seconds: float = 30.0


def from_arguments(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="service")
    parser.add_argument("--database", required=True)
    for name, kind in (
        ("http-port", int),
        ("live-port", int),
        ("workers", int),
        ("connections", int),
        ("leg-seconds", float),
        ("leg-limit", float),
        ("attempts", int),
        ("sweep-seconds", float),
        ("overdue-seconds", float),
    ):
        default = getattr(Config, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=kind, default=default)
    return Config(**vars(parser.parse_args(arguments)))
