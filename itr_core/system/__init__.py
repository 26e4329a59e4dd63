"""Files, signals, memory, provenance and progress: the operating system, nothing of retrieval."""
