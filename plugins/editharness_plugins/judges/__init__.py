"""The judges that ship with editharness: rules, a local model, a model behind an OpenAI-compatible server."""
