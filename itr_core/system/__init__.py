"""Files, signals, worker processes, memory, progress and provenance; nothing specific to retrieval."""
