"""The stage: a Picturebook scene that visitors edit, and what the model says about it."""
