"""By which roads a call goes: which deployments and groups, in which order, and what each of them can still take.

Belongs here: what is known of upstreams from the traffic so far, and verdicts from it. Time is an argument or a clock.
"""
