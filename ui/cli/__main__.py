"""`python -m ui.cli`, the same as `pairscope`."""

from ui.cli import main

main()
