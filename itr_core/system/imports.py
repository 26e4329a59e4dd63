"""Imports inside functions that several threads may call at the same time."""

from threading import RLock

import_lock = RLock()
"""Hold this lock to import modules of scikit-learn, or a library that imports some of them (textblob, umap).

These modules import each other in circles. When two threads import them at the same time, each can wait for
the other. Python ends the deadlock with a module that is not initialised yet, and one import fails.
"""
