"""The browser app: one package per page, and what the pages share."""

import os

# Gradio asks the network for analytics and newer versions unless told otherwise before its import.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
