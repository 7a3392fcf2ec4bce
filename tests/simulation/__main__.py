"""Writes docs/routing.md and its pictures: `make routing`."""

import logging

from tests.simulation.page import PAGE, write_page

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # thousands of throttles are what is wanted here
    write_page()
    print(f"Written: {PAGE}")  # noqa: T201  # a command tells what it has done
