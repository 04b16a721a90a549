from __future__ import annotations


def run_all(engine) -> None:
    pass
