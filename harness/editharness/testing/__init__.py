"""What tests and authors of plugins need: tiny models of every family, records of the real shape."""
