"""What happened, as log lines and metrics, redacted.

Belongs here: everything that tells the outside what the gateway did, and nothing that decides.
"""
