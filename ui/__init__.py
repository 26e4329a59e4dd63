"""User interfaces: the browser app (`web`) and the command line (`cli`), over the same functions."""
