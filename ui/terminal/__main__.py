"""`python -m ui.terminal`, the same as `pairscope`."""

from ui.terminal import main

main()
