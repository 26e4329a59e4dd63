"""The search page: its layout and its event handlers."""
