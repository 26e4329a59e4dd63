"""Files that are shipped with the packages: starter models, JavaScript, images."""
