"""The APIs of the simulated services, one module or folder each: what a request says, and how an answer is written."""
