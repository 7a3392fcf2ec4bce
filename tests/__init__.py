"""Test suite of the gateway."""
