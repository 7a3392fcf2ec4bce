"""The Responses API from the client's side: requests written or passed on, answers and streams read."""
