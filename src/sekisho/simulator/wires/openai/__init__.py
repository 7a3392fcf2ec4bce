"""What OpenAI's APIs have in common: errors, refused fields, tools, content, usage."""
