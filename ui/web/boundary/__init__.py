"""What a stranger's request passes before Gradio sees it: limits, open routes, uploads and served files."""
