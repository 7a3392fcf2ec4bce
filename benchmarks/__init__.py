"""What the gateway costs: `python -m benchmarks`. See docs/benchmarks.md."""
