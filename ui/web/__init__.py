"""The browser app: one package per page, and the modules that the pages share."""

import os

# Gradio contacts its servers (usage statistics, newer versions) unless this is set before it is imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
