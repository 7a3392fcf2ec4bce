"""Drivers for real coding agents, used as end-to-end clients of the gateway."""
