"""The search page: components and event handlers."""
