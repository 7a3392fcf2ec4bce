"""The Responses API from the server's side: its requests read, its answers and streams written."""
