"""`python -m sekisho`."""

from sekisho.cli.main import app

app()
