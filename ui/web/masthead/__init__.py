"""The top of every page: mark, links to the pages, search, choice of pictures and model, and About."""
