"""The operator's commands; thin, over `assembly`."""
