"""The admin API over HTTP, in the names and shapes of LiteLLM's."""
