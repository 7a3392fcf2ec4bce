"""Pure verdicts without I/O: may this pass, in what form, by which roads.

Belongs here: functions of a snapshot, a caller and a request. They raise a `Refusal` or return a plan.
"""
